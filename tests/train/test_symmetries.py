from __future__ import annotations

from collections.abc import Callable

import healpy
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from hpcodec.networks.sphere import pad_sphere
from hpcodec.train.symmetries import turned_faces, turned_spheres
from tests.tiny import directions

Turned = Callable[[Tensor, np.random.Generator], Tensor]

NSIDE, HALO = 8, 3


def vectors(count: int) -> Tensor:
    """Unit vector of every cell as channels of ``count`` spheres: ``(count, 3, 12, 8, 8)``."""
    one = torch.from_numpy(directions(NSIDE).T.reshape(3, 12, NSIDE, NSIDE).copy())
    return one.expand(count, -1, -1, -1, -1)


def offsets(count: int) -> Tensor:
    """Row and column from the middle of a face as channels: ``(count, 2, 1, 8, 8)``."""
    along = torch.arange(NSIDE) - (NSIDE - 1) / 2
    one = torch.stack(torch.meshgrid(along, along, indexing="ij"))[:, None]
    return one.expand(count, -1, -1, -1, -1)


def movements(stack: Tensor, turned: Tensor) -> list[tuple[int, ...]]:
    """The linear map that moved each of ``stack`` as a whole, in whole numbers, flattened."""
    before, found = stack[0].flatten(1).T.double(), []
    for one in turned:
        after = one.flatten(1).T.double()
        moved = torch.linalg.lstsq(before, after).solution
        torch.testing.assert_close(before @ moved, after, rtol=0, atol=1e-12)
        whole = moved.round()
        torch.testing.assert_close(moved, whole, rtol=0, atol=1e-12)
        torch.testing.assert_close(whole @ whole.T, torch.eye(len(whole), dtype=torch.double))
        found.append(tuple(whole.flatten().int().tolist()))
    return found


def test_spheres_turn_and_are_mirrored_as_wholes() -> None:
    """Every cell's place moves by one and the same isometry, which keeps the poles' axis."""
    stack = vectors(400)
    found = movements(stack, turned_spheres(stack, np.random.default_rng(0)))
    assert all(abs(moved[8]) == 1 for moved in found)
    # Four quarter turns, each plain or mirrored east-west, north-south, or both.
    assert len(set(found)) == 16
    assert min(found.count(one) for one in set(found)) > 400 / 16 / 3


def test_faces_have_the_symmetries_of_a_square() -> None:
    stack = offsets(400)
    found = movements(stack, turned_faces(stack, np.random.default_rng(0)))
    assert len(set(found)) == 8
    assert min(found.count(one) for one in set(found)) > 400 / 8 / 3


def lonely_corners() -> npt.NDArray[np.bool_]:
    """Corners of the faces' halos that lie where only three faces meet, ``(12, side, side)``."""
    side = NSIDE + 2 * HALO
    corners = np.zeros((12, side, side), bool)
    near, far = slice(0, HALO), slice(side - HALO, side)
    for face in range(12):
        for row, rows in ((0, near), (NSIDE - 1, far)):
            for column, columns in ((0, near), (NSIDE - 1, far)):
                cell = healpy.xyf2pix(NSIDE, column, row, face, nest=True)
                around = healpy.get_all_neighbours(NSIDE, cell, nest=True)
                corners[face, rows, columns] = -1 in around
    return corners


@pytest.mark.parametrize("seed", range(4))
def test_what_lies_beyond_a_face_turns_with_the_sphere(seed: int) -> None:
    """All that a convolution sees of a turned sphere is what it saw, turned."""
    count, side = 16, NSIDE + 2 * HALO
    stack = torch.randn(count, 2, 12, NSIDE, NSIDE)

    def padded(spheres: Tensor) -> Tensor:
        return pad_sphere(spheres, HALO).view(count, 12, 2, side, side).transpose(1, 2)

    before = turned_spheres(padded(stack), np.random.default_rng(seed))
    after = padded(turned_spheres(stack, np.random.default_rng(seed)))
    differs = (before != after).any(0).any(0).numpy()
    # There the halo is one of two equally good choices.
    assert not differs[~lonely_corners()].any()
    assert lonely_corners().sum() == 24 * HALO**2


@pytest.mark.parametrize("turned", [turned_faces, turned_spheres])
def test_all_chance_comes_from_the_generator(turned: Turned) -> None:
    stack = torch.randn(8, 2, 12 if turned is turned_spheres else 1, 4, 4)
    first = turned(stack, np.random.default_rng(1))
    torch.manual_seed(3)
    assert torch.equal(turned(stack, np.random.default_rng(1)), first)
    assert not torch.equal(turned(stack, np.random.default_rng(2)), first)
    assert first.shape == stack.shape
