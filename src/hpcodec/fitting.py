"""One field into the bytes, or down to the error, that its coding asks for.

cells, coding --fit--> payload, the cells that it decodes to, and where to look for the next
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpcodec.bound_search import BoundSearch
from hpcodec.errors import UsageError
from hpcodec.fields import Coding, CompressedField, Scaling
from hpcodec.fitted import Fitted
from hpcodec.goals import Goal, error_goal, size_goal, value_scale
from hpcodec.judge import Judge
from hpcodec.models import Model
from hpcodec.rival import hint_of, loses_to
from hpcodec.stages.normalise import denormalise, normalise
from hpcodec.stages.wire import pack, with_correction
from hpcodec.step_search import AS_EXPECTED, BAND, Hint, StepSearch

if TYPE_CHECKING:
    from hpcodec.stages.trail import Trail
    from hpcodec.stages.transform import Coder

__all__ = ["PASSES", "fit"]

PASSES = 2
"""Refinements of a field with effort: two more gain nothing, docs/design/rate.md."""

Floats = npt.NDArray[np.float32]

# Parts of the limit that will do of a first trial that was told where to look, and of later ones.
_NEAR, _NEAR_ENOUGH = 0.98, 0.93


@dataclass(frozen=True, eq=False)
class _Found:
    """A field after one search: ``decoded`` are cells ``(1, cells)``, the field's unit."""

    payload: bytes
    decoded: Floats
    hint: Hint
    field: CompressedField


def fit(
    cells: Floats,
    scaling: Scaling,
    coding: Coding,
    model: Model,
    device: str,
    *,
    judge: Judge,
    hint: Hint = AS_EXPECTED,
    after: Trail | None = None,
    other: Fitted | None = None,
) -> Fitted:
    """Payload of a field, the nearest below ``coding.size`` or ``coding.rmse`` that is found.

    Its correction, if it has a bound, comes on top. Where nothing else is asked for, the payload is
    that which is smallest with its correction.

    Parameters
    ----------
    cells : ndarray of float32
        ``(cells,)``, nested order, the field's unit, raised to the coding's exponent, finite.
    scaling : Scaling
        Of the field.
    coding, model : Coding, Model
        How it is coded.
    device : str
        Torch device, or ``auto``.
    judge : Judge
        Of the field.
    hint : Hint
        As in the result for a field like this one.
    after : Trail, optional
        Of the field that this one follows, which has the same scaling.
    other : Fitted, optional
        The field in about as many bytes as a detail, whose step says where to look for the one
        here, and whose error, or what is left of it in the end, is to be beaten.

    Raises
    ------
    UsageError
        If the field cannot be had in so few bytes, or with so small an error, or by its first trial
        not with that of the other.
    """
    floor = judge.rmse(cells[None]) if coding.rmse else 0.0
    if coding.rmse and coding.rmse <= floor:
        finest = min(coding.grid.fine_level, model.card.architecture["level"])
        raise _below_floor(coding, floor, finest)
    if (own := len(judge.told[1])) >= coding.size:
        raise UsageError(
            f"expected a field that fits in {coding.size} bytes; the mask of its missing values "
            f"alone has {own}. Choose a smaller ratio."
        )
    unit = value_scale(cells, scaling, coding)
    goal = (
        error_goal(coding, unit, model, judge, floor)
        if coding.rmse
        else size_goal(coding, model, own)
    )
    normal = normalise(cells[None], [scaling])
    task = _Task(normal, scaling, unit, coding, model, model.coder(device), judge, floor, after)
    if other and hint == AS_EXPECTED:
        hint = hint_of(other, goal, (1 + _NEAR) / 2, by_size=not coding.rmse)
    first = best = last = _search(task, goal, hint, np.zeros_like(normal), other)
    nudge = np.zeros_like(normal)
    for number in range(PASSES * coding.effort if normal.any() else 0):
        pull = task.pull(last.field)
        nudge = np.float32(0.5) * (nudge + pull) if number else pull
        try:
            last = _search(task, goal, last.hint, nudge)
        except UsageError:  # what is nudged may miss what the field as it is just meets
            break
        best = min(best, last, key=task.figure)
    payload, shown = best.payload, judge.shown(best.decoded)
    if not coding.free:
        payload = with_correction(payload, judge.correction(shown, scaling.scale))
    return Fitted(payload, shown, first.hint, best.field, math.log2(best.field.step))


