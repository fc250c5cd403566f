from __future__ import annotations

import pytest
import torch

from hpcodec.networks.field_space import FieldSpaceAutoencoder
from hpcodec.networks.sphere import to_faces
from hpcodec.train.fields import Batch
from hpcodec.train.step import Backward
from tests.tiny import awake, setting, smooth_cells, statics, step_of


def batch_of(level: int, faces: int, side: int) -> Batch:
    """Two fields of which the first ``faces`` are taken, and of these a corner of ``side``."""
    field = to_faces(torch.from_numpy(smooth_cells(level, 2)))
    known = statics(level)[level].expand(2, -1, -1, -1, -1)
    return Batch(
        level,
        field[:, :faces, :side, :side].contiguous(),
        known[:, :, :faces, :side, :side].contiguous(),
        torch.zeros(2, dtype=torch.int64),
    )


def learned(network: FieldSpaceAutoencoder) -> set[int]:
    """Levels of the decoder that have gradients."""
    found = set()
    for name, parameter in network.named_parameters():
        part, _, number = name.partition(".")
        if part in ("details", "decompress") and parameter.grad is not None:
            assert bool(parameter.grad.isfinite().all())
            if bool(parameter.grad.any()):
                found.add(4 + int(number.split(".")[0]))
    return found


@pytest.mark.parametrize(
    ("level", "faces", "side", "levels"),
    [
        (4, 12, 16, {4}),
        (5, 12, 32, {4, 5}),
        (6, 12, 64, {4, 5, 6}),
        (5, 1, 32, {4, 5}),
        (6, 1, 64, {5, 6}),
        (6, 1, 32, {5, 6}),
    ],
)
def test_spheres_are_learned_from_the_base_up_and_faces_from_two_levels_below(
    level: int, faces: int, side: int, levels: set[int]
) -> None:
    network = awake(6).train()
    told = setting(2, step_of(0.25), level)
    losses = Backward(network)(batch_of(level, faces, side), told, level)
    assert bool(losses.loss.isfinite())
    assert learned(network) == levels


def test_every_call_leaves_its_own_gradients_and_no_others() -> None:
    network = awake(6).train()
    backward, kept = Backward(network), []
    for level in (5, 6, 5):
        torch.manual_seed(0)
        backward(batch_of(level, 1, 2**level), setting(2, step_of(0.25), level), level)
        kept.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert all(torch.equal(*pair) for pair in zip(kept[0], kept[2], strict=True))
    assert not all(torch.equal(*pair) for pair in zip(kept[0], kept[1], strict=True))


def test_the_encoder_learns_only_where_it_is_shown_more_than_the_bottleneck() -> None:
    network = awake(5).train()
    for given, moved in ((4, False), (5, True)):
        Backward(network)(batch_of(5, 12, 32), setting(2, step_of(0.25), 4), given)
        grads = [p.grad for p in network.compress.parameters() if p.grad is not None]
        assert any(bool(grad.any()) for grad in grads) == moved
