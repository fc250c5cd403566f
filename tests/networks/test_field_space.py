from __future__ import annotations

from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.grid import BASE_LEVEL
from hpcodec.networks.architecture import Architecture
from hpcodec.networks.attention import SHIFT, WINDOW, FieldSpaceBlock
from hpcodec.networks.field_space import Code, FieldSpaceAutoencoder, Setting
from hpcodec.networks.residual import COMPONENTS, ResidualStage
from hpcodec.networks.scales import merge, split
from hpcodec.networks.sphere import pad_isolated, pad_sphere
from hpcodec.networks.stage import FieldSpaceStage, local
from hpcodec.train.losses import autoencode
from tests.tiny import architecture, awake, batch_of, network, setting, statics, step_of

LEVEL = 5
STATICS = statics(LEVEL)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def surprises(count: int, level: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Symbols and surprise of each component, ``(n, 12, side, side)``."""
    side = 2 ** (level - 1)
    symbols = [noise(count, 12, side, side, seed=7 + c).mul(2).round() for c in range(COMPONENTS)]
    return [(one, 0.3 * one) for one in symbols]


def listed(
    told: list[tuple[torch.Tensor, torch.Tensor]], guesses: list[torch.Tensor] | None = None
) -> Code:
    """Code that tells what is listed, and notes the guesses that it is asked with."""

    def code(component: int, guess: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if guesses is not None:
            guesses.append(guess)
        return told[component]

    return code


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
def test_untrained_network_expects_no_residual(level: int) -> None:
    built = network(LEVEL)
    side = 2 ** (level - 1)
    residual = built.residual(
        level, 100 * noise(2, 12, side, side), batch_of(STATICS, 2), setting(2)
    )
    assert residual.shape == (2, 3, 12, side, side)
    assert torch.equal(residual, torch.zeros_like(residual))


@pytest.mark.parametrize("level", [4, 5])
def test_untrained_network_decodes_what_it_is_told(level: int) -> None:
    side, told = 2 ** (level - 1), surprises(2, level)
    residual = network(LEVEL).residual(
        level, noise(2, 12, side, side), batch_of(STATICS, 2), setting(2), listed(told)
    )
    assert torch.equal(residual, torch.stack([value for _, value in told], 1))


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


@pytest.mark.parametrize("level", [4, 5, 6])
def test_every_input_matters(level: int) -> None:
    """With and without field-space attention, wide and thin."""
    built, side = awake(6), 2 ** (level - 1)
    parent, told, known = noise(1, 12, side, side), setting(bottleneck=6), batch_of(statics(6), 1)
    plain = built.residual(level, parent, known, told)
    flat = {level: torch.zeros_like(field) for level, field in known.items()}
    for other in (
        built.residual(level, parent + noise(1, 12, side, side, seed=1), known, told),
        built.residual(level, parent, flat, told),
        built.residual(level, parent, known, setting(step=0.1, bottleneck=6)),
        built.residual(level, parent, known, setting(bottleneck=3)),
    ):
        assert not torch.allclose(other, plain)


def test_the_step_of_a_level_that_is_not_coded_says_little() -> None:
    """It scales the last correction alone, of which nothing is left where the step is large."""
    built, parent, known = awake(LEVEL), noise(1, 12, 16, 16), batch_of(STATICS, 1)
    uncoded = [
        built.residual(5, parent, known, setting(step=step_of(s), bottleneck=4))
        for s in (2.0, 32.0)
    ]
    torch.testing.assert_close(*uncoded)


@pytest.mark.parametrize("component", range(COMPONENTS))
@pytest.mark.parametrize("part", ["symbols", "surprise"])
def test_what_is_told_of_a_component_reaches_those_after_it(component: int, part: str) -> None:
    """Closed loop: guesses see the components before them, and those alone."""
    built, parent, known = awake(LEVEL), noise(1, 12, 16, 16), batch_of(STATICS, 1)
    told = surprises(1, 5)
    changed = list(told)
    symbols, surprise = told[component]
    changed[component] = (symbols + 3, surprise) if part == "symbols" else (symbols, surprise + 1)
    guesses: list[list[torch.Tensor]] = [[], []]
    residuals = [
        built.residual(5, parent, known, setting(bottleneck=5), listed(one, heard))
        for one, heard in zip((told, changed), guesses, strict=True)
    ]
    for other, (before, after) in enumerate(zip(*guesses, strict=True)):
        assert torch.equal(before, after) == (other <= component)
    # What is told moves the residual itself, and the last correction of all components.
    for other in range(COMPONENTS):
        assert not torch.allclose(residuals[0][:, other], residuals[1][:, other])


def test_components_are_asked_for_in_order() -> None:
    asked: list[tuple[int, tuple[int, ...]]] = []

    def code(component: int, guess: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append((component, tuple(guess.shape)))
        assert guess.dtype == torch.float32
        return torch.zeros_like(guess), torch.zeros_like(guess)

    built, known = awake(LEVEL), batch_of(STATICS, 2)
    built.residual(4, noise(2, 12, 8, 8), known, setting(2), code)
    assert asked == [(component, (2, 12, 8, 8)) for component in range(COMPONENTS)]


def test_no_code_is_a_code_that_tells_nothing() -> None:
    def nothing(_: int, guess: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros_like(guess), torch.zeros_like(guess)

    built, parent, known = awake(LEVEL), noise(1, 12, 8, 8), batch_of(STATICS, 1)
    residuals = [built.residual(4, parent, known, setting(), code) for code in (None, nothing)]
    assert torch.equal(*residuals)


def test_the_last_correction_stays_within_reach_of_the_step() -> None:
    """What is coded finely is moved little by it, whatever the network says."""
    built, parent, known = awake(LEVEL), noise(1, 12, 16, 16), batch_of(STATICS, 1)
    moved = []
    for step in (1.0, 2.0**-10):
        told = surprises(1, 5)
        guesses: list[torch.Tensor] = []
        residual = built.residual(
            5, parent, known, setting(step=step, bottleneck=5), listed(told, guesses)
        )
        plain = torch.stack(
            [guess + value for guess, (_, value) in zip(guesses, told, strict=True)], 1
        )
        moved.append(float((residual - plain).detach().abs().max()))
    assert 0 < moved[1] < moved[0] / 100


@pytest.mark.parametrize("level", [4, 5])
def test_fields_of_a_batch_do_not_matter_to_each_other(level: int) -> None:
    built, side = awake(LEVEL), 2 ** (level - 1)
    parents, told = noise(3, 12, side, side), surprises(3, level)
    with torch.inference_mode():
        together = built.residual(
            level, parents, batch_of(STATICS, 3), setting(3, bottleneck=5), listed(told)
        )
        for row in range(3):
            one = [(symbols[row : row + 1], value[row : row + 1]) for symbols, value in told]
            alone = built.residual(
                level,
                parents[row : row + 1],
                batch_of(STATICS, 1),
                setting(bottleneck=5),
                listed(one),
            )
            torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)


def test_single_faces_and_spheres_take_the_same_path() -> None:
    built = awake(LEVEL)
    faces = noise(2, 1, 8, 8)
    alone = {level: field[:, :1].expand(2, 3, 1, -1, -1) for level, field in STATICS.items()}
    residual = built.residual(4, faces, alone, setting(2), pad=pad_isolated)
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
        built.residual(4, parent, known, Setting(torch.tensor([k]), torch.ones(1), 4))
        for k in range(3)
    ]
    assert not torch.allclose(told[0], told[1])
    assert not torch.allclose(told[1], told[2])


def test_steps_halve_towards_the_base() -> None:
    """From the step of level 9, whatever the finest level of the network."""
    told = setting(2, step=0.5, bottleneck=5)
    assert told.step_at(9).flatten().tolist() == [0.5, 0.5]
    assert told.step_at(4).shape == (2, 1, 1, 1, 1)
    for level in range(4, 9):
        assert torch.equal(2 * told.step_at(level), told.step_at(level + 1))


# Levels beyond those that attend, and one: thin stages, no encoder


def test_stages_are_thin_beyond_the_wide_ones() -> None:
    shape = architecture(7)
    assert shape.wide == 5
    assert architecture(4).wide == 4
    assert Architecture().wide == 8
    built = FieldSpaceAutoencoder(shape)
    stages = [stage for stage in built.details if isinstance(stage, ResidualStage)]
    widths = [stage.stem.out_channels for stage in stages]
    assert widths == [shape.local_width] * 2 + [shape.fine_width] * 2
    blocks = [len(stage.mix) for stage in stages]
    assert blocks == [shape.local_blocks] * 2 + [shape.fine_blocks] * 2
    assert len(built.compress) == len(built.folded) == 1


@pytest.mark.parametrize("bottleneck", [3, 4, 5, 6])
def test_what_is_finer_than_the_wide_levels_is_averaged_before_it_is_folded(
    bottleneck: int,
) -> None:
    built, known = awake(6), batch_of(statics(6), 1)
    field, told = noise(1, 12, 64, 64), setting(bottleneck=bottleneck)
    coded = built.analyse(field, known, told)
    if bottleneck == 6:
        assert torch.equal(coded, field)
    else:
        averaged = torch.nn.functional.avg_pool2d(field, 2)
        assert torch.equal(coded, built.analyse(averaged, known, told))
        assert torch.equal(coded, averaged) == (bottleneck == 5)


def test_a_linear_guess_alone_is_its_convolution_of_the_parents() -> None:
    """Of what they are beside those around them, across the seams, in units of the spread."""
    built, parent = network(6), noise(2, 12, 32, 32)
    stage, kernel = cast(ResidualStage, built.details[2]), noise(7, 7)
    built.spread[2] = 0.7
    with torch.no_grad():
        stage.linear.weight.view(-1, COMPONENTS, 7, 7)[1, 2] = kernel
        stage.share.weight.zero_()
        stage.share.bias.copy_(torch.tensor([5.0, 0.5, 7.0, 9.0]))
    residual = built.residual(6, parent, batch_of(statics(6), 2), setting(2))
    near = local(pad_sphere(parent[:, None], 3 + 2))
    expected = 0.5 * torch.nn.functional.conv2d(near, kernel[None, None]).view(2, 12, 32, 32)
    torch.testing.assert_close(residual[:, 2], expected, rtol=1e-4, atol=1e-4)
    assert not residual[:, :2].any()


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
    built = awake(6, seed).train()
    faces = {level: field[None, :, seed : seed + 1] for level, field in statics(6).items()}
    silent = {name for name, _ in built.named_parameters()}
    for finest, bottleneck in ((5, 3), (5, 4), (5, 5), (6, 6)):
        built.zero_grad(set_to_none=True)
        told = setting(step=step_of(0.25), bottleneck=bottleneck)
        field = 3 * noise(1, 1, 2**finest, 2**finest, seed=seed)
        losses = autoencode(
            built, field, faces, told, pad_isolated, levels=range(4, finest + 1), given=finest
        )
        torch.autograd.backward(losses.loss)
        for name, parameter in built.named_parameters():
            assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
            if parameter.grad is not None and bool(parameter.grad.any()):
                silent.discard(name)
    # Whatever is the same everywhere is taken out again, zero-sum inside each base cell.
    assert {name for name in silent if not name.startswith("latent.")} == set()
    assert all(name.endswith(".bias") for name in silent)
