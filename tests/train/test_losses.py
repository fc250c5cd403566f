from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hpcodec.networks.field_space import FieldSpaceAutoencoder, Setting
from hpcodec.networks.scales import split
from hpcodec.networks.sphere import pad_isolated, pad_sphere, to_faces
from hpcodec.train.losses import Losses, autoencode, decompose
from tests.tiny import awake, batch_of, network, setting, smooth_cells, statics, step_of

LEVEL = 5
FACES = {level: field[None, :, :1].expand(2, -1, -1, -1, -1) for level, field in statics().items()}
FIELD = to_faces(torch.from_numpy(smooth_cells(LEVEL, 2)))[:, :1]


def losses(
    told: Setting,
    given: int = LEVEL,
    *,
    trained: bool = False,
    field: Tensor = FIELD,
    first: int = 4,
    built: FieldSpaceAutoencoder | None = None,
) -> Losses:
    torch.manual_seed(0)
    built = built or (awake(LEVEL) if trained else network(LEVEL))
    levels = range(first, LEVEL + 1)
    with torch.no_grad():
        return autoencode(built, field, FACES, told, pad_isolated, levels=levels, given=given)


@pytest.mark.parametrize("last", [3, 4, 5])
def test_means_of_every_level(last: int) -> None:
    means = decompose(FIELD, LEVEL, last)
    assert sorted(means) == list(range(last, 6))
    for level, mean in means.items():
        assert mean.shape == (2, 1, 2**level, 2**level)
        torch.testing.assert_close(mean.mean((-1, -2)), FIELD.mean((-1, -2)))


def test_halving_the_error_is_worth_four_times_the_bytes() -> None:
    zero, one = torch.tensor(0.0), torch.tensor(1.0)
    dearer = Losses(torch.tensor(math.log(4)), -torch.tensor(math.log(2)), zero)
    assert float(dearer.loss) == pytest.approx(0)
    assert float(Losses(one, one, one).loss) == 4


@pytest.mark.parametrize("given", [3, 4, 5])
@pytest.mark.parametrize("bottleneck", [3, 4, 5])
@pytest.mark.parametrize("step", [2.0**-10, 1.0, 2.0**10])
def test_losses_are_numbers(step: float, bottleneck: int, given: int) -> None:
    for trained in (False, True):
        told = losses(setting(2, step_of(step), bottleneck), given, trained=trained)
        for part in (told.rate, told.error, told.total, told.loss):
            assert part.shape == ()
            assert math.isfinite(float(part))
        assert (float(told.rate) == 0) == (bottleneck == 3)
        # Only where the encoder moves the bottleneck does the whole chain count.
        assert (float(told.total) == 0) == (given <= bottleneck)


def test_finer_steps_have_smaller_errors() -> None:
    missed = [float(losses(setting(2, step_of(step), 4)).total) for step in (32.0, 0.5)]
    assert missed[1] < missed[0]


def test_better_guesses_lower_the_rate() -> None:
    """An untrained network guesses zero: smaller residuals are what a better guess leaves."""
    smooth, rough = (size * FIELD for size in (0.3, 1.0))
    told = [losses(setting(2, step_of(0.25), 5), field=field) for field in (smooth, rough)]
    assert float(told[0].rate) < float(told[1].rate)


# Batches whose coarser levels are given


@pytest.mark.parametrize(("step", "level"), [(2.0**-12, 5), (2.0, 5), (2.0, 4)])
def test_the_parents_of_the_first_level_are_given(step: float, level: int) -> None:
    """But for the noise that coding them would have left: even, a step of the first level wide."""
    told = losses(setting(2, step_of(step), level - 1), first=level)
    means = decompose(FIELD, LEVEL, level - 1)
    lost = (FIELD - torch.nn.functional.interpolate(means[level - 1], size=32)).square().mean()
    noise = (step * 2.0 ** (level - LEVEL)) ** 2 / 12
    assert float(told.total) == pytest.approx(0.5 * math.log(float(lost) + noise), abs=0.03)
    assert float(told.rate) == 0  # nothing is left to code


def test_what_is_coarser_than_given_parents_does_not_matter() -> None:
    """Neither the field there nor the network: only the levels decoded are learned."""
    told = setting(2, step_of(2.0**-12), 5)
    plain = losses(told, first=5)
    mean, residual = split(FIELD)
    finer = FIELD - torch.nn.functional.interpolate(mean, size=32)
    same = losses(told, first=5, field=finer)
    for name in ("rate", "error"):
        torch.testing.assert_close(getattr(same, name), getattr(plain, name), rtol=0, atol=1e-4)
    assert float(residual.std()) > 0.1

    built = awake(LEVEL).train()
    arguments = (built, FIELD, FACES, setting(2, bottleneck=5), pad_isolated)
    torch.autograd.backward(autoencode(*arguments, levels=range(5, 6), given=5).loss)
    learned = {
        name.rpartition(".")[0] for name, p in built.named_parameters() if p.grad is not None
    }
    assert any(name.startswith("details.1.") for name in learned)
    assert not any(name.startswith(("details.0.", "decompress.", "compress.")) for name in learned)


def test_given_parents_are_those_that_the_encoder_makes() -> None:
    """It answers for what is decoded from them."""
    built = awake(LEVEL).train()
    arguments = (built, FIELD, FACES, setting(2, bottleneck=4), pad_isolated)
    torch.autograd.backward(autoencode(*arguments, levels=range(5, 6), given=5).loss)
    moved = built.latent[0].get_parameter("weight").grad
    assert moved is not None
    assert bool(moved.any())


def test_without_an_encoder_each_level_learns_alone() -> None:
    built = awake(LEVEL).train()
    arguments = (built, FIELD, FACES, setting(2, step_of(0.5), 5), pad_isolated)
    found = autoencode(*arguments, levels=range(4, 6), given=5)
    torch.autograd.backward(found.error)
    assert all(parameter.grad is None for parameter in built.compress.parameters())


def test_whole_spheres() -> None:
    field, known = to_faces(torch.from_numpy(smooth_cells(LEVEL, 1))), batch_of(statics(), 1)
    arguments = (awake(LEVEL), field, known, setting(bottleneck=4), pad_sphere)
    with torch.no_grad():
        found = autoencode(*arguments, levels=range(4, 6), given=5)
    assert math.isfinite(float(found.loss))
    assert float(found.total) != 0


def test_parts_of_a_face_are_of_the_level_that_is_told() -> None:
    """A part's side says nothing of its level: here sixteen cells of level 5 on each side."""
    known = {level: field[..., : 2**level // 2, : 2**level // 2] for level, field in FACES.items()}
    field, told = FIELD[..., :16, :16], setting(2, step_of(2.0**-12), 4)
    with torch.no_grad():
        found = autoencode(
            network(LEVEL), field, known, told, pad_isolated, levels=range(5, 6), given=4
        )
    lost = split(field)[1].square().flatten(1).mean(1)
    assert float(found.error) == pytest.approx(float(torch.log(lost).mean()) / 2, abs=1e-3)
