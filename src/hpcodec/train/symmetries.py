"""The symmetries of the sphere's faces: what training may turn without changing what is true.

A face has the eight of a square. The sphere of twelve faces has sixteen, which keep the poles'
axis: four quarter turns, each plain or mirrored east-west, north-south, or both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["turned_faces", "turned_spheres"]

_EAST_WEST = [3, 2, 1, 0, 4, 7, 6, 5, 11, 10, 9, 8]
_NORTH_SOUTH = [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3]


def turned_faces(stack: Tensor, rng: np.random.Generator) -> Tensor:
    """Each of the faces ``(n, channels, 1, side, side)`` by one of its eight symmetries."""
    transposed, upturned, turned = (_coin(stack, rng) for _ in range(3))
    stack = torch.where(transposed, stack.mT, stack)
    stack = torch.where(upturned, stack.flip(-1), stack)
    return torch.where(turned, stack.flip(-2), stack)


def turned_spheres(stack: Tensor, rng: np.random.Generator) -> Tensor:
    """Each of the spheres ``(n, channels, 12, side, side)`` by one of its sixteen symmetries."""
    spheres = []
    for sphere in stack:
        # A quarter turn moves each face to the next of its row.
        quarters = (np.arange(4) + rng.integers(4)) % 4
        turned = sphere[:, np.concatenate([quarters, 4 + quarters, 8 + quarters])]
        if rng.random() < 0.5:
            turned = mirrored(turned, _EAST_WEST)
        if rng.random() < 0.5:
            turned = mirrored(turned, _NORTH_SOUTH).flip(-1, -2)
        spheres.append(turned)
    return torch.stack(spheres)


def mirrored(sphere: Tensor, order: list[int]) -> Tensor:
    """Faces ``(channels, 12, side, side)`` in another order, each mirrored along its diagonal."""
    return sphere[:, order].mT


def _coin(stack: Tensor, rng: np.random.Generator) -> Tensor:
    sides: npt.NDArray[np.bool_] = rng.random(len(stack)) < 0.5
    return torch.from_numpy(sides).to(stack.device)[:, None, None, None, None]
