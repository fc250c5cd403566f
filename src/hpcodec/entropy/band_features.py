"""What is decoded around a symbol of a band, as small whole numbers for a network.

symbols decoded --features--> (features, places) int16: with a sign, then without
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, product
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.band_places import BANDS, PASSES, around, boxes, fitted, known, siblings

__all__ = ["SIGNED", "SIZES", "BandFeatures", "varying"]

Integers = npt.NDArray[np.int32]
Shorts = npt.NDArray[Any]  # of int16
Whole = npt.NDArray[Any]  # of integers

_FAR = 8  # squared distance: five by five places
_OTHERS = BANDS - 1

SIGNED = tuple(sum(1 for _ in known(phase, _FAR)) + 9 + 2 * _OTHERS for phase in range(len(PASSES)))
"""Features with a sign, by pass."""

SIZES = 20
"""Features without one, of any pass."""

_SAME = (3, 17, 18, 19)  # of the sizes: of a whole pass
# Magnitudes above this say no more about what comes next; it also keeps sums small.
_CAP, _SCALE = 1 << 12, 4
_MOST_HALVINGS, _HALVING = 5, 50

# 16 log2(1 + x), whole; the nudge is far from any of its steps.
_LOGARITHM = np.minimum(np.floor(16 * np.log2(1.0 + np.arange(1 << 16)) + 1e-6), 255).astype("i2")


def varying(phase: int) -> Iterator[int]:
    """Features of a pass that differ from place to place."""
    sizes = (SIGNED[phase] + one for one in range(SIZES) if one not in _SAME)
    return chain(range(SIGNED[phase]), sizes)


def _log(sums: Whole) -> Shorts:
    found: Shorts = _LOGARITHM[np.minimum(sums, len(_LOGARITHM) - 1)]
    return found


def _sized(symbols: Integers) -> Integers:
    return np.asarray(np.minimum(np.abs(symbols.astype(np.int64)), _CAP) * _SCALE, np.int32)


def _signed(symbols: Integers) -> Shorts:
    """Half of the logarithm of the magnitude, with the sign."""
    return np.asarray(np.sign(symbols) * (_log(_sized(symbols)) >> 1), np.int16)


def _mean(sizes: Whole, count: int) -> Shorts:
    return _log(np.asarray(16 * int(sizes.sum(dtype=np.int64)) // max(1, count)))


def _twice(band: Whole) -> Whole:
    return band.repeat(2, 0).repeat(2, 1)


class BandFeatures:
    """Features of the passes of bands, in their order.

    Parameters
    ----------
    symbols : sequence of ndarray of int32
        Of all bands, zero where none is decoded yet; filled by whoever decodes.
    """

    def __init__(self, symbols: Sequence[Integers]) -> None:
        self._symbols = symbols
        self._number = 0

    def features(self, number: int, phase: int) -> Shorts:
        """Features ``(SIGNED[phase] + SIZES, places)`` of a pass of a band."""
        if number != self._number:
            self._begin(number)
        row, column = PASSES[phase]
        at = self._symbols[number][row::2, column::2].shape
        signed, sizes = self._own(number, phase, at)
        beside = [one[row::2, column::2] for one in self._beside]
        signed += [*self._parents[0], *beside[:_OTHERS]]
        sizes += [*beside[_OTHERS:], *self._parents[1]]
        found = np.empty((len(signed) + len(sizes), *at), np.int16)
        for place, one in enumerate((*signed, *sizes)):
            found[place] = one[: at[0], : at[1]] if np.ndim(one) else one
        return found.reshape(len(found), -1)

    def _begin(self, number: int) -> None:
        """What all passes of a band share."""
        self._number = number
        self._sizes = {one: _sized(band) for one, band in enumerate(self._symbols[:number])}
        rows, columns = self._symbols[number].shape
        self._parents = self._of_parents(number, ((rows + 1) // 2, (columns + 1) // 2))
        self._beside = self._of_siblings(number, (rows, columns))

    def _own(
        self, number: int, phase: int, at: tuple[int, ...]
    ) -> tuple[list[Shorts], list[Shorts]]:
        """Of the band itself: each of the places near; sums over squares, and the mean."""
        row, column = PASSES[phase]
        band = self._symbols[number]
        ringed = around(_signed(band), 2)
        signed = [
            ringed[2 + row + y :: 2, 2 + column + x :: 2][: at[0], : at[1]]
            for y, x in known(phase, _FAR)
        ]
        if not phase:
            return signed, [np.zeros((), np.int16)] * 4
        size = _sized(band)
        three, five, nine = (one[row::2, column::2] for one in boxes(size, 1, 2, 4))
        count = sum(band[low::2, left::2].size for low, left in PASSES[:phase])
        sums = [_log(three), _log((five - three) >> 1), _log((nine - five) >> 3)]
        return signed, [*sums, _mean(size, count)]

    def _of_siblings(self, number: int, shape: tuple[int, int]) -> list[Shorts]:
        """Of the bands of the same halving: themselves; and sizes, there and around."""
        signed: list[Shorts] = []
        sizes: list[Shorts] = []
        for one in siblings(number):
            size = fitted(self._sizes[one], shape)
            three, seven = boxes(size, 1, 3)
            signed.append(fitted(_signed(self._symbols[one]), shape))
            sizes += [_log(size), _log((three - size) >> 1), _log((seven - three) >> 3)]
        nothing = [np.zeros(shape, np.int16)]
        missing = _OTHERS - len(signed)
        return [*signed, *missing * nothing, *sizes, *3 * missing * nothing]

    def _of_parents(self, number: int, shape: tuple[int, int]) -> tuple[list[Shorts], list[Shorts]]:
        """Of the coarser bands, and of the halving and the sibling before; at a pass's places."""
        parent, grand = number - BANDS, number - 2 * BANDS
        nothing = np.zeros((), np.int16)
        signed: list[Shorts] = [nothing] * (9 + _OTHERS)
        sizes: list[Shorts] = [nothing] * 7
        if parent > 0:
            first = parent - (parent - 1) % BANDS
            others = [one for one in range(first, first + BANDS) if one != parent]
            ringed = around(fitted(_signed(self._symbols[parent]), shape), 1)
            signed = [
                ringed[y : y + shape[0], x : x + shape[1]] for y, x in product(range(3), repeat=2)
            ] + [fitted(_signed(self._symbols[one]), shape) for one in others]
            size = fitted(self._sizes[parent], shape)
            rest = np.zeros(shape, np.int32)
            for one in others:
                rest += fitted(self._sizes[one], shape)
            three, five = boxes(size, 1, 2)
            sizes[:3] = [_log(size), _log((three - size) >> 1), _log((five - three) >> 2)]
            sizes[3:5] = [_log(rest), _log(boxes(rest, 1)[0] >> 2)]
        if grand > 0:
            size = self._sizes[grand]
            sizes[5] = _log(fitted(_twice(size), shape))
            sizes[6] = _log(fitted(_twice(boxes(size, 1)[0]), shape) >> 2)
        halvings = (len(self._symbols) - 1 - number) // BANDS
        told = [np.asarray(_HALVING * min(halvings, _MOST_HALVINGS), np.int16)]
        for one in (parent, number - 1):
            there = one > 0 and (one == parent or one in siblings(number))
            told.append(_mean(self._sizes[one], self._sizes[one].size) if there else nothing)
        return signed, [*sizes, *told]
