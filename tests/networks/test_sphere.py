from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.networks.sphere import (
    pad_isolated,
    pad_sphere,
    to_faces,
    to_nested,
)
from tests.tiny import directions


@given(level=st.integers(0, 6), leading=st.lists(st.integers(1, 3), max_size=2))
@settings(deadline=None)
def test_faces_round_trip(level: int, leading: list[int]) -> None:
    nside = 2**level
    cells = torch.arange(12 * nside**2).expand(*leading, -1)
    faces = to_faces(cells)
    assert faces.shape == (*leading, 12, nside, nside)
    assert torch.equal(to_nested(faces), cells)


def test_a_parent_is_a_square_of_its_children() -> None:
    parents = to_faces(torch.arange(12 * 8**2))
    children = to_faces(torch.arange(12 * 16**2) // 4)
    assert torch.equal(children[:, ::2, ::2], parents)
    assert torch.equal(children[:, 1::2, 1::2], parents)


def test_smooth_fields_stay_smooth_across_seams() -> None:
    nside, halo = 32, 2
    vectors = directions(nside)
    field = torch.from_numpy(vectors @ np.array([0.3, -0.5, 0.8])).view(1, 1, 12, nside, nside)
    padded = pad_sphere(field, halo)
    assert padded.shape == (12, 1, nside + 4, nside + 4)
    steps = max(float(padded.diff(dim=axis).abs().max()) for axis in (-1, -2))
    assert steps < 3 * np.sqrt(4 * np.pi / (12 * nside**2))


def test_pad_sphere_keeps_fields_and_channels_apart() -> None:
    field = torch.arange(2 * 3 * 12 * 16.0).view(2, 3, 12, 4, 4)
    padded = pad_sphere(field, 2).view(2, 12, 3, 8, 8)
    assert torch.equal(padded[:, :, :, 2:-2, 2:-2], field.transpose(1, 2))
    for sphere in range(2):
        for channel in range(3):
            known = set(field[sphere, channel].flatten().tolist())
            assert set(padded[sphere, :, channel].flatten().tolist()) == known


def test_inference_leaves_nothing_that_training_cannot_use() -> None:
    with torch.inference_mode():
        pad_sphere(to_faces(torch.zeros(1, 1, 12)), 3)
    cells = torch.zeros(1, 1, 12, requires_grad=True)
    padded = pad_sphere(to_faces(cells), 3)
    torch.autograd.backward(padded.sum() + to_nested(to_faces(cells)).sum())
    assert cells.grad is not None
    assert float(cells.grad.sum()) == 12 * 7**2 + 12


def test_pad_isolated_repeats_the_edge() -> None:
    field = torch.arange(2 * 3 * 16.0).view(2, 3, 1, 4, 4)
    padded = pad_isolated(field, 2)
    assert padded.shape == (2, 3, 8, 8)
    assert torch.equal(padded[..., 2:-2, 2:-2], field[:, :, 0])
    assert torch.equal(padded[..., 0, 2:-2], field[:, :, 0, 0])
    assert torch.equal(padded[..., 2:-2, -1], field[:, :, 0, :, -1])
    assert torch.equal(padded[..., 0, 0], field[:, :, 0, 0, 0])
