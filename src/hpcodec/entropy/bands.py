"""Symbols of the bands of a wavelet transform <-> bytes, with no model: counted along the way.

coefficients over their step --encode_bands--> symbols, bytes --decode_bands--> symbols

Each band is coded in four passes, a quarter of its places each. How large a symbol is likely to be
follows from symbols around it that are decoded: of its own band, of the bands of the same halving,
and of the band with the same direction one halving coarser. What symbols of such surroundings were
is counted. All is whole numbers, so that every machine decodes the same.

Layout (format 1, little endian)::

    size    uint16   mean magnitude of the coarsest details
    length  uint32   bytes of the code of the means
    means   their symbols, coded by :mod:`hpcodec.integers`
    details range code
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.choice import choose
from hpcodec.entropy.coding import Decoder, RangeEncoder, decode_planned, encode_planned
from hpcodec.entropy.tables import LARGEST, TOTAL, Plan, Tables, high_part, plan_for
from hpcodec.errors import FormatError
from hpcodec.integers import decode_integers, encode_integers

__all__ = ["decode_bands", "encode_bands"]

Integers = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

_HEAD = struct.Struct("<HI")
_BANDS = 3  # of a halving

# First row and column of each pass.
_PASSES = ((0, 0), (1, 1), (0, 1), (1, 0))

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

_PART = 8192  # symbols between one look at the counts and the next
_COUNT, _FORGET = 512, 3000 * 512


class _Counts:
    """How often each symbol was found, by activity."""

    def __init__(self) -> None:
        size = np.abs(np.arange(2 * LARGEST + 1) - LARGEST)
        mean = np.rint(2 ** (np.arange(_TOP + 1) / 3))[:, None]
        share = mean / (mean + 256)
        expected = np.where(size == 0, 1 - share, share / 2 * (1 - share))
        for _ in range(LARGEST):  # products one by one: the same on every machine
            expected = np.where(size > 1, expected * share, expected)
            size = np.maximum(size - 1, 0)
        self._found: Longs = 1 + (16 * _COUNT * expected).astype(np.int64)

    def tables(self) -> Tables:
        """Tables as :mod:`hpcodec.entropy.coding` takes them, one for each activity."""
        entries = self._found.shape[1]
        tables: Longs = 1 + self._found * (TOTAL - entries) // self._found.sum(1, keepdims=True)
        tables[:, LARGEST] += TOTAL - tables.sum(1)
        return tables

    def learn(self, symbols: Integers, plan: Plan) -> None:
        """Count symbols; and halve what is large, for finer bands are not like coarse ones."""
        high = np.clip(high_part(symbols, plan), -LARGEST, LARGEST) + LARGEST
        entries = self._found.shape[1]
        seen = np.bincount(plan.table * entries + high, minlength=self._found.size)
        self._found += _COUNT * seen.reshape(self._found.shape)
        large = self._found.sum(1) > _FORGET
        self._found[large] = (self._found[large] + 1) >> 1


class _Coder(ABC):
    """Goes over the passes; what to do with the symbols of one is up to encoder and decoder."""

    def __init__(self, means: Integers, shapes: Sequence[tuple[int, int]], size: int) -> None:
        self.symbols = [means, *(np.zeros(shape, np.int32) for shape in shapes[1:])]
        self._size = size

    @abstractmethod
    def take(self, number: int, phase: int, part: slice, plan: Plan, tables: Tables) -> Integers:
        """Symbols of a part of a pass; encoding, from coefficients, and decoding, from bytes."""

    def run(self) -> None:
        """All passes of all bands but the means, in their order."""
        counts = _Counts()
        for number, band in enumerate(self.symbols[1:], 1):
            for phase, (row, column) in enumerate(_PASSES):
                places = band[row::2, column::2]
                activity = self._activity(number, phase, places.shape).reshape(-1)
                taken = np.zeros(activity.size, np.int32)
                for start in range(0, activity.size, _PART):
                    part = slice(start, start + _PART)
                    plan = plan_for(activity[part], _TOP)
                    taken[part] = self.take(number, phase, part, plan, counts.tables())
                    counts.learn(taken[part], plan)
                places[:] = taken.reshape(places.shape)

    def _activity(self, number: int, phase: int, shape: tuple[int, ...]) -> Longs:
        """What is likely to go on at each place of a pass, in thirds of an octave."""
        row, column = _PASSES[phase]
        near, far = self._own(number, phase, shape)
        at, around = self._coarser(number, shape)
        first = number - (number - 1) % _BANDS
        siblings = [_magnitudes(band)[row::2, column::2] for band in self.symbols[first:number]]
        beside = sum((_fitted(band, shape) for band in siblings), np.zeros(shape, np.int64))
        told = (near, far, at, around, beside // max(1, len(siblings)), np.ones(shape, np.int64))
        total = np.zeros(shape, np.int64)
        for weight, one in zip(_WEIGHTS[phase], told, strict=True):
            total += weight * one
        return np.searchsorted(_EDGES, total >> 4, "right")

    def _own(self, number: int, phase: int, shape: tuple[int, ...]) -> tuple[Longs, Longs]:
        """Sums of the magnitudes of the band that are decoded, nearest and farther."""
        row, column = _PASSES[phase]
        padded = _around(_magnitudes(self.symbols[number]), 2)
        sums = np.zeros((2, *shape), np.int64)
        for y, x in _known(phase):
            low, left = 2 + row + y, 2 + column + x
            sums[int(y**2 + x**2 > _NEAR[phase])] += padded[low::2, left::2][: shape[0], : shape[1]]
        return sums[0], sums[1]

    def _coarser(self, number: int, shape: tuple[int, ...]) -> tuple[Longs, Longs]:
        """Magnitudes of the coarser band at each place, and the sum of the eight around it."""
        if number <= _BANDS:
            at = np.full(shape, self._size, np.int64)
            return at, 8 * at
        at = _magnitudes(self.symbols[number - _BANDS])
        padded, (rows, columns) = _around(at, 1), at.shape
        box = sum((padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)), -at)
        return _fitted(at, shape), _fitted(box, shape)


class _Encoder(_Coder):
    def __init__(
        self, means: Integers, bands: Sequence[npt.NDArray[Any]], size: int, worth: float
    ) -> None:
        super().__init__(means, [(band.shape[0], band.shape[1]) for band in bands], size)
        self.coder, self._bands, self._worth = RangeEncoder(), bands, worth

    def take(self, number: int, phase: int, part: slice, plan: Plan, tables: Tables) -> Integers:
        row, column = _PASSES[phase]
        scaled = self._bands[number][row::2, column::2].reshape(-1)[part]
        symbols = choose(np.asarray(scaled, np.float32), plan, tables, self._worth)
        encode_planned(self.coder, symbols, plan, tables)
        return symbols


class _Decoder(_Coder):
    def __init__(
        self, means: Integers, shapes: Sequence[tuple[int, int]], size: int, code: bytes
    ) -> None:
        super().__init__(means, shapes, size)
        self.coder = Decoder(code)

    def take(self, number: int, phase: int, part: slice, plan: Plan, tables: Tables) -> Integers:
        return decode_planned(self.coder, plan, tables)


def encode_bands(
    bands: Sequence[npt.NDArray[np.floating]], worth: float
) -> tuple[list[Integers], bytes]:
    """Symbols of coefficients over their step, and their code.

    Parameters
    ----------
    bands : sequence of ndarray
        As :func:`hpcodec.stages.wavelets.to_bands` gives them, over their step, magnitudes below
        2**28.
    worth : float
        Squared error, in steps, that a bit has to save.
    """
    means = np.rint(bands[0]).astype(np.int32)
    coarsest = [float(np.abs(band).mean()) for band in bands[1 : 1 + _BANDS]]
    size = int(np.clip(np.mean(coarsest), 0, _LARGE - 1)) if coarsest else 0
    encoder = _Encoder(means, bands, size, worth)
    encoder.run()
    code = encode_integers(means)
    rest = bytes(encoder.coder.get_compressed().astype("<u4").tobytes())
    return encoder.symbols, _HEAD.pack(size, len(code)) + code + rest


def decode_bands(code: bytes, shapes: Sequence[tuple[int, int]]) -> list[Integers]:
    """Inverse of :func:`encode_bands`: symbols of bands of these shapes.

    Raises
    ------
    FormatError
        If the bytes are none that it makes.
    """
    size, length = _HEAD.unpack_from(code) if len(code) >= _HEAD.size else (0, len(code))
    if (at := _HEAD.size + length) > len(code):
        raise FormatError(f"expected code of bands; got {len(code)} bytes. The store is damaged.")
    means = decode_integers(code[_HEAD.size : at], shapes[0])
    decoder = _Decoder(means, shapes, size, code[at:])
    decoder.run()
    decoder.coder.finish()
    return decoder.symbols


def _known(phase: int) -> Iterator[tuple[int, int]]:
    """Places around one of a pass, at most two rows and columns away, of the passes before."""
    row, column = _PASSES[phase]
    for y, x in product(range(-2, 3), repeat=2):
        before = _PASSES.index(((row + y) % 2, (column + x) % 2)) < phase
        if before and y**2 + x**2 <= _FAR:
            yield y, x


def _magnitudes(symbols: Integers) -> Longs:
    return np.minimum(np.abs(symbols.astype(np.int64)), _LARGE)


def _around(band: Longs, ring: int) -> Longs:
    """With a ring: columns go round the globe, rows repeat the last."""
    wide = np.pad(band, ((0, 0), (ring, ring)), mode="wrap")
    return np.pad(wide, ((ring, ring), (0, 0)), mode="edge")


def _fitted(band: Longs, shape: tuple[int, ...]) -> Longs:
    """A band with so many rows and columns: one more repeats the last."""
    more = [(0, max(0, wanted - got)) for wanted, got in zip(shape, band.shape, strict=True)]
    return np.pad(band, more, mode="edge")[: shape[0], : shape[1]]
