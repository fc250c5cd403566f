"""The network that guesses what details lack."""

from __future__ import annotations

import torch

from hpcodec.networks.architecture import CHANNELS, RestorerShape
from hpcodec.networks.restorer import ACTIVITIES, INPUTS, Restorer

SHAPE = RestorerShape(width=8, blocks=2, embedding=4, variables=("air_temperature",))


def run(network: Restorer, inputs: torch.Tensor, variable: int = 0) -> torch.Tensor:
    with torch.no_grad():
        found = network(inputs, torch.zeros(1, ACTIVITIES), torch.tensor([variable]))
    assert isinstance(found, torch.Tensor)
    return found


def awake() -> Restorer:
    torch.manual_seed(0)
    network = Restorer(SHAPE)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return network


def test_it_guesses_nothing_before_it_has_learned() -> None:
    found = run(Restorer(SHAPE), torch.randn(1, INPUTS, 9, 10))
    assert found.shape == (1, CHANNELS, 9, 10)
    assert not found.any()


def test_an_output_depends_on_what_is_within_its_reach_alone() -> None:
    inputs = torch.randn(1, INPUTS, 1, 40)
    changed = inputs.clone()
    changed[..., 20] += 1
    moved = (run(awake(), inputs) != run(awake(), changed)).any(1)[0, 0]
    places = moved.nonzero()[:, 0]
    assert int(places.min()) == 20 - SHAPE.reach
    assert int(places.max()) == 20 + SHAPE.reach


def test_a_variable_has_its_own_guess() -> None:
    assert SHAPE.index("air_temperature") == 1
    assert SHAPE.index("of something else") == 0
    inputs = torch.randn(1, INPUTS, 4, 4)
    assert (run(awake(), inputs, 0) != run(awake(), inputs, 1)).any()
