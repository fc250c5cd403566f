"""What any codec must beat: block means on a coarser grid, truncated spherical harmonics."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from numcodecs.zstd import Zstd
from scipy.ndimage import map_coordinates

from hpcodec.bench.case import Case, Floats
from hpcodec.bench.codecs import Codec
from hpcodec.bench.harmonics import (
    Doubles,
    analyse,
    degrees_of,
    largest_degree,
    orders_of,
    synthesise,
)
from hpcodec.errors import GridError

__all__ = ["block_means", "harmonics"]

_BLOCKS = struct.Struct("<2H2f")
"""Rows, columns, least value, step."""

_HARMONICS = struct.Struct("<H2f")
"""Degree, mean, scale."""

_DEGREES = (639, 479, 359, 319, 255, 213, 159, 127, 106, 79, 63, 53, 40, 30, 20, 15, 10)


def block_means(case: Case) -> Codec:
    """Means over blocks, quantised the finer the smaller they are, zstd; cubic interpolation back.

    The parameter is points to the side of a block.
    """
    shape, zstd = case.truth.shape, Zstd(level=19)

    def encode(field: Floats, factor: float) -> bytes:
        coarse = _shrink(field.astype(np.float64), *(round(size / factor) for size in shape))
        low, step = float(field.min()), float(np.ptp(field)) / 350 * _coarseness(factor) or 1.0
        head = _BLOCKS.pack(*coarse.shape, low, step)
        *_, low, step = _BLOCKS.unpack(head)
        symbols = np.rint((coarse - low) / step).astype(np.int32)
        delta = np.diff(symbols, axis=1, prepend=0).astype("<i2")
        planes = delta.view(np.uint8).reshape(-1, 2).T
        return head + bytes(zstd.encode(np.ascontiguousarray(planes)))

    def decode(code: bytes) -> Floats:
        rows, columns, low, step = _BLOCKS.unpack(code[: _BLOCKS.size])
        planes = np.frombuffer(zstd.decode(code[_BLOCKS.size :]), np.uint8).reshape(2, -1)
        delta = np.ascontiguousarray(planes.T).view("<i2").reshape(rows, columns)
        coarse = np.cumsum(delta, 1, dtype=np.int64) * step + low
        return _grow(coarse, shape)

    smallest = min(shape)
    factors = tuple(f for f in np.geomspace(1, 48, 20).tolist() if smallest / f >= 4)
    return Codec(factors, encode, decode)


def harmonics(case: Case) -> Codec:
    """Spherical harmonics up to a degree, as float16.

    Raises
    ------
    GridError
        If the grid's rows have no quadrature.
    """
    grid = case.grid
    largest = largest_degree(grid)
    if largest is None:
        raise GridError(
            "expected rows with poles, even belts or Gaussian latitudes for harmonics; got others. "
            "Leave harmonics out."
        )
    every = degrees_of(largest)

    def encode(field: Floats, degree: float) -> bytes:
        mean, scale = float(field.mean(dtype=np.float64)), float(np.ptp(field)) or 1.0
        head = _HARMONICS.pack(int(degree), mean, scale)
        _, mean, scale = _HARMONICS.unpack(head)
        kept = analyse((field - mean) / scale, grid, largest)[
            (every <= degree) & (orders_of(largest) <= degree)
        ]
        turning = orders_of(int(degree)) > 0  # order 0 has no imaginary part
        parts = np.concatenate([kept.real, kept.imag[turning]])
        return head + parts.astype("<f2").tobytes()

    def decode(code: bytes) -> Floats:
        degree, mean, scale = _HARMONICS.unpack(code[: _HARMONICS.size])
        parts = np.frombuffer(code[_HARMONICS.size :], "<f2").astype(np.float64)
        turning = orders_of(degree) > 0
        coefficients = parts[: turning.size].astype(np.complex128)
        coefficients[turning] += 1j * parts[turning.size :]
        return np.asarray(synthesise(coefficients, grid, degree) * scale + mean, np.float32)

    return Codec(tuple(d for d in _DEGREES if d <= largest), encode, decode)


def _coarseness(factor: float) -> float:
    """Step, in its own unit, that suits blocks of a size: the finer the smaller they are."""
    return max(factor / 4, min(1, (factor / 2) ** 2))


def _shrink(field: Doubles, rows: int, columns: int) -> Doubles:
    """Area means over even blocks, by interpolating the cumulative sums."""
    for axis, count in ((0, rows), (1, columns)):
        edges = np.linspace(0, field.shape[axis], count + 1)
        sums = np.concatenate([np.zeros_like(field.take([0], axis)), np.cumsum(field, axis)], axis)
        low = np.minimum(edges.astype(int), field.shape[axis] - 1)
        shape = [-1 if a == axis else 1 for a in (0, 1)]
        part = (edges - low).reshape(shape)
        at = sums.take(low, axis) * (1 - part) + sums.take(low + 1, axis) * part
        field = np.diff(at, axis=axis) / np.diff(edges).reshape(shape)
    return field


def _grow(coarse: Doubles, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    rows, columns = coarse.shape
    edge = min(8, columns)
    wrapped = np.concatenate([coarse[:, -edge:], coarse, coarse[:, :edge]], 1)
    y = (np.arange(shape[0]) + 0.5) * rows / shape[0] - 0.5
    x = (np.arange(shape[1]) + 0.5) * columns / shape[1] - 0.5 + edge
    grid = np.meshgrid(y, x, indexing="ij")
    return np.asarray(map_coordinates(wrapped, grid, order=3, mode="nearest"), np.float32)
