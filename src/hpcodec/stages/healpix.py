"""Remap between any grid and HEALPix cells of one level, nested order.

(..., *grid.shape) --to_healpix--> (..., 12 * 4**level) --to_grid--> (..., *grid.shape)
a grid and a level   --remap_for-->  Remap; remap_operators builds and caches what it applies
least_squares: the cells from which interpolating back comes close to the source
idw: inverse distance both ways, as in the paper
conservative: means by area both ways, then least squares; the global mean stays what it was
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.errors import GridError, LevelError, MissingValueError, UsageError, nearest
from hpcodec.grid import cell_count
from hpcodec.grids import Grid
from hpcodec.remap_operators import Floats, operators_for

__all__ = ["METHODS", "Remap", "remap_for"]

METHODS = ("least_squares", "idw", "conservative")

_FINEST = 10


@dataclass(frozen=True)
class Remap:
    """Remap of fields between one grid and the HEALPix cells of one level.

    Parameters
    ----------
    grid : Grid
        Where the values of the fields lie.
    level : int
        HEALPix level, 0 to 10.
    method : str
        One of ``METHODS``.

    Raises
    ------
    UsageError
        If ``method`` is not one of ``METHODS``.
    LevelError
        If ``level`` is not within 0 to 10.

    Notes
    -----
    Both directions are linear in the field, up to rounding, and keep a constant field. The
    operators are held by the process and in the user's cache, not by this value.

    References
    ----------
    Meuer et al. 2026, section 4 (``idw``); Golub and Varga 1961 (the semi-iteration).

    Examples
    --------
    >>> from hpcodec.grid import LatLonGrid
    >>> remap = Remap(LatLonGrid.regular((90.0, -10.0, 19), (0.0, 10.0, 36)), 2, "least_squares")
    >>> remap.to_healpix(np.full((19, 36), 280.0)).shape
    (192,)
    """

    grid: Grid
    level: int
    method: str

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(
                f"expected a remap method; got {self.method!r}. {nearest(self.method, METHODS)}"
            )
        if not 0 <= self.level <= _FINEST:
            raise LevelError(
                f"expected a HEALPix level from 0 to {_FINEST}; got {self.level}. "
                f"The grid's own level is {self.grid.natural_level}."
            )

    def to_healpix(self, values: npt.ArrayLike) -> Floats:
        """Cells of fields on the grid.

        Parameters
        ----------
        values : array_like
            Shape ``(..., *grid.shape)``, any unit, finite.

        Returns
        -------
        ndarray
            Shape ``(..., 12 * 4**level)``, nested order, unit of ``values``, float32.

        Raises
        ------
        GridError
            If the last axes are not those of the grid.
        MissingValueError
            If a value is missing or infinite.
        """
        fields = _checked(values, self.grid.shape, "grid")
        operators = operators_for(self.grid, self.level, self.method)
        return _apply(operators.cells_of, fields, (cell_count(self.level),), len(self.grid.shape))

    def to_grid(self, cells: npt.ArrayLike) -> Floats:
        """Fields on the grid of their cells.

        Parameters
        ----------
        cells : array_like
            Shape ``(..., 12 * 4**level)``, nested order, any unit, finite.

        Returns
        -------
        ndarray
            Shape ``(..., *grid.shape)``, unit of ``cells``, float32.

        Raises
        ------
        GridError
            If the last axis has not the level's number of cells.
        MissingValueError
            If a value is missing or infinite.
        """
        fields = _checked(cells, (cell_count(self.level),), f"level {self.level} (cells)")
        operators = operators_for(self.grid, self.level, self.method)
        return _apply(operators.points_of, fields, self.grid.shape, 1)

    def floor(self, values: npt.ArrayLike) -> tuple[float, float]:
        """Error of the remap there and back, with nothing in between.

        Parameters
        ----------
        values : array_like
            Shape ``(..., *grid.shape)``, any unit, finite.

        Returns
        -------
        rmse, max_error : float
            Root of the area-weighted mean square, and largest absolute value, of the
            difference over all fields, in the unit of ``values``.

        Raises
        ------
        GridError, MissingValueError
            As :meth:`to_healpix`.
        """
        error = self.to_grid(self.to_healpix(values)) - np.asarray(values, dtype=np.float64)
        rmse = np.sqrt(np.mean(self.grid.area_weights * error**2))
        return float(rmse), float(np.abs(error).max())


def remap_for(grid: Grid, level: int, method: str = "least_squares") -> Remap:
    """Remap between ``grid`` and the HEALPix cells of ``level``.

    Raises
    ------
    UsageError, LevelError
        As :class:`Remap`.
    """
    return Remap(grid, level, method)


def _checked(values: npt.ArrayLike, last: tuple[int, ...], what: str) -> npt.NDArray[Any]:
    fields = np.asarray(values)
    if fields.shape[fields.ndim - len(last) :] != last or fields.ndim < len(last):
        raise GridError(
            f"expected last axes {last} for the {what}; got shape {fields.shape}. "
            "Give whole fields, horizontal axes last, or make a remap for their own grid."
        )
    if fields.dtype.kind not in "biuf":
        raise GridError(f"expected real numbers; got {fields.dtype}. Convert the field first.")
    if not np.isfinite(fields).all():
        raise MissingValueError(
            f"expected finite values on the {what}; got NaN or inf. Fill missing values first."
        )
    return fields


def _apply(
    step: Callable[[Floats], Floats], fields: npt.NDArray[Any], shape: tuple[int, ...], axes: int
) -> Floats:
    """``step`` on each field less its mean: a pressure of 1e5 keeps its digits that way."""
    leading, last = fields.shape[: fields.ndim - axes], fields.shape[fields.ndim - axes :]
    count = int(np.prod(leading, dtype=np.int64))
    result = np.empty((count, int(np.prod(shape))), dtype=np.float32)
    for row, field in zip(result, fields.reshape(count, int(np.prod(last))), strict=True):
        offset = field.mean(dtype=np.float64)
        row[:] = step((field - offset).astype(np.float32)) + offset
    return result.reshape(leading + shape)
