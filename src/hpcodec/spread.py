"""How errors are spread, by size and by latitude, over all fields of a variable.

fields twice --ErrorSpread.add--> ... --shares, rmse, most, bias--> what a chart shows
grid --bands_of--> latitudes, and which of them each point counts to
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hpcodec.grids import Grid, LatLonGrid

__all__ = ["BINS", "ErrorSpread", "bands_of"]

_Doubles: TypeAlias = npt.NDArray[np.float64]
_Places: TypeAlias = npt.NDArray[np.int64]

BINS = 101
"""Of the histogram; odd, so that small errors of both signs are in the one in the middle."""

_POINTS = 30
"""That a band of latitude has on average, where a grid has no rows of its own."""


def bands_of(grid: Grid) -> tuple[_Doubles, _Places]:
    """Latitudes of bands, and the band of each point, in the shape of a field or broadcast over it.

    Rows where the grid has rows of one latitude; else bands as wide as each other, without those
    that no point is in.
    """
    if isinstance(grid, LatLonGrid):
        return np.asarray(grid.latitude), np.arange(grid.shape[0])[:, None]
    latitude, _ = grid.points
    count = max(1, min(180, latitude.size // _POINTS))
    places = ((90 - latitude) / 180 * count).astype(np.int64).clip(0, count - 1)
    there, band = np.unique(places, return_inverse=True)
    return 90 - 180 * (there + 0.5) / count, band.reshape(grid.shape)


class ErrorSpread:
    """Sums over any number of batches.

    Parameters
    ----------
    area_weights : ndarray
        Of the grid, broadcast over a field.
    limit : float
        Largest error that the histogram has room for, in the unit of the field; larger ones count
        in its last bins. If it is none, that of the first batch.
    bands : ndarray of int, optional
        Band of each point, broadcast over a field, from :func:`bands_of`; rows by default.

    Examples
    --------
    >>> spread = ErrorSpread(np.ones((2, 1)), 1.0)
    >>> spread.add(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.array([[[1.0, 2.0], [3.0, 3.5]]]))
    >>> float(spread.shares.max()), spread.rmse.round(3).tolist(), spread.most.tolist()
    (0.75, [0.0, 0.354], [0.0, 0.5])
    """

    def __init__(
        self, area_weights: npt.NDArray[Any], limit: float, bands: _Places | None = None
    ) -> None:
        self._weights, self._limit = area_weights, limit
        self._bands = np.arange(area_weights.shape[0])[:, None] if bands is None else bands
        self._points, self._first, self._second, self.most = np.zeros((4, self._bands.max() + 1))
        self._held = np.zeros(BINS)

    def add(self, decoded: npt.NDArray[Any], truth: npt.NDArray[Any]) -> None:
        """Take in a batch ``(k, ...)``; points without a finite truth are ignored."""
        for ours, theirs in zip(decoded, truth, strict=True):
            there = np.isfinite(theirs)
            with np.errstate(invalid="ignore"):  # infinity less infinity
                error = np.where(there, ours.astype(np.float64) - theirs, 0.0)
            bands = np.broadcast_to(self._bands, there.shape).ravel()
            for sums, parts in (
                (self._points, there),
                (self._first, error),
                (self._second, error**2),
            ):
                sums += np.bincount(bands, parts.ravel(), sums.size)
            np.maximum.at(self.most, bands, np.abs(error).ravel())  # keeps NaN
            self._count(error[there], np.broadcast_to(self._weights, there.shape)[there])

    def _count(self, error: _Doubles, area: _Doubles) -> None:
        if not self._limit > 0:
            self._limit = float(np.abs(error).max(initial=0.0))
        inside = np.nan_to_num(error / (self._limit or 1.0), nan=1.0).clip(-1, 1)
        places = ((inside + 1) / 2 * BINS).astype(int).clip(0, BINS - 1)
        self._held += np.bincount(places, area, BINS)

    @property
    def edges(self) -> _Doubles:
        """Of the bins, ``(BINS + 1,)``, in the unit of the field."""
        limit = self._limit if self._limit > 0 else 1.0
        return np.linspace(-limit, limit, BINS + 1, dtype=np.float64)

    @property
    def shares(self) -> _Doubles:
        """Of the area with a value, what has an error in each bin: ``(BINS,)``."""
        return self._held / max(float(self._held.sum()), np.finfo(float).tiny)

    @property
    def rmse(self) -> _Doubles:
        """Root of the mean square error of each band; NaN where nothing was compared."""
        return np.asarray(np.sqrt(self._mean(self._second)))

    @property
    def bias(self) -> _Doubles:
        """Mean error of each band; NaN where nothing was compared."""
        return self._mean(self._first)

    def _mean(self, sums: _Doubles) -> _Doubles:
        there = self._points > 0
        means = np.full(sums.size, np.nan)
        means[there] = sums[there] / self._points[there]
        return means
