"""How much of each HEALPix cell is nearest to each point of a grid: for a conservative remap.

grid, level, areas of points --overlaps--> (cells, points), parts of the sphere

Cells are cut into smaller ones, which are counted. Then rows and columns are scaled in turn until
they nearly sum to the areas of cells and of points; what the mean of a remapped field then lacks is
added to it (:class:`hpcodec.remap_operators.Operators`).
"""

from __future__ import annotations

from collections.abc import Callable

import healpy
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial import cKDTree

from hpcodec.grid import cell_count
from hpcodec.grids import Grid
from hpcodec.rings import Rings

__all__ = ["overlaps"]

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

# Levels by which cells are cut, and the finest that they are cut to: 50 million are a matter of
# seconds where rings say which point is nearest, and a million where it has to be looked for.
_CUTS, _FINEST, _FINEST_SOUGHT = 4, 11, 8
_TOGETHER = 2**20  # small cells at a time

_ROUNDS, _EXACT = 50, 1e-9
_SPECK = 0.01  # of a small cell: what a point has at least of the cell that it lies in


def overlaps(grid: Grid, level: int, areas: Doubles) -> sparse.csr_array:
    """Parts of the sphere that a cell and the surroundings of a point share.

    Parameters
    ----------
    grid : Grid
        Of the points.
    level : int
        Of the cells, nested order.
    areas : ndarray
        Of the points, flat, any unit.

    Returns
    -------
    csr_array
        ``(cells, points)``, float64; rows sum to 1 / cells and columns to the areas, nearly.
    """
    rings = grid.rings
    nearest = _by_rings(rings, areas) if rings is not None else _sought(grid)
    finest = _FINEST if rings is not None else _FINEST_SOUGHT
    cuts = max(1, min(_CUTS, finest - level))
    cells = cell_count(level)
    counted = sparse.csr_array((cells, areas.size), dtype=np.float64)
    for first in range(0, cell_count(level + cuts), _TOGETHER):
        small = np.arange(first, min(first + _TOGETHER, cell_count(level + cuts)))
        theta, phi = healpy.pix2ang(2 ** (level + cuts), small, nest=True)
        shared = (np.ones(small.size), (small >> 2 * cuts, nearest(theta, phi)))
        counted += sparse.csr_array(shared, shape=counted.shape)
    # Points crowd at poles: some are the nearest of no small cell.
    latitude, longitude = grid.points
    own = healpy.ang2pix(2**level, longitude, latitude, nest=True, lonlat=True)
    specks = (np.full(own.size, _SPECK), (own, np.arange(own.size)))
    counted += sparse.csr_array(specks, shape=counted.shape)
    return _scaled(counted, np.full(cells, 1 / cells), areas / areas.sum())


def _scaled(counted: sparse.csr_array, rows: Doubles, columns: Doubles) -> sparse.csr_array:
    """Rows and columns scaled to these sums (Sinkhorn and Knopp 1967)."""
    across, down = np.ones(rows.size), np.ones(columns.size)
    turned = sparse.csr_array(counted.T)
    for _ in range(_ROUNDS):
        across = rows / (counted @ down)
        sums = down * (turned @ across)
        if np.abs(sums / columns - 1).max() < _EXACT:
            break
        down = columns / (turned @ across)
    return sparse.csr_array(sparse.diags_array(across) @ counted @ sparse.diags_array(down))


def _by_rings(rings: Rings, areas: Doubles) -> Callable[[Doubles, Doubles], Places]:
    """Point whose part of its ring's band is there, by colatitude and longitude."""
    share = np.bincount(_ring_of(rings), areas)
    edges = -1 + 2 * np.cumsum(share)[:-1] / share.sum()

    def nearest(theta: Doubles, phi: Doubles) -> Places:
        ring = np.searchsorted(edges, -np.cos(theta))
        count = rings.count[ring]
        turn = rings.direction * (phi - rings.phase[ring]) * count / (2 * np.pi)
        return np.asarray(rings.start[ring] + np.rint(turn).astype(np.int64) % count)

    return nearest


def _ring_of(rings: Rings) -> Places:
    """Ring of each point."""
    found = np.empty(int(rings.count.sum()), np.int64)
    for ring, (start, count) in enumerate(zip(rings.start, rings.count, strict=True)):
        found[start : start + count] = ring
    return found


def _sought(grid: Grid) -> Callable[[Doubles, Doubles], Places]:
    latitude, longitude = grid.points
    tree = cKDTree(healpy.ang2vec(longitude, latitude, lonlat=True))
    return lambda theta, phi: np.asarray(tree.query(healpy.ang2vec(theta, phi))[1], np.int64)
