"""Two ways to code a field, by the network or as a detail: whichever is smaller, or nearer.

cells, coding --fit_either--> payload
"""

from __future__ import annotations

from dataclasses import replace
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

# Bytes of a field from which on the network is not tried, to save time: 160x at 0.25 degrees.
# Details of validation fields have the smaller error up to 128x, and all have a larger one at 512x;
# on coarser grids the ratios are smaller, the bytes much the same (docs/design/rate.md).
_MANY = 26_000


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

    def network(other: Fitted | None = None) -> Fitted:
        of = hint if hint.detailed is not True else AS_EXPECTED
        found = fit(
            cells, scaling, coding, model, device, judge=judge, hint=of, after=after, other=other
        )
        return replace(found, hint=replace(found.hint, detailed=False))

    def detail(_: Fitted | None = None) -> Fitted:
        of = hint if hint.detailed else AS_EXPECTED
        return fit_detail(cells, scaling, coding, model, device, judge=judge, hint=of)

    if not coding.detail or judge.filled is None or not np.ptp(cells):
        return network()
    by_size = not coding.rmse and not coding.free
    ways = [network, detail] if hint.detailed is False else [detail, network]
    found, refused = list[Fitted](), list[UsageError]()
    for way in ways:
        try:
            found.append(way(found[0] if found and not coding.free else None))
        except UsageError as error:
            refused.append(error)
            continue
        size = coding.size if by_size else len(found[-1].payload)
        if hint.detailed is not None or size > _MANY:
            break
    if not found:
        raise refused[ways.index(network)]  # it says what would do
    if by_size:
        return min(found, key=lambda one: judge.rmse_of(one.shown))
    return min(found, key=lambda one: len(one.payload))
