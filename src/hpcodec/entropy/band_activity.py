"""How large a symbol of a band is likely to be, by magnitudes decoded around it: fixed weights.

symbols decoded --plan--> Plan of a pass
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.band_counts import geometric
from hpcodec.entropy.band_places import BANDS, PASSES, around, boxes, fitted, known, siblings
from hpcodec.entropy.tables import Plan, plan_for

__all__ = ["BandActivity"]

Integers = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

# By pass, what the magnitudes around tell of the next one, in 4096ths: those of its band that are
# nearest, and that are farther; the coarser band at the place, and the eight around it; the mean
# of the bands of the same halving; and a constant. Fitted to training fields.
_WEIGHTS = (
    (0, 0, 154, 31, 122, 102),
    (534, 0, 64, 13, 165, 8),
    (631, 23, 58, 6, 84, 5),
    (620, 17, 43, 8, 71, 4),
)
_NEAR, _FAR = (0, 2, 1, 1), 5  # squared distances, in places

_TOP = 30  # activity of the last table, of symbols of about four; 24 is that of one
_EDGES = np.ceil(2 ** ((np.arange(80) + 0.5) / 3)).astype(np.int64)
_LARGE = 1 << 16


class BandActivity:
    """Plans of passes, by fixed weights.

    Parameters
    ----------
    symbols : sequence of ndarray of int32
        Of all bands, zero where none is decoded yet; filled by whoever decodes.
    size : int
        Mean magnitude of the coarsest details.
    """

    expected, sure = geometric(_TOP), 16

    def __init__(self, symbols: Sequence[Integers], size: int) -> None:
        self._symbols, self._size = symbols, size

    def plan(self, number: int, phase: int) -> tuple[Plan, None]:
        """Plan of a pass of a band; and no symbol of it is coded with its sign turned."""
        row, column = PASSES[phase]
        shape = self._symbols[number][row::2, column::2].shape
        near, far = self._own(number, phase, shape)
        at, ring = self._coarser(number, shape)
        before = [_magnitudes(self._symbols[one])[row::2, column::2] for one in siblings(number)]
        beside = sum((fitted(band, shape) for band in before), np.zeros(shape, np.int64))
        told = (near, far, at, ring, beside // max(1, len(before)), np.ones(shape, np.int64))
        total = np.zeros(shape, np.int64)
        for weight, one in zip(_WEIGHTS[phase], told, strict=True):
            total += weight * one
        return plan_for(np.searchsorted(_EDGES, total >> 4, "right").reshape(-1), _TOP), None

    def _own(self, number: int, phase: int, shape: tuple[int, ...]) -> tuple[Longs, Longs]:
        """Sums of the magnitudes of the band that are decoded, nearest and farther."""
        row, column = PASSES[phase]
        padded = around(_magnitudes(self._symbols[number]), 2)
        sums = np.zeros((2, *shape), np.int64)
        for y, x in known(phase, _FAR):
            low, left = 2 + row + y, 2 + column + x
            sums[int(y**2 + x**2 > _NEAR[phase])] += padded[low::2, left::2][: shape[0], : shape[1]]
        return sums[0], sums[1]

    def _coarser(self, number: int, shape: tuple[int, ...]) -> tuple[Longs, Longs]:
        """Magnitudes of the coarser band at each place, and the sum of the eight around it."""
        if number <= BANDS:
            at = np.full(shape, self._size, np.int64)
            return at, 8 * at
        at = _magnitudes(self._symbols[number - BANDS])
        (square,) = boxes(at.astype(np.int32), 1)
        around_it = np.asarray(fitted(square - at, shape), np.int64)
        return np.asarray(fitted(at, shape), np.int64), around_it


def _magnitudes(symbols: Integers) -> Longs:
    return np.minimum(np.abs(symbols.astype(np.int64)), _LARGE)
