from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.grid import BASE_LEVEL
from hpcodec.networks.attention import SHIFT, WINDOW, FieldSpaceBlock
from hpcodec.networks.field_space import FieldSpaceAutoencoder, Setting, merge, split
from hpcodec.networks.sphere import pad_isolated
from hpcodec.networks.stage import FieldSpaceStage, local
from hpcodec.train.losses import autoencode
from tests.tiny import architecture, awake, batch_of, network, setting, statics

LEVEL = 5
STATICS = statics(LEVEL)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def base_means(field: torch.Tensor) -> torch.Tensor:
    while field.shape[-1] > 2**BASE_LEVEL:
        field, _ = split(field)
    return field


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), faces=st.sampled_from([1, 12]), size=st.floats(1e-3, 1e4))
def test_merge_inverts_split(seed: int, faces: int, size: float) -> None:
    field = size * noise(2, faces, 16, 16, seed=seed)
    mean, residual = split(field)
    assert mean.shape == (2, faces, 8, 8)
    assert residual.shape == (2, 3, faces, 8, 8)
    torch.testing.assert_close(merge(mean, residual), field, rtol=0, atol=4e-6 * size)
    again, same = split(merge(mean, residual))
    torch.testing.assert_close(again, mean, rtol=0, atol=4e-6 * size)
    torch.testing.assert_close(same, residual, rtol=0, atol=4e-6 * size)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), offset=st.floats(-1e3, 1e3), size=st.floats(1e-3, 1e3))
def test_children_average_to_their_parent(seed: int, offset: float, size: float) -> None:
    mean, residual = offset + noise(1, 12, 8, 8, seed=seed), size * noise(1, 3, 12, 8, 8)
    children = merge(mean, residual)
    averaged = torch.nn.functional.avg_pool2d(children, 2)
    allowed = 1e-6 * (abs(offset) + 10 * size + 10)
    torch.testing.assert_close(averaged, mean, rtol=0, atol=allowed)


def test_split_is_exact_in_whole_numbers() -> None:
    field = 4 * noise(1, 1, 8, 8).mul(100).round()
    mean, residual = split(field)
    assert torch.equal(mean, torch.nn.functional.avg_pool2d(field, 2))
    assert torch.equal(merge(mean, residual), field)


def test_components_are_orthogonal() -> None:
    mean, zero = torch.zeros(1, 1, 1, 1), torch.zeros(1, 3, 1, 1, 1)
    patterns = []
    for component in range(3):
        one = zero.clone()
        one[:, component] = 1
        patterns.append(merge(mean, one).flatten())
    stack = torch.stack(patterns)
    assert torch.equal(stack @ stack.T, 4 * torch.eye(3))


@pytest.mark.parametrize("level", [4, 5])
def test_untrained_network_predicts_no_residual(level: int) -> None:
    built = network(LEVEL)
    side = 2 ** (level - 1)
    residual = built.predict(
        level, 100 * noise(2, 12, side, side), batch_of(STATICS, 2), setting(2)
    )
    assert residual.shape == (2, 3, 12, side, side)
    assert torch.equal(residual, torch.zeros_like(residual))


@pytest.mark.parametrize("bottleneck", [3, 4])
def test_untrained_network_codes_the_plain_mean(bottleneck: int) -> None:
    field = noise(1, 12, 32, 32)
    coded = network(LEVEL).analyse(field, batch_of(STATICS, 1), setting(bottleneck=bottleneck))
    while field.shape[-1] > 2**bottleneck:
        field, _ = split(field)
    torch.testing.assert_close(coded, field)


@pytest.mark.parametrize("bottleneck", [3, 4, 5])
def test_analyse_keeps_base_means(bottleneck: int) -> None:
    field = 3 + noise(2, 12, 32, 32)
    coded = awake(LEVEL).analyse(field, batch_of(STATICS, 2), setting(2, bottleneck=bottleneck))
    assert coded.shape == (2, 12, 2**bottleneck, 2**bottleneck)
    torch.testing.assert_close(base_means(coded), base_means(field), rtol=0, atol=1e-5)
    if bottleneck == 5:
        assert torch.equal(coded, field)
    if bottleneck == 4:  # the encoder has its say inside the base cells
        assert not torch.allclose(coded, split(field)[0], atol=1e-3)


