"""Where a field has no value, and what stands there: NaN, infinities and fill values, bit for bit.

    stored field --Mask.of--> Mask --encode_mask--> bytes --decode_mask--> Mask --restore--> field

Coasts are coded point by point, each from the points above it and to its left, and from a mask
that is like it where there is one, by counting what came before in the same surroundings.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import constriction
import healpy
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from hpcodec.any_grid import Grid
from hpcodec.errors import FormatError, MissingValueError
from hpcodec.grid import LatLonGrid, cell_count
from hpcodec.packing import Packing

__all__ = ["Mask", "decode_mask", "encode_mask", "missing_cells"]

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

# Rows down and columns to the right of a point: the points that it is coded from.
_NEAR = (
    *((0, -1), (-1, -1), (-1, 0), (-1, 1)),
    *((0, -2), (0, -3), (-1, -2), (-1, 2), (-1, 3), (-2, -1), (-2, 0), (-2, 1)),
)
# Where there is a mask like it, these of its own and of the other, which has those to come.
_NEAREST, _LIKE = _NEAR[:4], ((0, 0), (0, 1), (1, -1), (1, 0), (1, 1))
_SKEW, _MARGIN = 4, 3
_MOST_KINDS = 255
_FIXED = struct.Struct("<BBI")  # bytes of a number, kinds, words of the map
_CRC = struct.Struct("<I")
_BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)


@dataclass(frozen=True, eq=False)
class Mask:
    """What one field has in place of values, and where.

    Parameters
    ----------
    kinds : ndarray of uint8
        ``(rows, columns)``: 0 where there is a value, else 1 and more, counting ``patterns``.
    patterns : tuple of bytes
        What is stored there: the bits of a number, little endian.
    """

    kinds: Bytes
    patterns: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, stored: npt.NDArray[Any], packing: Packing) -> Mask:
        """Mask of a field ``(rows, columns)`` of stored numbers.

        Raises
        ------
        MissingValueError
            If more than 255 different numbers stand for missing values (NaN can have many).
        """
        missing = packing.missing(stored)
        kinds = np.zeros(stored.shape, np.uint8)
        if not missing.any():
            return cls(kinds)
        word = f"<u{stored.dtype.itemsize}"
        bits = np.ascontiguousarray(stored[missing]).astype(stored.dtype.newbyteorder("<"))
        found, which = np.unique(bits.view(word), return_inverse=True)
        if found.size > _MOST_KINDS:
            raise MissingValueError(
                f"expected at most {_MOST_KINDS} kinds of missing values; got {found.size}. Write "
                "NaN in their place."
            )
        kinds[missing] = 1 + which.ravel()
        return cls(kinds, tuple(one.tobytes() for one in found.astype(word)))

    @property
    def missing(self) -> Flags:
        """Where there is no value."""
        return self.kinds > 0

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def same(self, other: Mask) -> bool:
        """Whether the two have the same in the same places."""
        return self.patterns == other.patterns and np.array_equal(self.kinds, other.kinds)

    def restore(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """``stored``, a field of native numbers, with what is missing put in its place.

        Raises
        ------
        FormatError
            If the mask is of numbers of another size.
        """
        if not self:
            return stored
        size = stored.dtype.itemsize
        if any(len(pattern) != size for pattern in self.patterns):
            raise FormatError(
                f"expected a mask of numbers of {size} bytes; got {len(self.patterns[0])}. The "
                "store is damaged."
            )
        palette = np.frombuffer(b"".join(self.patterns), stored.dtype.newbyteorder("<"))
        result = np.ascontiguousarray(stored).copy()
        # As whole numbers: a NaN that is copied as one may lose its bits.
        bits = palette.astype(stored.dtype).view(f"u{size}")
        result.view(f"u{size}")[self.missing] = bits[self.kinds[self.missing] - 1]
        return result


def encode_mask(mask: Mask, like: Mask | None = None) -> bytes:
    """Bytes of a mask; few where it is like another, which decoding needs, too.

    Layout, little endian: uint8 bytes of a number; uint8 how many kinds there are; uint32 how many
    words the map takes; the kinds' numbers; the map; where there are several kinds, which of them,
    by zlib, a byte for each missing point; CRC-32 of all that.
    """
    if not mask:
        return _checked(_FIXED.pack(0, 0, 0))
    encoder = constriction.stream.queue.RangeEncoder()
    fronts = _Fronts(mask.missing, like)
    for chances in fronts:
        encoder.encode(fronts.values.astype(np.int32), _BERNOULLI, chances)
        fronts.learn()
    words = encoder.get_compressed().astype("<u4")
    several = len(mask.patterns) > 1
    kinds = zlib.compress(mask.kinds[mask.missing].tobytes(), 9) if several else b""
    fixed = _FIXED.pack(len(mask.patterns[0]), len(mask.patterns), words.size)
    return _checked(b"".join([fixed, *mask.patterns, words.tobytes(), kinds]))


def decode_mask(code: bytes, shape: tuple[int, int], like: Mask | None = None) -> Mask:
    """Inverse of :func:`encode_mask`.

    Raises
    ------
    FormatError
        If the bytes are damaged.
    """
    body, crc = code[: -_CRC.size], code[-_CRC.size :]
    if len(body) < _FIXED.size or zlib.crc32(body) != _CRC.unpack(crc)[0]:
        raise _damaged("one with another checksum")
    size, count, words = _FIXED.unpack_from(body)
    if not count:
        return Mask(np.zeros(shape, np.uint8))
    first = _FIXED.size + size * count
    last = first + 4 * words
    if size not in (1, 2, 4, 8) or last > len(body):
        raise _damaged(f"{len(body)} bytes where {last} were announced")
    patterns = tuple(body[at : at + size] for at in range(_FIXED.size, first, size))
    missing = _decoded_map(body[first:last], shape, like)
    kinds = missing.astype(np.uint8)
    if count > 1:
        which = np.frombuffer(_inflated(body[last:], int(missing.sum())), np.uint8)
        if not (which.size and 1 <= which.min() <= which.max() <= count):
            raise _damaged("kinds that it does not name")
        kinds[missing] = which
    return Mask(kinds, patterns)


def _decoded_map(code: bytes, shape: tuple[int, int], like: Mask | None) -> Flags:
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(code, "<u4").astype(np.uint32))
    fronts = _Fronts(np.zeros(shape, bool), like)
    try:
        for chances in fronts:
            fronts.values = decoder.decode(_BERNOULLI, chances)
            fronts.learn()
    except (AssertionError, ValueError) as error:  # what the library says of impossible bytes
        raise _damaged("bytes that stand for none") from error
    return fronts.map


class _Fronts:
    """Points in the order of coding, many at a time, and the chances of each to be missing.

    A front runs down and to the left: what its points are coded from is on earlier ones.
    """

    def __init__(self, missing: Flags, like: Mask | None) -> None:
        padded = np.pad(missing, _MARGIN)
        self._shape, width = padded.shape, padded.shape[1]
        self._known = padded.astype(np.uint8).ravel()
        self._order, self._ends = _order(*missing.shape)
        near = _NEAR if like is None else _NEAREST
        self._near = np.array([row * width + column for row, column in near])[:, None]
        self._weights = 1 << np.arange(len(near))
        self._told = np.zeros(self._known.size, np.int64)
        if like is not None:
            other = np.pad(like.missing, _MARGIN, mode="wrap").astype(np.int64)
            for bit, (row, column) in enumerate(_LIKE, len(near)):
                self._told |= (np.roll(other, (-row, -column), (0, 1)) << bit).ravel()
        bits = len(near) + (len(_LIKE) if like is not None else 0)
        self._counts = np.ones((1 << bits, 2), np.int64)

    def __iter__(self) -> Iterator[npt.NDArray[np.float64]]:
        for start, stop in pairwise(self._ends):
            self._places = self._order[start:stop]
            near = self._known[self._places + self._near]
            self._surroundings = self._weights @ near + self._told[self._places]
            counts = self._counts[self._surroundings]
            # One division of whole numbers, rounded alike everywhere.
            yield counts[:, 1] / (counts[:, 0] + counts[:, 1])

    @property
    def values(self) -> Bytes:
        """The points of the front at hand."""
        return self._known[self._places]

    @values.setter
    def values(self, found: npt.NDArray[Any]) -> None:
        self._known[self._places] = found

    def learn(self) -> None:
        """Count what the points of the front turned out to be."""
        np.add.at(self._counts, (self._surroundings, self.values), 2)

    @property
    def map(self) -> Flags:
        """All points, ``(rows, columns)``."""
        padded = self._known.reshape(self._shape)
        return np.asarray(padded[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] > 0)


@lru_cache(maxsize=2)
def _order(rows: int, columns: int) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Flat places in the padded field by front, and where in them each front ends."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    front = column + _SKEW * row
    order = np.argsort(front, kind="stable")
    ends = np.searchsorted(front[order], np.unique(front)).tolist()
    places = (row + _MARGIN) * (columns + 2 * _MARGIN) + column + _MARGIN
    return places[order], [*ends, order.size]


def missing_cells(grid: Grid, level: int, mask: Mask) -> Flags:
    """HEALPix cells, nested order, ``(12 * 4**level,)``, whose nearest point has no value."""
    if not isinstance(grid, LatLonGrid):
        return np.asarray(grid.unsheet(mask.missing).ravel()[_nearest(grid, level)])
    longitude, latitude = healpy.pix2ang(
        2**level, np.arange(cell_count(level)), nest=True, lonlat=True
    )
    lat, lon = np.asarray(grid.latitude), np.asarray(grid.longitude)
    ascending = np.argsort(lat)
    between = (lat[ascending][1:] + lat[ascending][:-1]) / 2
    rows = ascending[np.searchsorted(between, latitude)]
    columns = np.rint((longitude - lon[0]) / (lon[1] - lon[0])).astype(np.int64) % lon.size
    return np.asarray(mask.missing[rows, columns])


@lru_cache(maxsize=2)
def _nearest(grid: Grid, level: int) -> npt.NDArray[np.int64]:
    """Point nearest to each cell, nested order."""
    latitude, longitude = grid.points
    points = healpy.ang2vec(longitude, latitude, lonlat=True)
    centres = healpy.pix2vec(2**level, np.arange(cell_count(level)), nest=True)
    return np.asarray(cKDTree(points).query(np.stack(centres, -1))[1], np.int64)


def _checked(body: bytes) -> bytes:
    return body + _CRC.pack(zlib.crc32(body))


def _inflated(code: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes; more are never made."""
    try:
        found = zlib.decompressobj().decompress(code, size + 1)
    except zlib.error as error:
        raise _damaged("kinds that do not decompress") from error
    if len(found) != size:
        raise _damaged(f"{len(found)} kinds for {size} points")
    return found


def _damaged(got: str) -> FormatError:
    return FormatError(f"expected the mask of a field; got {got}. The store is damaged.")
