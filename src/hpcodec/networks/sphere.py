"""The sphere as twelve square images, and their seams.

    nested cells (…, 12 * 4**level)  <->  faces (…, 12, nside, nside)  ->  faces with a halo

Inside a face, HEALPix cells form a square grid on which convolutions and windows are plain slices.
A halo carries what lies beyond the edges, turned into the frame of the face it surrounds.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from hpcodec.faces import halo_index, nested_index

__all__ = ["face_level", "pad_isolated", "pad_sphere", "to_faces", "to_nested"]


@lru_cache(maxsize=16)
def _index_tensors(nside: int, device: str) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # kept beyond the call, perhaps for training
        forward = torch.from_numpy(nested_index(nside))
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
