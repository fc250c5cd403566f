"""How far decoded fields are from the truth: figures and spectra.

(k, rows, columns) twice --ErrorSum.add--> ... --ErrorSum.figures--> ErrorFigures
a field, its grid --spectrum--> variance per spherical-harmonic degree
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import healpy
import numpy as np
import numpy.typing as npt

from hpcodec.errors import GridError, MissingValueError
from hpcodec.grid import level_of
from hpcodec.grids import Grid
from hpcodec.stages.healpix import remap_for

__all__ = ["ErrorFigures", "ErrorSum", "spectrum", "spectrum_cells"]

_Doubles: TypeAlias = npt.NDArray[np.float64]


_SUMS = ("_area", "_first", "_second", "_most", "_minimum", "_maximum", "_count")


@dataclass(frozen=True)
class ErrorFigures:
    """How far decoded values are from the truth; NaN where nothing was compared.

    Parameters
    ----------
    rmse, max_error : float
        Root of the area-weighted mean square, and largest absolute value, of the error, in the
        unit of the field.
    bias : float
        Area-weighted mean of decoded minus truth, in the unit of the field.
    psnr : float
        ``20 log10((maximum - minimum) / rmse)`` in dB; infinite where the error is zero.
    minimum, maximum : float
        Of the truth, in the unit of the field.
    count : int
        Points compared: those with a finite truth.
    """

    rmse: float
    max_error: float
    bias: float
    psnr: float
    minimum: float
    maximum: float
    count: int

    def to_dict(self) -> dict[str, float | int | None]:
        """JSON form; what JSON cannot hold (NaN, inf) is None."""
        plain = dataclasses.asdict(self)
        return {key: value if math.isfinite(value) else None for key, value in plain.items()}


class ErrorSum:
    """Sums over any number of batches, from which :meth:`figures` makes the figures.

    Parameters
    ----------
    weights : array_like, optional
        Area of each point, broadcast over a field: ``grid.area_weights``, shape ``(rows, 1)``, for
        fields on a grid of rows and columns; None for cells, which have equal areas.

    Notes
    -----
    Memory is that of a few fields in float64, whatever the size of the batch.

    Examples
    --------
    >>> errors = ErrorSum()
    >>> errors.add([[1.0, 2.0, 5.0]], [[1.0, 2.0, 3.0]])
    >>> errors.figures().max_error
    2.0
    """

    def __init__(self, weights: npt.ArrayLike | None = None) -> None:
        self._weights = np.asarray(1 if weights is None else weights, dtype=np.float64)
        self._area = self._first = self._second = self._most = 0.0
        self._minimum, self._maximum = math.inf, -math.inf
        self._count = 0

    def add(self, decoded: npt.ArrayLike, truth: npt.ArrayLike) -> None:
        """Take in a batch; points where ``truth`` is not finite are ignored.

        Parameters
        ----------
        decoded, truth : array_like
            Shape ``(k, rows, columns)`` or ``(k, cells)``, the same unit and order. Where the
            truth is finite and ``decoded`` is not, the figures are not finite either.

        Raises
        ------
        GridError
            If the two differ in shape, or the weights do not fit.
        """
        ours, theirs = np.asarray(decoded), np.asarray(truth)
        if ours.shape != theirs.shape or theirs.ndim < 2:
            raise GridError(
                f"expected decoded and true fields of one shape (k, rows, columns) or (k, cells); "
                f"got {ours.shape} and {theirs.shape}. Compare them on one grid."
            )
        try:
            weights = np.broadcast_to(self._weights, theirs.shape[1:])
        except ValueError as error:
            raise GridError(
                f"expected fields that weights of shape {self._weights.shape} fit; got "
                f"{theirs.shape[1:]}. Give the weights of the fields' own grid."
            ) from error
        with np.errstate(over="ignore", invalid="ignore"):
            for our_field, their_field in zip(ours, theirs, strict=True):
                self._add_field(our_field, their_field, weights)

    def _add_field(
        self, decoded: npt.NDArray[Any], truth: npt.NDArray[Any], weights: _Doubles
    ) -> None:
        there = np.isfinite(truth)
        exact = truth[there].astype(np.float64)
        if not exact.size:
            return
        error, area = decoded[there].astype(np.float64) - exact, weights[there]
        self._area += float(area.sum())
        self._first += float((area * error).sum())
        self._second += float((area * error**2).sum())
        self._most = float(np.maximum(self._most, np.abs(error).max()))  # keeps NaN
        self._minimum = min(self._minimum, float(exact.min()))
        self._maximum = max(self._maximum, float(exact.max()))
        self._count += exact.size

    @property
    def sums(self) -> list[float]:
        """All that was added, for :meth:`go_on`: as JSON holds it, to the last bit."""
        return [getattr(self, name) for name in _SUMS]

    def go_on(self, sums: Sequence[float]) -> None:
        """Begin with the sums of another time."""
        for name, value in zip(_SUMS, sums, strict=True):
            setattr(self, name, value)

    def include(self, sums: Sequence[float]) -> None:
        """Take in the :attr:`sums` of other batches."""
        area, first, second, most, minimum, maximum, count = sums
        self._area += area
        self._first += first
        self._second += second
        self._most = float(np.maximum(self._most, most))  # keeps NaN
        self._minimum, self._maximum = min(self._minimum, minimum), max(self._maximum, maximum)
        self._count += int(count)

    def figures(self) -> ErrorFigures:
        """Figures of everything added so far."""
        if not self._count or not self._area:
            return ErrorFigures(*6 * (math.nan,), count=self._count)
        rmse = math.sqrt(self._second / self._area)
        return ErrorFigures(
            rmse=rmse,
            max_error=self._most,
            bias=self._first / self._area,
            psnr=_psnr(self._maximum - self._minimum, rmse),
            minimum=self._minimum,
            maximum=self._maximum,
            count=self._count,
        )


def _psnr(extent: float, rmse: float) -> float:
    if rmse == 0 or math.isnan(rmse):
        return math.inf if rmse == 0 else math.nan
    ratio = extent / rmse
    return 20 * math.log10(ratio) if ratio > 0 else -math.inf


def spectrum(field: npt.ArrayLike, grid: Grid) -> _Doubles:
    """Variance of a field per spherical-harmonic degree.

    Parameters
    ----------
    field : array_like
        Shape ``grid.shape``, any unit, finite.
    grid : Grid
        Where its values lie. They are remapped to the cells of its natural level.

    Returns
    -------
    ndarray
        As :func:`spectrum_cells` of that level.

    Raises
    ------
    GridError
        If the field is not on the grid.
    MissingValueError
        If a value is missing or infinite.
    """
    return spectrum_cells(remap_for(grid, grid.natural_level).to_healpix(field))


def spectrum_cells(cells: npt.ArrayLike) -> _Doubles:
    """Variance of a whole HEALPix sphere per spherical-harmonic degree.

    Parameters
    ----------
    cells : array_like
        Shape ``(12 * 4**level,)``, nested order, any unit, finite.

    Returns
    -------
    ndarray
        Shape ``(2 * 2**level + 1,)``, float64, unit of ``cells`` squared: for each degree l the
        area mean of the square of what lies in it, ``(2 l + 1) C_l / (4 pi)``. The sum over all
        degrees is the mean square of the field, as far as these degrees resolve it.

    Raises
    ------
    GridError
        If no level has that many cells.
    MissingValueError
        If a value is missing or infinite.

    Examples
    --------
    >>> spectrum_cells(np.full(192, 3.0)).round(6)[:3] + 0.0
    array([9., 0., 0.])
    """
    values = np.asarray(cells, dtype=np.float64)
    if values.ndim != 1:
        raise GridError(f"expected one field as (cells,); got shape {values.shape}. Give one step.")
    degrees = 2 * 2 ** level_of(values.size)
    if not np.isfinite(values).all():
        raise MissingValueError("expected finite cells; got NaN or inf. Fill missing values first.")
    mean = values.mean()
    ring = healpy.reorder(values - mean, n2r=True)
    power = np.asarray(healpy.anafast(ring, lmax=degrees, pol=False), dtype=np.float64)
    power *= (2 * np.arange(degrees + 1) + 1) / (4 * np.pi)
    power[0] += mean**2  # apart from the rest, that a pressure of 1e5 does not leak into it
    return power
