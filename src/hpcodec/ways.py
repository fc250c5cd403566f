"""Two ways to code a field, by the network or as a detail: whichever is smaller, or nearer.

cells, coding --fit_either--> payload
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpcodec.detailing import fit_detail
from hpcodec.errors import UsageError
from hpcodec.fields import Coding, Scaling
from hpcodec.fitted import Fitted
from hpcodec.fitting import fit
from hpcodec.judge import Judge
from hpcodec.models import Model
from hpcodec.step_search import AS_EXPECTED, Hint

if TYPE_CHECKING:
    from hpcodec.stages.trail import Trail

__all__ = ["fit_either"]

# Bytes of a field from which on the network is not tried, to save time: 259x at 0.25 degrees.
# Details of validation fields have the smaller error up to 256x, and none has at 1024x; on coarser
# grids the ratios are smaller, the bytes much the same (docs/design/rate.md).
_MANY = 16_000

# Times the loss that a detail is likely to have in the end, up to which it is not computed: it was
# likelier to be the worse one, and what it would spare is not worth its time.
_ALIKE = 1.03


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
    bytes. A draft of the detail goes first, and tells the network where to look. After its first
    trial one of the two is mostly given up, unless there is a bound alone, for which nothing tells.
    """
    by_size = not coding.rmse and not coding.free

    def loss(one: Fitted) -> float:  # twice the bytes are about as bad as 1.4 times the error
        return judge.rmse_of(one.shown) if by_size else float(np.sqrt(len(one.payload)))

    def network(other: Fitted | None = None) -> Fitted:
        of = hint if hint.detailed is not True else AS_EXPECTED
        found = fit(
            cells, scaling, coding, model, device, judge=judge, hint=of, after=after, other=other
        )
        return replace(found, hint=replace(found.hint, detailed=False))

    def detail(of: Hint = AS_EXPECTED, *, draft: bool = False) -> Fitted:
        return fit_detail(cells, scaling, coding, model, device, judge=judge, hint=of, draft=draft)

    if not coding.detail or judge.filled is None or not np.ptp(cells):
        return network()
    if hint.detailed is False:
        try:
            return network()
        except UsageError:
            if (found := _unless_refused(detail)) is None:
                raise
            return found
    if hint.detailed or (by_size and coding.size > _MANY):
        of = hint if hint.detailed else AS_EXPECTED
        return _unless_refused(partial(detail, of)) or network()
    draft = _unless_refused(partial(detail, draft=True))
    if draft is None:
        return network()
    rival = None
    if len(draft.payload) <= _MANY:
        rival = _unless_refused(partial(network, None if coding.free else draft))
    if rival and not coding.free and loss(rival) <= _ALIKE * draft.left * loss(draft):
        return rival
    if (whole := _unless_refused(partial(detail, replace(draft.hint, detailed=None)))) is None:
        return rival or network()
    return min(rival or whole, whole, key=loss)


def _unless_refused(way: Callable[[], Fitted]) -> Fitted | None:
    try:
        return way()
    except UsageError:
        return None
