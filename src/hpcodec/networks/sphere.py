"""The sphere as twelve square images, and their seams.

    nested cells (…, 12 * 4**level)  <->  faces (…, 12, nside, nside)  ->  faces with a halo

Inside a face, HEALPix cells form a square grid on which convolutions and windows are plain slices.
A halo carries what lies beyond the edges, turned into the frame of the face it surrounds.
"""

from __future__ import annotations

from functools import lru_cache

import healpy
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["face_level", "halo_index", "pad_isolated", "pad_sphere", "to_faces", "to_nested"]

# Indices into healpy's neighbour list: the four that share an edge.
_SOUTHWEST, _NORTHWEST, _NORTHEAST, _SOUTHEAST = 0, 2, 4, 6


@lru_cache(maxsize=16)
def _nested_index(nside: int) -> npt.NDArray[np.int64]:
    """Nested cell number at each place of the faces, shape ``(12 * nside**2,)``, int64."""
    face, row, column = np.indices((12, nside, nside))
    return np.asarray(healpy.xyf2pix(nside, column, row, face, nest=True), np.int64).ravel()


@lru_cache(maxsize=16)
def _index_tensors(nside: int, device: str) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # kept beyond the call, perhaps for training
        forward = torch.from_numpy(_nested_index(nside))
        return forward.to(device), torch.argsort(forward).to(device)


def face_level(faces: Tensor) -> int:
    """Level of faces ``(…, nside, nside)``."""
    return int(faces.shape[-1]).bit_length() - 1


def to_faces(cells: Tensor) -> Tensor:
    """Nested cells ``(…, 12 * nside**2)`` as faces ``(…, 12, nside, nside)``."""
    nside = int((cells.shape[-1] // 12) ** 0.5)
    forward, _ = _index_tensors(nside, str(cells.device))
    return torch.unflatten(cells[..., forward], -1, (12, nside, nside))


def to_nested(faces: Tensor) -> Tensor:
    """Inverse of :func:`to_faces`."""
    _, backward = _index_tensors(faces.shape[-1], str(faces.device))
    return faces.flatten(-3)[..., backward]


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
    nest = _nested_index(nside)
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


@lru_cache(maxsize=32)
def _halo_tensor(nside: int, halo: int, device: str) -> Tensor:
    with torch.inference_mode(False):  # kept beyond the call, perhaps for training
        return torch.from_numpy(halo_index(nside, halo).ravel()).to(device)


def pad_sphere(faces: Tensor, halo: int) -> Tensor:
    """Whole spheres ``(n, channels, 12, nside, nside)`` as ``(n * 12, channels, side, side)``.

    ``side = nside + 2 * halo``; the halo comes from the neighbouring faces.
    """
    count, channels, _, nside, _ = faces.shape
    side = nside + 2 * halo
    index = _halo_tensor(nside, halo, str(faces.device))
    padded = faces.flatten(2)[..., index].view(count, channels, 12, side, side)
    return padded.transpose(1, 2).reshape(count * 12, channels, side, side)


def pad_isolated(faces: Tensor, halo: int) -> Tensor:
    """Single faces ``(n, channels, 1, nside, nside)`` as ``(n, channels, side, side)``.

    The halo repeats the edge: for training on faces without their neighbours.
    """
    return functional.pad(faces.squeeze(2), (halo,) * 4, mode="replicate")
