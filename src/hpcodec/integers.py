"""Integers on a grid, most of them small and near others like them <-> bytes.

(rows, columns) --encode_integers--> bytes --decode_integers--> (rows, columns)

An integer is coded by what is decoded around it: the rows above, and the columns before it in its
own. Row i runs two columns behind row i - 1, so that all points of a front, column + 2 * row = t,
are coded at once. How likely each symbol is in surroundings like these is counted along the way.
All is whole numbers, or quotients and products of them in float64: the same on every machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError

__all__ = ["decode_integers", "encode_integers"]

Integers = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

# A compiled module: its parts are attributes, not importable names, and have no types.
_Categorical, _Uniform = constriction.stream.model.Categorical, constriction.stream.model.Uniform
_RangeEncoder = constriction.stream.queue.RangeEncoder
_RangeDecoder = constriction.stream.queue.RangeDecoder
_TABLES = _Categorical(perfect=False)

_LARGEST = 7
_ESCAPE = 2 * _LARGEST + 1
_SYMBOLS = _ESCAPE + 1
"""-7 to 7, and one for all beyond, which a number follows."""

_PAD = 6  # fronts before the first, which hold zeros
_UNIT = 32  # of the weights of a prediction
_STEEP = 127  # largest weight

# Edges of the classes of what is around: the nearest six, a wide area, the fraction predicted.
_NEAR = np.searchsorted(
    (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 28, 36, 50, 80), np.arange(128), "right"
)
_WIDE = np.searchsorted((1, 4, 10, 20, 40, 80, 140, 240, 400, 800), np.arange(1024), "right")
_FRACTION = np.searchsorted((1, 3, 6, 9, 13), np.arange(_UNIT // 2 + 1), "right")
_NEARS, _WIDES, _FRACTIONS = (int(table[-1]) + 1 for table in (_NEAR, _WIDE, _FRACTION))

_MOST = 8  # what one integer adds to the wide area
_MOST_NEAR = 1 << 20
_ZERO_GAIN, _REST_GAIN, _FORGET, _FORGET_EVERY = 24, 16, 24_000, 16


class _Counts:
    """How often integers were as predicted, and what they were if not, by their surroundings."""

    def __init__(self) -> None:
        nears, wides = np.arange(_NEARS)[:, None] / _NEARS, np.arange(_WIDES) / _WIDES
        # What such fields have on average, so that the first integers cost little.
        busy = np.floor(16 * np.maximum(nears, wides)).astype(np.int64)
        other = np.minimum(_PRIOR[busy], 76)
        start = np.stack([97 - other, 1 + other], -1)[:, :, None].repeat(_FRACTIONS, 2)
        self.zero: Longs = np.ascontiguousarray(start.reshape(-1, 2))
        size = 1 + np.abs(np.arange(_SYMBOLS) - _LARGEST)
        rest = np.maximum(64 // size[None] ** (3 - np.arange(_NEARS) // 6)[:, None], 1)
        rest[:, _LARGEST] = 0
        self.rest: Longs = np.ascontiguousarray(rest.repeat(_FRACTIONS, 0), np.int64)

    def probabilities(self, by_zero: Longs, by_rest: Longs) -> npt.NDArray[np.float64]:
        """Of each symbol, ``(points, symbols)``."""
        zero, rest = self.zero[by_zero], self.rest[by_rest]
        other = zero[:, 1] / (zero[:, 0] + zero[:, 1])
        result = rest * (other / rest.sum(1))[:, None]
        result[:, _LARGEST] = 1 - other
        return np.asarray(result, np.float64)

    def learn(self, by_zero: Longs, by_rest: Longs, symbols: Longs) -> None:
        """Count the symbols that were found in surroundings."""
        other = symbols != _LARGEST
        seen = np.bincount(2 * by_zero + other, minlength=self.zero.size)
        self.zero += _ZERO_GAIN * seen.reshape(self.zero.shape)
        if other.any():
            seen = np.bincount(by_rest[other] * _SYMBOLS + symbols[other], minlength=self.rest.size)
            self.rest += _REST_GAIN * seen.reshape(self.rest.shape)

    def forget(self) -> None:
        """Halve what is large: later rows are not like the first."""
        for counts in (self.zero, self.rest):
            large = counts.sum(1) > _FORGET
            counts[large] = (counts[large] + 1) >> 1


# Parts of 96 by sixteenths of the busiest surroundings.
_PRIOR = np.array([0, 0, 0, 1, 1, 2, 4, 5, 8, 12, 17, 25, 36, 52, 75, 76, 76], np.int64)


class _Coder(ABC):
    """Goes over the fronts; what to do with one is up to encoder and decoder."""

    def __init__(self, shape: tuple[int, int], weights: list[int]) -> None:
        self._rows, self._columns = shape
        self._weights = weights
        self.fronts = self._columns + 2 * (self._rows - 1)
        # By front and row: the integers, their magnitudes, and an average over a wide area.
        size = (self.fronts + _PAD, self._rows + 2)
        self.values, self._sizes, self._wide = (np.zeros(size, np.int32) for _ in range(3))

    @abstractmethod
    def take(
        self,
        where: tuple[int, slice],
        predicted: Integers,
        sign: Integers,
        probabilities: npt.NDArray[np.float64],
    ) -> Longs:
        """Symbols of a front; encoding, from the integers, and decoding, from the bytes."""

    def run(self) -> None:
        """All fronts, in their order."""
        counts = _Counts()
        sizes, wide = self._sizes, self._wide
        for front in range(self.fronts):
            low = max(0, (front - self._columns + 2) // 2)
            at, own = front + _PAD, slice(low + 2, min(self._rows - 1, front // 2) + 3)
            up, up2 = slice(own.start - 1, own.stop - 1), slice(own.start - 2, own.stop - 2)
            near = 2 * (sizes[at - 1, own] + sizes[at - 2, up]) + sizes[at - 3, up]
            near += sizes[at - 1, up] + sizes[at - 2, own] + sizes[at - 4, up2]
            area = 5 * wide[at - 1, own] + 4 * (wide[at - 2, up] + wide[at - 1, up])
            area = (area + 2 * wide[at - 3, up]) >> 4
            exact = self._predicted(at, own, up, up2)
            predicted = (exact + _UNIT // 2) >> 5
            rest = exact - _UNIT * predicted
            near_class = _NEAR[np.minimum(near, _NEAR.size - 1)]
            fraction = _FRACTION[np.abs(rest)]
            area_class = _WIDE[np.minimum(area >> 2, _WIDE.size - 1)]
            by_zero = (near_class * _WIDES + area_class) * _FRACTIONS + fraction
            by_rest = near_class * _FRACTIONS + fraction
            sign = np.where(rest < 0, -1, 1).astype(np.int32)
            probabilities = counts.probabilities(by_zero, by_rest)
            symbols = self.take((at, own), predicted.astype(np.int32), sign, probabilities)
            counts.learn(by_zero, by_rest, symbols)
            if front % _FORGET_EVERY == _FORGET_EVERY - 1:
                counts.forget()
            size = np.minimum(np.abs(self.values[at, own].astype(np.int64)), _MOST_NEAR)
            sizes[at, own] = size
            wide[at, own] = area + (np.minimum(size, _MOST) << 4)

    def _predicted(self, at: int, own: slice, up: slice, up2: slice) -> Longs:
        """Weighted sum of the six nearest, in parts of ``_UNIT``."""
        values = self.values
        around = (
            values[at - 1, own],
            values[at - 2, up],
            values[at - 1, up],
            values[at - 3, up],
            values[at - 2, own],
            values[at - 4, up2],
        )
        total = np.zeros(around[0].size, np.int64)
        for weight, value in zip(self._weights, around, strict=True):
            total += weight * value.astype(np.int64)
        return total


def _fronts(shape: tuple[int, ...]) -> tuple[Longs, Longs]:
    """Where a coder keeps each point of the grid."""
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    return columns + 2 * rows + _PAD, rows + 2


class _Encoder(_Coder):
    def __init__(self, integers: Integers, weights: list[int]) -> None:
        super().__init__((integers.shape[0], integers.shape[1]), weights)
        self.values[_fronts(integers.shape)] = integers
        self.coder = _RangeEncoder()

    def take(
        self,
        where: tuple[int, slice],
        predicted: Integers,
        sign: Integers,
        probabilities: npt.NDArray[np.float64],
    ) -> Longs:
        surprise = sign * (self.values[where].astype(np.int64) - predicted)
        beyond = np.abs(surprise) > _LARGEST
        symbols = np.where(beyond, _ESCAPE, surprise + _LARGEST)
        self.coder.encode(symbols.astype(np.int32), _TABLES, probabilities)
        for value in surprise[beyond].tolist():
            _encode_number(self.coder, 2 * (abs(value) - _LARGEST - 1) + (value < 0))
        return symbols


class _Decoder(_Coder):
    def __init__(self, code: bytes, shape: tuple[int, int], weights: list[int]) -> None:
        super().__init__(shape, weights)
        self.coder = _RangeDecoder(np.frombuffer(code, "<u4").astype(np.uint32))

    def take(
        self,
        where: tuple[int, slice],
        predicted: Integers,
        sign: Integers,
        probabilities: npt.NDArray[np.float64],
    ) -> Longs:
        symbols = self.coder.decode(_TABLES, probabilities).astype(np.int64)
        surprise = symbols - _LARGEST
        for place in np.flatnonzero(symbols == _ESCAPE):
            number = _decode_number(self.coder)
            size = number // 2 + _LARGEST + 1
            surprise[place] = -size if number % 2 else size
        self.values[where] = np.clip(predicted + sign * surprise, -(2**31), 2**31 - 1)
        return np.asarray(symbols)


def encode_integers(integers: Integers) -> bytes:
    """Bytes of integers on a grid.

    Parameters
    ----------
    integers : ndarray of int32
        ``(rows, columns)``, magnitudes below 2**28.
    """
    weights = _best_weights(integers)
    encoder = _Encoder(integers, weights)
    encoder.run()
    head = np.array(weights, np.int8).tobytes()
    return head + bytes(encoder.coder.get_compressed().astype("<u4").tobytes())


def decode_integers(code: bytes, shape: tuple[int, int]) -> Integers:
    """Inverse of :func:`encode_integers`.

    Raises
    ------
    FormatError
        If the bytes are none that it makes.
    """
    if len(code) < _WEIGHTS or (len(code) - _WEIGHTS) % 4:
        raise FormatError(
            f"expected {_WEIGHTS} bytes and whole 4-byte words of code; got {len(code)} bytes. "
            "The store is damaged."
        )
    weights = np.frombuffer(code[:_WEIGHTS], np.int8).tolist()
    decoder = _Decoder(code[_WEIGHTS:], shape, weights)
    try:
        decoder.run()
    except (AssertionError, ValueError) as error:
        raise FormatError(f"expected code of integers on a grid; got {error}.") from error
    if not decoder.coder.maybe_exhausted():
        raise FormatError("expected the end of the code; got more. It is damaged.")
    return np.ascontiguousarray(decoder.values[_fronts(shape)])


_WEIGHTS = 6


def _best_weights(integers: Integers) -> list[int]:
    """By least squares over a third of the rows, parts of ``_UNIT``."""
    if min(integers.shape) < 5:
        return [0] * _WEIGHTS
    near = np.clip(integers, -63, 63).astype(np.float64)
    above, row, top = near[1:-1:3], near[2::3], near[:-2:3]
    around = (
        row[:, 1:-2],
        above[:, 2:-1],
        above[:, 3:],
        above[:, 1:-2],
        row[:, :-3],
        top[:, 2:-1],
    )
    known = np.stack([part.ravel() for part in around], 1)
    square = known.T @ known + 1e-3 * np.eye(_WEIGHTS)
    best = np.linalg.solve(square, known.T @ row[:, 2:-1].ravel())
    return [int(one) for one in np.clip(np.rint(_UNIT * best), -_STEEP, _STEEP)]


_LENGTHS = _Uniform(32)
_WORD = 16


def _encode_number(coder: Any, value: int) -> None:  # noqa: ANN401  (constriction has no types)
    """A number from 0: the length of it plus one, then its bits but the first, 16 at a time."""
    length = (value + 1).bit_length() - 1
    coder.encode(np.array([length], np.int32), _LENGTHS)
    for start in range(0, length, _WORD):
        bits = min(_WORD, length - start)
        part = (value + 1) >> start & ((1 << bits) - 1)
        coder.encode(np.array([part], np.int32), _Uniform(1 << bits))


def _decode_number(coder: Any) -> int:  # noqa: ANN401
    length = int(coder.decode(_LENGTHS, 1)[0])
    rest = 0
    for start in range(0, length, _WORD):
        bits = min(_WORD, length - start)
        rest |= int(coder.decode(_Uniform(1 << bits), 1)[0]) << start
    return (1 << length) + rest - 1