@dataclass(frozen=True, eq=False)
class _Task:
    """One field to be coded, and how; see :func:`fit`."""

    normal: Floats
    scaling: Scaling
    unit: float
    coding: Coding
    model: Model
    coder: Coder
    judge: Judge
    floor: float
    after: Trail | None

    @property
    def _variable(self) -> int:
        return self.model.card.variable_index(self.coding.variable)

    def encode(self, step: float, nudge: Floats) -> tuple[CompressedField, Floats]:
        """The field, nudged, at a step; and the cells that this decodes to, the field's unit."""
        (field,), decoded = self.coder.encode(
            self.normal + np.float32(step) * nudge,
            scaling=[self.scaling],
            bottleneck=self.coding.bottleneck,
            steps=[step],
            variable=self._variable,
            after=self.after,
        )
        number, code = self.judge.told
        told = replace(field, limits=self.judge.limits, mask=number, mask_code=code)
        return told, denormalise(decoded, [self.scaling])

    def search(self, goal: Goal, hint: Hint, *, told: bool) -> StepSearch | BoundSearch:
        """Steps to try, until one is near; nearer if it is told where to look."""
        card, coding = self.model.card, self.coding
        if coding.free:
            expected = card.expected_octave("rmse", coding.bottleneck, coding.level)
            # A constant field has no range; its bound, of 0, would only make the search costly.
            return BoundSearch((self.judge.bound or self.unit) / self.unit, expected, hint)
        if hint == AS_EXPECTED:
            hint = Hint(card.shift(self._variable))
        band, later = (_NEAR, _NEAR_ENOUGH) if told else (BAND, BAND)
        return StepSearch(goal.limit, goal.expected, hint, band=band, later=later)

    def pull(self, field: CompressedField) -> Floats:
        """Nudge that a compressed field asks for."""
        from hpcodec.stages.nudge import nudge

        return nudge(self.coder, self.normal, field, variable=self._variable, after=self.after)

    def figure(self, fitted: _Found) -> float:
        """Bytes times squared error over the cells: what a better encoding lowers."""
        if self.coding.free:  # corrected
            return float(len(fitted.payload))
        decoded = normalise(fitted.decoded, [self.scaling])
        error = np.mean(np.square(decoded - self.normal), dtype=np.float64)
        return float((len(fitted.payload) - len(self.judge.told[1])) * error)


def _search(
    task: _Task, goal: Goal, hint: Hint, nudge: Floats, other: Fitted | None = None
) -> _Found:
    """The step for a goal, and what comes of it; refused if worse than what another way has."""
    search = task.search(goal, hint, told=other is not None)
    payload, decoded, value = b"", task.normal, 0.0
    chosen: CompressedField | None = None
    while not search.done:
        field, values = task.encode(search.step, nudge)
        code = pack(field, task.model.entropy)
        if task.coding.free:
            shown = task.judge.shown(values)
            code = with_correction(code, task.judge.correction(shown, task.scaling.scale))
        value = goal.value(code, values)
        part, by_size = value / goal.limit, not task.coding.rmse
        if other and loses_to(other, task.judge, code, values, part, by_size=by_size):
            raise UsageError("expected to do better than another way; the first trial does not.")
        other = None
        if search.tell(value):
            payload, decoded, chosen = code, values, field
        if search.met and not task.normal.any():
            break  # a constant field is exact at any step
    if chosen is None or not search.met or len(payload) > task.coding.size:
        raise _unmet(task, value, len(payload))
    return _Found(payload, decoded, search.hint, chosen)


def _below_floor(coding: Coding, floor: float, finest: int) -> UsageError:
    finer = f", or for a finer level, up to {finest}" if coding.level < finest else ""
    return UsageError(
        f"expected an RMSE above {floor:.4g}, which the remap to HEALPix level "
        f"{coding.level} alone costs; got {coding.rmse:g}. Ask for {1.02 * floor:.3g} or "
        f"more{finer}."
    )


def _unmet(task: _Task, value: float, length: int) -> UsageError:
    coding = task.coding
    if coding.free:
        return UsageError(
            f"expected a bound that takes no more than the field itself, {coding.size:,} bytes; "
            f"{task.judge.bound:g} takes {length:,}. Ask for a larger maximum error."
        )
    if not coding.rmse:
        return UsageError(
            f"expected a field that fits in {coding.size} bytes; its smallest payload has "
            f"{value + len(task.judge.told[1]):.0f}. Choose a smaller ratio."
        )
    if length:
        return UsageError(
            f"expected an RMSE that takes no more than the field itself, {coding.size:,} bytes; "
            f"{coding.rmse:g} takes {length:,}. Ask for a larger RMSE."
        )
    least = math.hypot(value, task.floor)
    finer = ", or for a finer bottleneck" if coding.bottleneck < coding.level else ""
    return UsageError(
        f"expected an RMSE of at least {least:.4g}, the least at bottleneck level "
        f"{coding.bottleneck}; got {coding.rmse:g}. Ask for {1.02 * least:.3g} or more{finer}."
    )
