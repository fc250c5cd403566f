from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hpcodec.networks.field_space import Setting
from hpcodec.networks.sphere import pad_isolated, to_faces
from hpcodec.train.losses import Losses, autoencode, decompose
from tests.tiny import awake, network, setting, smooth_cells, statics

LEVEL = 5
FACES = {level: field[None, :, :1].expand(2, -1, -1, -1, -1) for level, field in statics().items()}
FIELD = to_faces(torch.from_numpy(smooth_cells(LEVEL, 2)))[:, :1]


def losses(
    told: Setting, given: int = LEVEL, *, trained: bool = False, field: Tensor = FIELD
) -> Losses:
    torch.manual_seed(0)
    built = awake(LEVEL) if trained else network(LEVEL)
    with torch.no_grad():
        return autoencode(built, field, FACES, told, pad_isolated, given)


def test_means_of_every_level() -> None:
    means = decompose(FIELD)
    assert sorted(means) == [3, 4, 5]
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
        told = losses(setting(2, step, bottleneck), given, trained=trained)
        for part in (told.rate, told.error, told.total, told.loss):
            assert part.shape == ()
            assert math.isfinite(float(part))
        assert (float(told.rate) == 0) == (bottleneck == 3)
        # Only where the encoder moves the bottleneck does the whole chain count.
        assert (float(told.total) == 0) == (max(given, bottleneck) == bottleneck)


def test_finer_steps_have_smaller_errors() -> None:
    missed = [float(losses(setting(2, step, 4)).total) for step in (64.0, 1.0)]
    assert missed[1] < missed[0]


def test_better_guesses_lower_the_rate() -> None:
    """An untrained network guesses zero: smaller residuals are what a better guess leaves."""
    smooth, rough = (size * FIELD for size in (0.3, 1.0))
    told = [losses(setting(2, 0.5, 5), field=field) for field in (smooth, rough)]
    assert float(told[0].rate) < float(told[1].rate)
