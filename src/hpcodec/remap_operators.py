"""The sparse operators behind a remap: built from the geometry, cached on disk and in memory.

grid, level, method --operators_for--> Operators
least_squares: smooth interpolation on 4 x 4 ring values, both ways; most grids and all HEALPix
               levels are stacks of rings with evenly spaced values, so one function serves both;
               from other points, linear interpolation in triangles between them
idw:           inverse distance to the nearest four, both ways
conservative:  means by the area that cells and points share, both ways, and least squares
HEALPix cells need neither: they are taken as they are, repeated or averaged
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import healpy
import numpy as np
import numpy.typing as npt
import platformdirs
from scipy import sparse
from scipy.spatial import cKDTree

from hpcodec.grid import cell_count
from hpcodec.grids import Grid, HealpixGrid, LatLonGrid, PointGrid
from hpcodec.overlaps import overlaps
from hpcodec.rings import Rings

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
    conserving : bool
        Whether the area-weighted mean is kept, to rounding, by what is added everywhere.
    """

    direct: sparse.csr_array
    back: sparse.csr_array
    weight: Floats
    scale: Floats
    iterations: int
    conserving: bool = False

    def points_of(self, cells: Floats) -> Floats:
        """Points of one field, shape (points,), from its cells, shape (cells,), float32."""
        points = np.asarray(self.back @ cells, dtype=np.float32)
        if self.conserving:
            points += np.float32(cells.mean(dtype=np.float64) - self._mean(points))
        return points

    def _mean(self, points: Floats) -> float:
        return float(np.average(points.astype(np.float64), weights=self.weight))

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
        if self.conserving:
            cells += np.float32(self._mean(points) - cells.mean(dtype=np.float64))
        return cells


@lru_cache(maxsize=4)
def operators_for(grid: Grid, level: int, method: str) -> Operators:
    """Operators from the user's cache, or built and put there.

    The cache is ``platformdirs.user_cache_dir("hpcodec")``, or ``HPCODEC_CACHE_DIR`` if set.

    ``method`` is ``least_squares``, ``idw`` or ``conservative``, ``level`` that of the cells.
    """
    shape = (cell_count(level), prod(grid.shape))
    folder = Path(os.environ.get("HPCODEC_CACHE_DIR") or platformdirs.user_cache_dir("hpcodec"))
    path = folder / f"remap-{grid.digest}-{level}-{method}-{_VERSION}.npz"
    pair = _read(path, shape)
    if pair is None:
        pair = _build(grid, level, method)
        _write(path, pair)
    direct, back = pair
    if method == "idw":
        nothing = np.zeros(0, dtype=np.float32)
        return Operators(direct, back, nothing, nothing, 0)
    weight = _areas(grid)
    spread = abs(back)
    seen = spread.T @ (weight * (spread @ np.ones(shape[0], dtype=np.float32)))
    scale = np.divide(1, seen, out=np.zeros_like(seen), where=seen > 0)
    return Operators(direct, back, weight, scale, _ITERATIONS, method == "conservative")


def _build(grid: Grid, level: int, method: str) -> tuple[sparse.csr_array, sparse.csr_array]:
    if isinstance(grid, HealpixGrid):
        return _between_levels(grid, level)
    if method == "conservative":
        return _conservative(grid, level)
    theta, phi = _angles(grid)
    cell_theta, cell_phi = healpy.pix2ang(2**level, np.arange(cell_count(level)), nest=True)
    centres = healpy.ang2vec(cell_theta, cell_phi)
    if method == "idw":
        points = healpy.ang2vec(theta, phi)
        return _inverse_distance(points, centres), _inverse_distance(centres, points)
    if (rings := grid.rings) is not None:
        direct = rings.interpolation(cell_theta, cell_phi)
    else:
        assert isinstance(grid, PointGrid)
        around, weights = grid.interpolation(centres)
        direct = _csr(weights.astype(np.float32), around.astype(np.int32), prod(grid.shape))
    return direct, _from_cells(level, theta, phi)


def _conservative(grid: Grid, level: int) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Means by area, both ways: they, and steps of least squares, nearly keep the global mean."""
    shared = overlaps(grid, level, _areas(grid).astype(np.float64))
    direct = sparse.csr_array(sparse.diags_array(1 / shared.sum(axis=1)) @ shared)
    back = sparse.csr_array(sparse.diags_array(1 / shared.sum(axis=0)) @ shared.T)
    return _single(direct), _single(back)


def _single(matrix: sparse.csr_array) -> sparse.csr_array:
    arrays = (
        matrix.data.astype(np.float32),
        *(part.astype(np.int32) for part in (matrix.indices, matrix.indptr)),
    )
    return sparse.csr_array(arrays, shape=matrix.shape)


def _from_cells(level: int, theta: _Doubles, phi: _Doubles) -> sparse.csr_array:
    """Cells in nested order, interpolated at points."""
    back = Rings.of_level(level).interpolation(theta, phi)
    nested = healpy.ring2nest(2**level, np.arange(cell_count(level))).astype(np.int32)
    return sparse.csr_array((back.data, nested[back.indices], back.indptr), back.shape)


def _between_levels(grid: HealpixGrid, level: int) -> tuple[sparse.csr_array, sparse.csr_array]:
    """No remap where the levels are the same; means and repeats, exact there and back, to finer."""
    finer, coarser = max(grid.level, level), min(grid.level, level)
    child = np.arange(cell_count(finer), dtype=np.int32)
    parent = (child >> 2 * (finer - coarser)).astype(np.int32)
    one = np.ones(child.size, np.float32)
    shape = (cell_count(coarser), child.size)
    repeat = _csr(one[:, None], parent[:, None], shape[0])
    mean = sparse.csr_array((one / 4 ** (finer - coarser), (parent, child)), shape=shape)
    into, back = (mean, repeat) if grid.level > level else (repeat, mean)
    if grid.level > level:
        back = _from_cells(level, *_angles(HealpixGrid(grid.level)))
    # From here on cells of the grid are nested; it may have them in ring order.
    nested = grid.nested
    place = np.argsort(nested).astype(np.int32)
    into = sparse.csr_array((into.data, place[into.indices], into.indptr), into.shape)
    return into, sparse.csr_array(back[nested])


def _angles(grid: Grid) -> tuple[_Doubles, _Doubles]:
    """Colatitude and longitude of each point in radians."""
    latitude, longitude = grid.points
    return np.deg2rad(90 - latitude).clip(0, np.pi), np.deg2rad(longitude)


def _inverse_distance(source: _Doubles, target: _Doubles) -> sparse.csr_array:
    """Weights 1 / distance of the nearest four of ``source`` for each of ``target``."""
    distance, index = cKDTree(source).query(target, k=4)
    weight = 1 / np.maximum(distance, 1e-9)
    weight /= weight.sum(axis=1, keepdims=True)
    return _csr(weight.astype(np.float32), index.astype(np.int32), len(source))


def _csr(data: Floats, indices: npt.NDArray[np.int32], columns: int) -> sparse.csr_array:
    indptr = np.arange(0, data.size + 1, data.shape[1], dtype=np.int32)
    return sparse.csr_array((data.ravel(), indices.ravel(), indptr), shape=(len(data), columns))


def _areas(grid: Grid) -> Floats:
    """Area of each point, shape (points,), mean 1: a pole row weighs what its cap does."""
    if not isinstance(grid, LatLonGrid):
        return grid.area_weights.ravel().astype(np.float32)
    theta = np.deg2rad(90 - np.asarray(grid.latitude)).clip(0, np.pi)
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
