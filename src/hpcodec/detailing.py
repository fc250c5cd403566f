"""A field as its base field and a detail: the way without the network, for many bytes.

cells, field on its grid --fit_detail--> payload;   payload --decode_detailed--> field on its grid
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.arithmetic import plain_float32
from hpcodec.band_networks import latest_bands
from hpcodec.base_field import base_cells
from hpcodec.bound_search import BoundSearch
from hpcodec.coarse import in_units
from hpcodec.detail import Detail, Detailer, split_detail, unrestored
from hpcodec.errors import FormatError, ModelError, UsageError
from hpcodec.expectations import Expected
from hpcodec.fields import Coding, CompressedField, Scaling
from hpcodec.fitted import Fitted
from hpcodec.goals import value_scale
from hpcodec.grid import BASE_LEVEL, LatLonGrid
from hpcodec.judge import Judge
from hpcodec.models import Model
from hpcodec.quarters import LEAST
from hpcodec.restoring import Restoring
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import normalise, within
from hpcodec.stages.wavelets import to_bands
from hpcodec.stages.wire import correction_in, pack, with_correction
from hpcodec.step_search import AS_EXPECTED, Hint, StepSearch

__all__ = ["decode_detailed", "fit_detail"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_BASE_STEP = 2.0  # of level 9, normalised: a sixteenth at the base field

_Value = Callable[[bytes, Detail], tuple[float, Fitted | None]]

_NEAR: dict[str, Any] = {"band": 0.985, "trials": 5}  # a trial takes a tenth of the network's
_DRAFT: dict[str, Any] = {"band": 0.9, "trials": 2}
_DRAFTED: dict[str, Any] = {"band": 0.96, "trials": 5}  # the network has taken its second already
_LEFT = 0.95  # part of its error once restored: .92 to .97 of validation fields, 192x to 512x
_TOLD = 0.91  # part of its bytes once told
_WITHIN = 1.14  # times the network's RMSE, beside a bound, where it and its correction are smallest


def fit_detail(
    cells: Floats,
    scaling: Scaling,
    coding: Coding,
    model: Model,
    device: str,
    *,
    judge: Judge,
    hint: Hint,
    draft: bool = False,
) -> Fitted:
    """As :func:`hpcodec.fitting.fit`, without the network; ``judge`` has the field on its grid.

    A ``draft`` takes half the time: no network tells its code, nothing is restored, what is asked
    for is met less nearly, and ``left`` tells what the networks are likely to do. Its bytes are as
    many more as the network of bands would spare.
    """
    normal = normalise(cells[None], [scaling])
    (field,), _ = model.coder(device).encode(
        normal, scaling=[scaling], bottleneck=BASE_LEVEL, steps=[_BASE_STEP], level=BASE_LEVEL
    )
    number, code = judge.told
    if len(code) >= coding.size:
        raise _missed()
    field = replace(field, limits=judge.limits, mask=number, mask_code=code)
    unit = value_scale(cells, scaling, coding)
    task = _Task(field, pack(field, model.entropy), unit, coding, model, judge, draft)
    restorer = bytes.fromhex(model.card.restorer) if task.restorable else b""
    if draft:
        spared = 1.0 if not coding.rmse else math.sqrt(_TOLD)  # as an error: bytes are its squares
        return replace(task.search(hint, b"")[0], left=spared * (_LEFT if restorer else 1.0))
    found, worse = task.search(hint, restorer)
    return task.search(found.hint, b"")[0] if worse else found


def decode_detailed(payload: bytes, field: CompressedField, coding: Coding, model: Model) -> Floats:
    """Field ``(rows, columns)`` of a payload that has a detail, in its unit, float32.

    Without a correction, and with whatever lies beneath missing values.

    Parameters
    ----------
    payload : bytes
        The whole.
    field : CompressedField
        Its base field at least.
    coding, model : Coding, Model
        Theirs.

    Raises
    ------
    FormatError
        If it is damaged.
    ModelError
        If a network is to guess what it lacks that the model has not.
    """
    code, _ = split_detail(correction_in(payload))
    detail = _detailer(coding, model).decode(code)
    with np.errstate(all="ignore"):
        if not detail.restorer:
            return _sum(_guess(field, coding), detail.values, field)
        with plain_float32("cpu"):
            values = _restored(detail, coding, model)
        return _sum(_guess(field, coding), values, field)


def _detailer(coding: Coding, model: Model) -> Detailer:
    assert isinstance(coding.grid, LatLonGrid)  # no other coding has details
    return _made(coding.grid, model.folder)


@lru_cache(maxsize=4)
def _made(grid: LatLonGrid, folder: Path) -> Detailer:
    return Detailer(grid, folder)


def _restored(detail: Detail, coding: Coding, model: Model) -> Doubles:
    if not model.card.restorer.startswith(detail.restorer.hex()):
        raise ModelError(
            f"expected a restorer with weights sha256 {detail.restorer.hex()}... beside model "
            f"'{coding.model}'; got {model.card.restorer[:8] or 'none'}. Install the hpcodec "
            "release that wrote the store."
        )
    assert isinstance(coding.grid, LatLonGrid)
    return _restoring(coding.grid, model.folder).restore(detail, coding.variable)


@lru_cache(maxsize=4)
def _restoring(grid: LatLonGrid, folder: Path) -> Restoring:
    """Kept with its static fields: these take longer than a field."""
    return Restoring(grid, folder)


def _guess(field: CompressedField, coding: Coding) -> Floats:
    """What the base field alone says of the field on its grid."""
    cells = in_units(base_cells([field])[None], [field], coding.exponent)
    (guess,) = remap_for(coding.grid, BASE_LEVEL, coding.remap).to_grid(cells)
    return np.asarray(guess)


def _sum(guess: Floats, detail: Doubles, field: CompressedField) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        values = (guess + detail).astype(np.float32)
    if not np.isfinite(values).all():
        raise FormatError("expected finite fields; got others. The store is damaged.")
    return np.asarray(within(values[None], [field.limits])[0])


@dataclass(frozen=True, eq=False)
class _Task:
    """One field to be detailed; see :func:`fit_detail`."""

    field: CompressedField
    base: bytes
    unit: float
    coding: Coding
    model: Model
    judge: Judge
    draft: bool

    @cached_property
    def _guess(self) -> Floats:
        return _guess(self.field, self.coding)

    @cached_property
    def _bands(self) -> list[Doubles]:
        assert self.judge.filled is not None, "a detail is of a field on a grid"
        return to_bands(self.judge.filled.astype(np.float64) - self._guess)

    @property
    def _by_area(self) -> bool:
        return not self.coding.free

    def search(self, hint: Hint, restorer: bytes) -> tuple[Fitted, bool]:
        """What comes of the step for what the coding asks; and whether without restoring is better.

        ``restorer`` is the sha256 of the weights that are to guess what the detail lacks, if any.
        """
        detailer, (search, value) = _detailer(self.coding, self.model), self._steps(hint)
        found: tuple[bytes, Detail, Fitted | None] | None = None
        first = float(np.float32(search.step * self.unit))
        shares = detailer.shares(self._bands, first, by_area=self._by_area)  # hardly moves with it
        network = None if self.draft else latest_bands()
        encode = partial(detailer.encode, by_area=self._by_area)
        while not search.done:
            step = float(np.float32(search.step * self.unit))
            coded = encode(self._bands, step, shares, restorer=restorer, network=network)
            number, finished = value(*coded)
            if search.tell(number):
                found = *coded, finished
        if found is None or not search.met:
            raise _missed()
        code, detail, finished = found
        fitted = finished or self._finished(code, detail)
        if len(fitted.payload) > self._most:
            raise _missed()
        worse = bool(restorer) and (
            self.judge.rmse_of(self._shown(detail.values)) < self.judge.rmse_of(fitted.shown)
        )
        if worse and not (self.coding.rmse or self.coding.free):
            fitted, worse = self._finished(*unrestored(code, detail)), False
        halving = search.halving if isinstance(search, StepSearch) else 0.0
        return replace(fitted, hint=replace(search.hint, detailed=True), halving=halving), worse

    def _finished(self, code: bytes, detail: Detail) -> Fitted:
        """Payload with what keeps a bound, and what a reader gets before that."""
        restores = bool(detail.restorer)
        values = _restored(detail, self.coding, self.model) if restores else detail.values
        shown = self._shown(values)
        correction = self.judge.correction(shown, self.unit)
        payload = with_correction(self.base, code + correction)
        return Fitted(payload, shown, AS_EXPECTED, self.field, detail.octave - math.log2(self.unit))

    def _shown(self, detail: Doubles) -> Floats:
        return _sum(self._guess, detail, self.field)[None]

    @property
    def restorable(self) -> bool:
        """Whether the model has a restorer, and the grid is fine enough for it."""
        return bool(self.model.card.restorer) and len(self._bands) >= LEAST

    @property
    def _most(self) -> float:
        """Bytes that the payload may have: with a correction on top, any."""
        free = self.coding.bounded and not self.coding.free
        return np.inf if free else self._size

    @property
    def _size(self) -> float:
        """Bytes asked for; of a draft as many more as would be spared of those of the detail."""
        size, base = self.coding.size, len(self.base)
        return base + (size - base) / _TOLD if self.draft and size > base else size

    def _steps(self, hint: Hint) -> tuple[StepSearch | BoundSearch, _Value]:
        """Steps to try, and what counts of what they give: beside the bytes of a correction."""
        coding, own = self.coding, len(self.judge.told[1])
        drafted = hint != AS_EXPECTED and hint.detailed is None
        near = _DRAFT if self.draft else _DRAFTED if drafted else _NEAR

        def whole(code: bytes, detail: Detail) -> tuple[float, Fitted]:
            fitted = self._finished(code, detail)
            return len(fitted.payload), fitted

        def error(code: bytes, detail: Detail) -> tuple[float, Fitted]:
            fitted = self._finished(code, detail)
            return self.judge.rmse_of(fitted.shown) / self.unit, fitted

        if coding.free:
            bound = _WITHIN * (self.judge.bound or self.unit) / self.unit
            return BoundSearch(bound, self._expected.by_error, hint), whole
        if coding.rmse:
            goal = coding.rmse / self.unit
            return StepSearch(goal, self._expected.by_error, hint, **near), error
        search = StepSearch(self._size - own, self._expected.by_size, hint, **near)
        return search, lambda code, _: (len(with_correction(self.base, code)) - own, None)

    @cached_property
    def _expected(self) -> Expected:
        grid, base = _detailer(self.coding, self.model).grid, len(self.base)
        area, columns = grid.area_weights, grid.shape[1]
        spared = 1.0 if self.draft else _TOLD
        left = _LEFT if self.restorable and not self.draft else 1.0
        return Expected(self._bands, self.unit, area, columns, base, spared=spared, left=left)


def _missed() -> UsageError:
    return UsageError("expected a detail that keeps what is asked for; found none.")
