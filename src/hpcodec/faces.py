"""The sphere as twelve square images: where each cell of a face, or beyond its edge, lies.

Inside a face, HEALPix cells form a square grid; a halo carries what lies beyond the edges, turned
into the frame of the face it surrounds. Numbers of places only: what moves fields by them is
:mod:`hpcodec.networks.sphere` for tensors and :mod:`hpcodec.entropy` for symbols.
"""

from __future__ import annotations

from functools import lru_cache

import healpy
import numpy as np
import numpy.typing as npt

__all__ = ["halo_index", "nested_index"]

# Indices into healpy's neighbour list: the four that share an edge.
_SOUTHWEST, _NORTHWEST, _NORTHEAST, _SOUTHEAST = 0, 2, 4, 6


@lru_cache(maxsize=16)
def nested_index(nside: int) -> npt.NDArray[np.int64]:
    """Nested cell number at each place of the faces, shape ``(12 * nside**2,)``, int64."""
    face, row, column = np.indices((12, nside, nside))
    return np.asarray(healpy.xyf2pix(nside, column, row, face, nest=True), np.int64).ravel()


@lru_cache(maxsize=32)
def halo_index(nside: int, halo: int) -> npt.NDArray[np.int64]:
    """Where the cells around each face lie, in that face's own frame.

    Parameters
    ----------
    nside : int
        Cells along a face's edge.
    halo : int
        Cells to add on each side; may exceed ``nside``.

    Returns
    -------
    ndarray of int64
        ``(12, nside + 2 * halo, nside + 2 * halo)``: position in the flattened faces
        ``(12, nside, nside)``.

    Notes
    -----
    Lines of cells are followed across the seams by neighbour lists, keeping the direction of
    travel, so that a turned neighbour face arrives turned. Around the eight points where only
    three faces meet the corner of the halo is one of the two equally good choices.
    """
    nest = nested_index(nside)
    place = np.argsort(nest)
    around = place[np.array(healpy.get_all_neighbours(nside, nest, nest=True)).T]
    start = np.arange(12 * nside**2).reshape(12, nside, nside)
    # Rows first: each walk returns the cells met and the direction that is "up" there.
    up = np.full(start.shape, _NORTHWEST)
    east, east_up = _walk(around, start[:, :, -1], _NORTHEAST, up[:, :, -1], halo)
    west, west_up = _walk(around, start[:, :, 0], _SOUTHWEST, up[:, :, 0], halo)
    rows = np.concatenate([west[:, :, ::-1], start, east], axis=2)
    rows_up = np.concatenate([west_up[:, :, ::-1], up, east_up], axis=2)
    north, _ = _walk(around, rows[:, -1], rows_up[:, -1], rows_up[:, -1], halo)
    south, _ = _walk(around, rows[:, 0], (rows_up[:, 0] + 4) % 8, rows_up[:, 0], halo)
    columns = [south[:, :, ::-1].swapaxes(1, 2), rows, north.swapaxes(1, 2)]
    return np.ascontiguousarray(np.concatenate(columns, axis=1))


def _walk(
    around: npt.NDArray[np.int64],
    cell: npt.NDArray[np.int64],
    heading: int | npt.NDArray[np.int64],
    up: npt.NDArray[np.int64],
    steps: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Cells met in ``steps`` straight steps and what is up there, stacked on a new last axis."""
    heading = np.broadcast_to(heading, cell.shape).copy()
    cells = np.empty((*cell.shape, steps), np.int64)
    ups = np.empty_like(cells)
    for step in range(steps):
        onward = around[cell, heading]
        # Seen from the new cell the old one lies behind; a turned face shows it elsewhere.
        behind = (around[onward] == cell[..., None])[..., ::2].argmax(-1) * 2
        turn = (behind + 4 - heading) % 8
        heading, up, cell = (heading + turn) % 8, (up + turn) % 8, onward
        cells[..., step], ups[..., step] = cell, up
    return cells, ups
