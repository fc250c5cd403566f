"""One field into the bytes, or down to the error, that its coding asks for.

cells, coding --fit--> payload, the cells that it decodes to, and where to look for the next
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpcodec.bound_search import BoundSearch
from hpcodec.errors import UsageError
from hpcodec.fields import Coding, CompressedField, Scaling
from hpcodec.models import Model
from hpcodec.stages.normalise import denormalise, normalise
from hpcodec.stages.wire import pack, with_correction
from hpcodec.step_search import AS_EXPECTED, Hint, StepSearch

if TYPE_CHECKING:
    from hpcodec.stages.trail import Trail

__all__ = ["Errors", "Fitted", "fit"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Errors:
    """Errors of one field where they are judged.

    Parameters
    ----------
    floor : float
        RMSE of the cells before they are coded, the field's unit.
    rmse : callable
        RMSE of decoded cells ``(1, cells)``, the field's unit.
    bound : float
        Error that points may have, the field's unit.
    correction : callable, optional
        Bytes that correct decoded cells ``(1, cells)`` of a scaling; for fields that have a bound.
    """

    floor: float
    rmse: Callable[[Floats], float]
    bound: float = 0.0
    correction: Callable[[Floats, Scaling], bytes] | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A field after fitting.

    Parameters
    ----------
    payload : bytes
        Of the step chosen.
    decoded : ndarray of float32
        ``(cells,)``, what it decodes to, the field's unit.
    hint : Hint
        What it says of fields like it.
    field : CompressedField
        What the payload holds.
    """

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
    errors: Errors,
    hint: Hint = AS_EXPECTED,
    after: Trail | None = None,
) -> Fitted:
    """Payload of a field, the nearest below ``coding.size`` or ``coding.rmse`` that is found.

    Its correction, if it has a bound, comes on top. Where nothing else is asked for, the payload is
    that which is smallest with its correction.

    Parameters
    ----------
    cells : ndarray of float32
        ``(cells,)``, nested order, the field's unit, finite.
    scaling : Scaling
        Of the field.
    coding, model : Coding, Model
        How it is coded.
    device : str
        Torch device, or ``auto``.
    errors : Errors
        Of the field.
    hint : Hint
        As in the result for a field like this one.
    after : Trail, optional
        Of the field that this one follows, which has the same scaling.

    Raises
    ------
    UsageError
        If the field cannot be had in so few bytes, or with so small an error.
    """
    if coding.rmse and coding.rmse <= errors.floor:
        finest = min(coding.grid.natural_level + 1, model.card.architecture["level"])
        raise _below_floor(coding, errors, finest)
    coder, variable = model.coder(device), model.card.variable_index(coding.variable)
    goal, search = _goal_and_search(coding, scaling, model, errors, hint)
    normal = normalise(cells[None], [scaling])
    payload, decoded, value = b"", normal, 0.0
    chosen: CompressedField | None = None
    while not search.done:
        (field,), fresh = coder.encode(
            normal,
            scaling=[scaling],
            bottleneck=coding.bottleneck,
            steps=[search.step],
            variable=variable,
            after=after,
        )
        code, values = pack(field, model.entropy), denormalise(fresh, [scaling])
        if coding.free:
            code = _with_correction(code, values, scaling, errors)
        value = goal.value(code, values)
        if search.tell(value):
            payload, decoded, chosen = code, values, field
        if chosen is not None and not normal.any():
            break  # a constant field is exact at any step
    if chosen is None or len(payload) > coding.size:
        raise _unmet(coding, errors, value, len(payload))
    if not coding.free:
        payload = _with_correction(payload, decoded, scaling, errors)
    return Fitted(payload, decoded[0], search.hint, chosen)


@dataclass(frozen=True)
class _Goal:
    limit: float
    value: Callable[[bytes, Floats], float]
    expected: Callable[[float], float]


def _with_correction(payload: bytes, decoded: Floats, scaling: Scaling, errors: Errors) -> bytes:
    if errors.correction is None:
        return payload
    return with_correction(payload, errors.correction(decoded, scaling))


def _goal_and_search(
    coding: Coding, scaling: Scaling, model: Model, errors: Errors, hint: Hint
) -> tuple[_Goal, StepSearch | BoundSearch]:
    goal = _error_goal(coding, scaling, model, errors) if coding.rmse else _size_goal(coding, model)
    if not coding.free:
        if hint == AS_EXPECTED:
            hint = Hint(model.card.shift(model.card.variable_index(coding.variable)))
        return goal, StepSearch(goal.limit, goal.expected, hint)
    expected = model.card.expected_octave("rmse", coding.bottleneck, coding.level)
    return goal, BoundSearch(errors.bound / scaling.scale, expected, hint)


def _size_goal(coding: Coding, model: Model) -> _Goal:
    expected = model.card.expected_octave("size", coding.bottleneck, coding.level)
    return _Goal(coding.size, lambda payload, _: len(payload), expected)


def _error_goal(coding: Coding, scaling: Scaling, model: Model, errors: Errors) -> _Goal:
    """Error of coding alone, which a step governs: its square adds to that of the remap."""
    card = model.card.expected_octave("rmse", coding.bottleneck, coding.level)
    floor = errors.floor**2

    def value(_: bytes, decoded: Floats) -> float:
        return math.sqrt(max(errors.rmse(decoded) ** 2 - floor, 0.0))

    limit = math.sqrt(coding.rmse**2 - floor)
    return _Goal(limit, value, lambda error: card(error / scaling.scale))


def _below_floor(coding: Coding, errors: Errors, finest: int) -> UsageError:
    finer = f", or for a finer level, up to {finest}" if coding.level < finest else ""
    return UsageError(
        f"expected an RMSE above {errors.floor:.4g}, which the remap to HEALPix level "
        f"{coding.level} alone costs; got {coding.rmse:g}. Ask for {1.02 * errors.floor:.3g} or "
        f"more{finer}."
    )


def _unmet(coding: Coding, errors: Errors, value: float, length: int) -> UsageError:
    if coding.free:
        return UsageError(
            f"expected a bound that takes no more than the field itself, {coding.size:,} bytes; "
            f"{errors.bound:g} takes {length:,}. Ask for a larger maximum error."
        )
    if not coding.rmse:
        return UsageError(
            f"expected a field that fits in {coding.size} bytes; its smallest payload has "
            f"{value:.0f}. Choose a smaller ratio."
        )
    if length:
        return UsageError(
            f"expected an RMSE that takes no more than the field itself, {coding.size:,} bytes; "
            f"{coding.rmse:g} takes {length:,}. Ask for a larger RMSE."
        )
    least = math.hypot(value, errors.floor)
    finer = ", or for a finer bottleneck" if coding.bottleneck < coding.level else ""
    return UsageError(
        f"expected an RMSE of at least {least:.4g}, the least at bottleneck level "
        f"{coding.bottleneck}; got {coding.rmse:g}. Ask for {1.02 * least:.3g} or more{finer}."
    )
