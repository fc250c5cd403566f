"""Two ways to code a field, by the network or as a detail: whichever is smaller, or nearer.

cells, coding --fit_either--> payload
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpcodec.detailing import fit_detail
from hpcodec.errors import UsageError
from hpcodec.fields import Coding, Scaling
from hpcodec.fitting import Fitted, fit
from hpcodec.judge import Judge
from hpcodec.models import Model
from hpcodec.step_search import AS_EXPECTED, Hint

if TYPE_CHECKING:
    from hpcodec.stages.trail import Trail

__all__ = ["fit_either"]

# Ratios below which the network, and above which a detail is not tried: where the other was better
# on all validation fields, docs/design/rate.md.
_FINE, _COARSE = 24, 700
_TIGHT = 10  # the same where there is nothing but a bound


def fit_either(
    cells: npt.NDArray[np.float32],
    scaling: Scaling,
    coding: Coding,
    model: Model,
    device: str,
    *,
    judge: Judge,
    hint: Hint = AS_EXPECTED,
    after: Trail | None = None,
) -> Fitted:
    """Payload of a field; see :func:`hpcodec.fitting.fit`.

    Where both ways are open, and fields like this one have not shown which is better, both are
    tried: at a number of bytes the one with the smaller error is taken, else the one with fewer
    bytes.
    """

    def network() -> Fitted:
        of = hint if hint.detailed is not True else AS_EXPECTED
        found = fit(cells, scaling, coding, model, device, judge=judge, hint=of, after=after)
        return replace(found, hint=replace(found.hint, detailed=False))

    def detail() -> Fitted:
        of = hint if hint.detailed else AS_EXPECTED
        return fit_detail(cells, scaling, coding, model, device, judge=judge, hint=of)

    if not coding.detail or judge.filled is None or not np.ptp(cells):
        return network()
    if hint.detailed is not None:
        ways = [detail, network] if hint.detailed else [network, detail]
        return _first(ways)
    whole, by_size = 4 * prod(coding.grid.shape), not coding.rmse and not coding.free
    if by_size and whole > _COARSE * coding.size:
        return _first([network, detail])
    found, refused = _tried(detail)
    size = coding.size if by_size or found is None else len(found.payload)
    if found is not None and whole < (_TIGHT if coding.free else _FINE) * size:
        return found
    other, other_refused = _tried(network)
    if found is None or other is None:
        if found is None and other is None:
            raise other_refused or refused or UsageError("expected a field; found none.")
        return found or other  # type: ignore[return-value]  # one of them is
    if by_size:
        return min(found, other, key=lambda one: judge.rmse_of(one.shown))
    return min(found, other, key=lambda one: len(one.payload))


def _first(ways: list[Callable[[], Fitted]]) -> Fitted:
    """By the first way that can do what is asked."""
    found, refused = _tried(ways[0])
    if found is None:
        found, _ = _tried(ways[1])
    if found is None:
        assert refused is not None
        raise refused
    return found


def _tried(way: Callable[[], Fitted]) -> tuple[Fitted | None, UsageError | None]:
    try:
        return way(), None
    except UsageError as error:
        return None, error