def test_every_input_matters() -> None:
    built, parent, told = awake(LEVEL), noise(1, 12, 16, 16), setting(bottleneck=5)
    known = batch_of(STATICS, 1)
    plain = built.predict(5, parent, known, told)
    flat = {level: torch.zeros_like(field) for level, field in known.items()}
    for other in (
        built.predict(5, parent + noise(1, 12, 16, 16, seed=1), known, told),
        built.predict(5, parent, flat, told),
        built.predict(5, parent, known, setting(step=0.1, bottleneck=5)),
        built.predict(5, parent, known, setting(bottleneck=4)),
    ):
        assert not torch.allclose(other, plain)
    # The step of a level that is not coded says nothing.
    uncoded = [built.predict(5, parent, known, setting(step=s, bottleneck=4)) for s in (1.0, 0.1)]
    torch.testing.assert_close(*uncoded)


def test_single_faces_and_spheres_take_the_same_path() -> None:
    built = awake(LEVEL)
    faces = noise(2, 1, 8, 8)
    alone = {level: field[:, :1].expand(2, 3, 1, -1, -1) for level, field in STATICS.items()}
    residual = built.predict(4, faces, alone, setting(2), pad_isolated)
    assert residual.shape == (2, 3, 1, 8, 8)


def test_variables_have_embeddings() -> None:
    torch.manual_seed(0)
    built = FieldSpaceAutoencoder(architecture(LEVEL, ("air_temperature", "air_pressure")))
    assert built.embed.num_embeddings == 3
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0, 0.1)
    parent, known = noise(1, 12, 8, 8), batch_of(STATICS, 1)
    told = [
        built.predict(4, parent, known, Setting(torch.tensor([k]), torch.ones(1), 4))
        for k in range(3)
    ]
    assert not torch.allclose(told[0], told[1])
    assert not torch.allclose(told[1], told[2])


def test_steps_halve_towards_the_base() -> None:
    told = setting(2, step=0.5, bottleneck=5)
    assert told.step_at(5, 5).flatten().tolist() == [0.25, 0.25]
    assert told.step_at(4, 5).shape == (2, 1, 1, 1, 1)
    assert float(told.step_at(4, 5)[0]) == 0.125


@pytest.mark.parametrize("side", [2 * WINDOW, 5 * WINDOW])
def test_block_eats_its_shift(side: int) -> None:
    block = FieldSpaceBlock(16, 4, 2, 8)
    field, condition = noise(3, side, side, 16), noise(3, 8)
    updated = block(field, condition)
    assert updated.shape == (3, side - 2 * SHIFT, side - 2 * SHIFT, 16)
    # Untrained, it passes the field on.
    assert torch.equal(updated, field[:, SHIFT:-SHIFT, SHIFT:-SHIFT])


@pytest.mark.parametrize(("blocks", "side"), [(1, 8), (2, 8), (2, 32), (3, 16)])
def test_stage_gives_the_side_it_is_asked_for(blocks: int, side: int) -> None:
    stage = FieldSpaceStage(4, 3, width=16, heads=2, expansion=1, blocks=blocks, condition=8)
    padded = side + 2 * stage.halo
    fields = stage(noise(2, 4, padded, padded), noise(2, 8))
    assert fields.shape == (2, 3, side, side)
    assert torch.equal(fields, torch.zeros_like(fields))


def test_local_knows_no_offset() -> None:
    field = noise(1, 1, 12, 12)
    assert local(field).shape == (1, 1, 8, 8)
    torch.testing.assert_close(local(field + 1000), local(field), rtol=0, atol=1e-3)


@pytest.mark.parametrize("seed", range(2))
def test_gradients_reach_every_parameter(seed: int) -> None:
    built = awake(LEVEL, seed).train()
    faces = {level: field[None, :, seed : seed + 1] for level, field in STATICS.items()}
    field = 3 * noise(1, 1, 32, 32, seed=seed)
    silent = {name for name, _ in built.named_parameters()}
    for bottleneck in (3, 4, 5):
        built.zero_grad(set_to_none=True)
        told = setting(step=0.5, bottleneck=bottleneck)
        losses = autoencode(built, field, faces, told, pad_isolated, given=LEVEL)
        torch.autograd.backward(losses.loss)
        for name, parameter in built.named_parameters():
            assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
            if parameter.grad is not None and bool(parameter.grad.any()):
                silent.discard(name)
    assert not silent
