"""What a page shows of the variables of a store, gathered while they are compared.

StoredVariable, original and decoded fields --View.add--> spread of errors, the field to be shown
"""

from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.figures import ErrorFigures, ErrorSum
from hpcodec.spread import ErrorSpread, bands_of
from hpcodec.stages.zarr_store import StoredVariable

__all__ = ["View", "names_along"]


class View:
    """Errors of one variable, and its field with the largest RMSE; the first where none has one.

    Of its bound, if it has one, the least and the largest of all fields, in its unit, and how much
    of its own the error of any field takes, as a fraction: ``bound`` and ``used``.
    The bands of ``spread`` are at ``latitude``, in degrees.

    Parameters
    ----------
    item : StoredVariable
        The variable.
    limit : float
        Its largest error, as the store tells it, in its unit; 0 or NaN if it does not.
    """

    def __init__(self, item: StoredVariable, limit: float) -> None:
        self.item = item
        grid = item.coding.grid
        self.latitude, bands = bands_of(grid)
        self.spread = ErrorSpread(grid.area_weights, limit, bands)
        self.bound, self.used = (0.0, 0.0), 0.0
        self.step, self.figures = -1, ErrorSum().figures()
        self.truth = self.decoded = np.empty((0, 0))
        self._levels: dict[int, ErrorSum] = {}

    def add(self, start: int, truth: npt.NDArray[Any], decoded: npt.NDArray[Any]) -> None:
        """Take in a batch ``(k, *grid.shape)`` that begins with step ``start``."""
        self.spread.add(decoded, truth)
        coding, inner = self.item.coding, prod(self.item.leading_shape[1:])
        for step, (one, other) in enumerate(zip(truth, decoded, strict=True), start):
            errors = ErrorSum(coding.grid.area_weights)
            errors.add(other[None], one[None])
            figures = errors.figures()
            if self.step < 0 or figures.rmse > np.nan_to_num(self.figures.rmse, nan=-1.0):
                self.step, self.figures = step, figures
                self.truth, self.decoded = (
                    np.where(np.isfinite(field), field, np.nan).astype(np.float64)
                    for field in (one, other)
                )
            if coding.bounded:
                bound = coding.bound(one)
                least, most = self.bound if any(self.bound) else (bound, bound)
                self.bound = min(least, bound), max(most, bound)
                if figures.max_error > 0:
                    self.used = max(self.used, figures.max_error / bound if bound else math.inf)
            if inner > 1:
                level = self._levels.setdefault(step % inner, ErrorSum(coding.grid.area_weights))
                level.add(other[None], one[None])

    @property
    def exact(self) -> bool:
        """Whether no value of any field has an error."""
        return not self.spread.most.any()

    @property
    def levels(self) -> dict[int, ErrorFigures]:
        """Errors by place along leading dimensions but the first; none if it is the only one."""
        return {place: errors.figures() for place, errors in sorted(self._levels.items())}


def names_along(skeleton: xr.Dataset, item: StoredVariable) -> list[list[str]]:
    """Of each leading dimension of a variable, what its places are called.

    Parameters
    ----------
    skeleton : xr.Dataset
        Raw, with the coordinates of the store.
    item : StoredVariable
        The variable.
    """
    leading = zip(item.dims, item.leading_shape, strict=False)
    return [_names(skeleton, dim, size) for dim, size in leading]


def _names(skeleton: xr.Dataset, dim: str, size: int) -> list[str]:
    plain = [f"{dim} {number}" for number in range(1, size + 1)]
    if dim not in skeleton.variables:
        return plain
    try:
        coordinate = xr.decode_cf(skeleton[[dim]]).variables[dim]
        values = coordinate.to_numpy()
    except (ValueError, TypeError, OverflowError):  # times that are none
        return plain
    if values.shape != (size,):
        return plain
    if values.dtype.kind == "M":
        return [str(time).replace("T", " ") for time in np.datetime_as_string(values, "m")]
    units = str(coordinate.attrs.get("units", ""))
    told = [f"{value:g}" if values.dtype.kind in "iuf" else str(value) for value in values]
    return [f"{dim} {value} {units if units != '1' else ''}".rstrip() for value in told]
