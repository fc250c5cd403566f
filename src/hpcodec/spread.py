"""How errors are spread, by size and by latitude, over all fields of a variable.

(k, rows, columns) twice --ErrorSpread.add--> ... --shares, rmse, most, bias--> what a chart shows
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BINS", "ErrorSpread"]

_Doubles: TypeAlias = npt.NDArray[np.float64]

BINS = 101
"""Of the histogram; odd, so that small errors of both signs are in the one in the middle."""


class ErrorSpread:
    """Sums over any number of batches.

    Parameters
    ----------
    area_weights : ndarray
        ``(rows, 1)``, of the grid.
    limit : float
        Largest error that the histogram has room for, in the unit of the field; larger ones count
        in its last bins. If it is none, that of the first batch.

    Examples
    --------
    >>> spread = ErrorSpread(np.ones((2, 1)), 1.0)
    >>> spread.add(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.array([[[1.0, 2.0], [3.0, 3.5]]]))
    >>> float(spread.shares.max()), spread.rmse.round(3).tolist(), spread.most.tolist()
    (0.75, [0.0, 0.354], [0.0, 0.5])
    """

    def __init__(self, area_weights: npt.NDArray[Any], limit: float) -> None:
        self._weights, self._limit = area_weights, limit
        rows = area_weights.shape[0]
        self._points, self._first, self._second, self.most = np.zeros((4, rows))
        self._held = np.zeros(BINS)

    def add(self, decoded: npt.NDArray[Any], truth: npt.NDArray[Any]) -> None:
        """Take in a batch ``(k, rows, columns)``; points without a finite truth are ignored."""
        for ours, theirs in zip(decoded, truth, strict=True):
            there = np.isfinite(theirs)
            with np.errstate(invalid="ignore"):  # infinity less infinity
                error = np.where(there, ours.astype(np.float64) - theirs, 0.0)
            self._points += there.sum(1)
            self._first += error.sum(1)
            self._second += (error**2).sum(1)
            self.most = np.maximum(self.most, np.abs(error).max(1))  # keeps NaN
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
        """Root of the mean square error of each row; NaN where nothing was compared."""
        return np.asarray(np.sqrt(self._mean(self._second)))

    @property
    def bias(self) -> _Doubles:
        """Mean error of each row; NaN where nothing was compared."""
        return self._mean(self._first)

    def _mean(self, sums: _Doubles) -> _Doubles:
        there = self._points > 0
        means = np.full(sums.size, np.nan)
        means[there] = sums[there] / self._points[there]
        return means
