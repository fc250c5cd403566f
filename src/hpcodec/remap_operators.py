"""The sparse operators behind a remap: built from the geometry, cached on disk and in memory.

grid, level, method --operators_for--> Operators
least_squares: smooth interpolation on 4 x 4 ring values, both ways; a grid and a HEALPix level
               are both stacks of rings with evenly spaced values, so one function serves both
idw:           inverse distance to the nearest four, both ways
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import healpy
import numpy as np
import numpy.typing as npt
import platformdirs
from scipy import sparse
from scipy.spatial import cKDTree

from hpcodec.grid import LatLonGrid, cell_count

__all__ = ["Floats", "Operators", "operators_for"]

# Raise when the same grid, level and method would give other operators.
_VERSION = 1

# Iterations, and the lower end of the spectrum that they resolve. Measured on ERA5 at level 8 with
# a transform coder behind: 10 lower the floor by 9 % and cost up to 30 % more bits at equal error.
_ITERATIONS = 4
_SMALLEST = 0.2

# Bytes on disk; building a larger pair again costs less than filling the user's home with it.
_MOST_CACHED = 2**29

Floats: TypeAlias = npt.NDArray[np.float32]
_Doubles: TypeAlias = npt.NDArray[np.float64]
_Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Operators:
    """Sparse operators of one remap, float32.

    Parameters
    ----------
    direct : csr_array
        Shape (cells, points): the source interpolated at the cell centres.
    back : csr_array
        Shape (points, cells): the cells interpolated at the points of the grid.
    weight : ndarray
        Shape (points,), float32: area of each point, mean 1.
    scale : ndarray
        Shape (cells,), float32: bounds the spectrum of ``scale * back.T @ (weight * back)`` by 1;
        0 where no point sees the cell.
    iterations : int
        Steps from ``direct`` towards the least-squares cells; 0 where ``direct`` is all.
    """

    direct: sparse.csr_array
    back: sparse.csr_array
    weight: Floats
    scale: Floats
    iterations: int

    def points_of(self, cells: Floats) -> Floats:
        """Points of one field, shape (points,), from its cells, shape (cells,), float32."""
        return np.asarray(self.back @ cells, dtype=np.float32)

    def cells_of(self, points: Floats) -> Floats:
        """Cells of one field, shape (cells,), from its points, shape (points,), float32.

        Notes
        -----
        Chebyshev semi-iteration on the area-weighted least-squares misfit. Its steps are fixed,
        where those of conjugate gradients depend on the field, so that the cells are linear in
        the points. Stopping early is the regularisation: what is left out is fine structure that
        the points hardly see and that would cost bits.
        """
        cells = np.asarray(self.direct @ points, dtype=np.float32)
        centre, half = (1 + _SMALLEST) / 2, (1 - _SMALLEST) / 2
        ratio, step = half / centre, np.zeros_like(cells)
        for iteration in range(self.iterations):
            gradient = self.scale * ((self.weight * (points - self.back @ cells)) @ self.back)
            if iteration == 0:
                step = gradient * np.float32(1 / centre)
            else:
                following = 1 / (2 * centre / half - ratio)
                step *= np.float32(following * ratio)
                step += np.float32(2 * following / half) * gradient
                ratio = following
            cells += step
        return cells


@lru_cache(maxsize=4)
def operators_for(grid: LatLonGrid, level: int, method: str) -> Operators:
    """Operators from the user's cache, or built and put there.

    The cache is ``platformdirs.user_cache_dir("hpcodec")``, or ``HPCODEC_CACHE_DIR`` if set.

    ``method`` is ``least_squares`` or ``idw``, ``level`` that of the cells.
    """
    shape = (cell_count(level), grid.shape[0] * grid.shape[1])
    folder = Path(os.environ.get("HPCODEC_CACHE_DIR") or platformdirs.user_cache_dir("hpcodec"))
    path = folder / f"remap-{grid.digest}-{level}-{method}-{_VERSION}.npz"
    pair = _read(path, shape)
    if pair is None:
        pair = _build(grid, level, method)
        _write(path, pair)
    direct, back = pair
    if method != "least_squares":
        nothing = np.zeros(0, dtype=np.float32)
        return Operators(direct, back, nothing, nothing, 0)
    weight = _areas(grid)
    spread = abs(back)
    seen = spread.T @ (weight * (spread @ np.ones(shape[0], dtype=np.float32)))
    scale = np.divide(1, seen, out=np.zeros_like(seen), where=seen > 0)
    return Operators(direct, back, weight, scale, _ITERATIONS)


def _build(grid: LatLonGrid, level: int, method: str) -> tuple[sparse.csr_array, sparse.csr_array]:
    rows, columns = grid.shape
    theta = np.repeat(_colatitude(grid), columns)
    phi = np.tile(np.deg2rad(grid.longitude), rows)
    cell_theta, cell_phi = healpy.pix2ang(2**level, np.arange(cell_count(level)), nest=True)
    if method == "idw":
        points, centres = healpy.ang2vec(theta, phi), healpy.ang2vec(cell_theta, cell_phi)
        return _inverse_distance(points, centres), _inverse_distance(centres, points)
    direct = _interpolation(_Rings.of_grid(grid), cell_theta, cell_phi)
    back = _interpolation(_Rings.of_level(level), theta, phi)
    nested = healpy.ring2nest(2**level, np.arange(cell_count(level))).astype(np.int32)
    return direct, sparse.csr_array((back.data, nested[back.indices], back.indptr), back.shape)


@dataclass(frozen=True)
class _Rings:
    """Circles of latitude, north to south, each with evenly spaced values.

    For each ring its colatitude ``theta`` and the longitude ``phase`` of its first value, both in
    radians, the ``count`` of its values, and the index ``start`` of the first. ``direction`` is 1
    eastward and -1 westward.
    """

    theta: _Doubles
    phase: _Doubles
    count: _Integers
    start: _Integers
    direction: int = 1

    @classmethod
    def of_grid(cls, grid: LatLonGrid) -> _Rings:
        rows, columns = grid.shape
        theta = _colatitude(grid)
        order = np.argsort(theta)
        phase = np.full(rows, np.deg2rad(grid.longitude[0]))
        direction = 1 if grid.longitude[1] > grid.longitude[0] else -1
        return cls(theta[order], phase, np.full(rows, columns), order * columns, direction)

    @classmethod
    def of_level(cls, level: int) -> _Rings:
        ring = np.arange(1, 4 * 2**level)
        start, count, cosine, sine, shifted = healpy.ringinfo(2**level, ring)
        phase = np.where(shifted, np.pi / count, 0.0)
        return cls(np.arctan2(sine, cosine), phase, count.astype(np.int64), start.astype(np.int64))

    def over_poles(self) -> _Rings:
        """With two rings more beyond each pole: those of its other side, half a turn away."""
        north = np.flatnonzero(self.theta > 1e-6)[:2][::-1]
        south = np.flatnonzero(self.theta < np.pi - 1e-6)[-2:][::-1]
        ring = np.concatenate([north, np.arange(len(self.theta)), south])
        theta, phase = self.theta[ring], self.phase[ring]
        theta[:2] = -theta[:2]
        theta[-2:] = 2 * np.pi - theta[-2:]
        phase[[0, 1, -2, -1]] += np.pi
        return _Rings(theta, phase, self.count[ring], self.start[ring], self.direction)


def _interpolation(rings: _Rings, theta: _Doubles, phi: _Doubles) -> sparse.csr_array:
    """Weights of 4 x 4 ring values for each point, shape (points, values)."""
    wide = rings.over_poles()
    first = np.searchsorted(wide.theta, theta, side="right") - 2
    first = first.clip(0, len(wide.theta) - 4)
    indices = np.empty((len(theta), 16), dtype=np.int32)
    data = np.empty((len(theta), 16), dtype=np.float32)
    across = _blend(theta, [wide.theta[first + tap] for tap in range(4)])
    for tap in range(4):
        ring = first + tap
        count = wide.count[ring]
        turn = wide.direction * (phi - wide.phase[ring]) * count / (2 * np.pi)
        column = np.floor(turn)
        along = _blend(turn - column, [-1.0, 0.0, 1.0, 2.0])
        for place in range(4):
            neighbour = (column.astype(np.int64) + (place - 1)) % count
            indices[:, 4 * tap + place] = wide.start[ring] + neighbour
            data[:, 4 * tap + place] = across[tap] * along[place]
    return _csr(data, indices, int(rings.count.sum()))


def _blend(x: _Doubles, nodes: Sequence[Any]) -> list[_Doubles]:
    """Weights of four nodes at ``x`` between the middle two: two parabolas blended (Overhauser).

    Like Catmull-Rom's, with a continuous slope, but for nodes of any spacing.
    """
    t = (x - nodes[1]) / (nodes[2] - nodes[1])
    before, after = _parabola(x, *nodes[:3]), _parabola(x, *nodes[1:])
    return [
        (1 - t) * before[0],
        (1 - t) * before[1] + t * after[0],
        (1 - t) * before[2] + t * after[1],
        t * after[2],
    ]


def _parabola(x: _Doubles, a: Any, b: Any, c: Any) -> list[_Doubles]:  # noqa: ANN401
    """Weights of the nodes ``a``, ``b``, ``c`` (floats or arrays like ``x``) at ``x``."""
    return [
        (x - b) * (x - c) / ((a - b) * (a - c)),
        (x - a) * (x - c) / ((b - a) * (b - c)),
        (x - a) * (x - b) / ((c - a) * (c - b)),
    ]


def _inverse_distance(source: _Doubles, target: _Doubles) -> sparse.csr_array:
    """Weights 1 / distance of the nearest four of ``source`` for each of ``target``."""
    distance, index = cKDTree(source).query(target, k=4)
    weight = 1 / np.maximum(distance, 1e-9)
    weight /= weight.sum(axis=1, keepdims=True)
    return _csr(weight.astype(np.float32), index.astype(np.int32), len(source))


def _csr(data: Floats, indices: npt.NDArray[np.int32], columns: int) -> sparse.csr_array:
    indptr = np.arange(0, data.size + 1, data.shape[1], dtype=np.int32)
    return sparse.csr_array((data.ravel(), indices.ravel(), indptr), shape=(len(data), columns))


def _colatitude(grid: LatLonGrid) -> _Doubles:
    radians: _Doubles = np.deg2rad(90 - np.asarray(grid.latitude)).clip(0, np.pi)
    return radians


def _areas(grid: LatLonGrid) -> Floats:
    """Area of each point, shape (points,), mean 1: a pole row weighs what its cap does."""
    theta = _colatitude(grid)
    ends = (0.0, np.pi) if theta[0] < theta[-1] else (np.pi, 0.0)
    edges = np.concatenate([ends[:1], (theta[1:] + theta[:-1]) / 2, ends[1:]])
    bands = np.abs(np.diff(np.cos(edges)))
    return np.repeat(bands / bands.mean(), grid.shape[1]).astype(np.float32)


def _read(path: Path, shape: tuple[int, int]) -> tuple[sparse.csr_array, sparse.csr_array] | None:
    """Operators of a cache file; None where it is missing, damaged or not of this shape."""
    try:
        # Opened here because np.load leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            direct = _stored(stored, "direct", shape)
            return direct, _stored(stored, "back", shape[::-1])
    except Exception:  # a damaged archive can raise nearly anything, and all of it means: rebuild
        return None


def _stored(stored: Any, name: str, shape: tuple[int, int]) -> sparse.csr_array:  # noqa: ANN401
    data, indices, indptr = (stored[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    if (data.dtype, indices.dtype, indptr.dtype) != (np.float32, np.int32, np.int32):
        raise ValueError(f"{name}: {data.dtype}, {indices.dtype}, {indptr.dtype}")
    matrix = sparse.csr_array((data, indices, indptr), shape=shape)
    # The products below the Python level do not check an index; a constant field must stay one.
    matrix.check_format(full_check=True)
    if not np.abs(matrix @ np.ones(shape[1], dtype=np.float32) - 1).max() < 1e-3:
        raise ValueError(f"{name}: weights do not sum to 1")
    return matrix


def _write(path: Path, pair: tuple[sparse.csr_array, sparse.csr_array]) -> None:
    """Cache file, whole or not at all; a cache that cannot be written is only slow."""
    arrays = {
        f"{name}_{part}": getattr(matrix, part)
        for name, matrix in zip(("direct", "back"), pair, strict=True)
        for part in ("data", "indices", "indptr")
    }
    if sum(array.nbytes for array in arrays.values()) > _MOST_CACHED:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
