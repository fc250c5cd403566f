from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.networks.rate import dequantise, information, quantise

STEPS = st.floats(2.0**-8, 2.0**8, width=32)
SURPRISES = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20)


@given(SURPRISES, STEPS)
def test_symbols_are_whole_and_odd_in_the_surprise(surprises: list[float], step: float) -> None:
    surprise, width = torch.tensor([surprises]), torch.tensor(step)
    symbols = quantise(surprise, width)
    assert torch.equal(symbols, symbols.round())
    assert torch.equal(quantise(-surprise, width), -symbols)


@given(SURPRISES, STEPS)
def test_dequantise_comes_within_a_step(surprises: list[float], step: float) -> None:
    surprise, width = torch.tensor([surprises]), torch.tensor(step)
    error = (dequantise(quantise(surprise, width), width) - surprise).abs()
    assert (error <= step + 1e-5 * surprise.abs()).all()


def test_reconstruction_depends_on_the_symbols_alone() -> None:
    symbols = torch.tensor([[0.0, 3.0, -1.0, 0.0]])
    values = dequantise(symbols, torch.tensor(2.0))
    assert torch.equal(values, dequantise(symbols.clone(), torch.tensor(2.0)))
    assert torch.equal(values.sign(), symbols.sign())


def test_the_dead_zone_widens_where_symbols_are_rare() -> None:
    step = torch.tensor(1.0)
    dense, sparse = torch.full((1, 1000), 5.0), torch.zeros(1, 1000)
    dense[0, 0] = sparse[0, 0] = 0.7
    assert float(quantise(dense, step)[0, 0]) == 1
    assert float(quantise(sparse, step)[0, 0]) == 0


def test_fields_of_a_batch_do_not_matter_to_each_other() -> None:
    fields = torch.randn(3, 200) * torch.tensor([[0.2], [1.0], [5.0]])
    step = torch.tensor(1.0)
    together = quantise(fields, step)
    for one, alone in zip(together, fields, strict=True):
        assert torch.equal(one, quantise(alone[None], step)[0])


def test_information_grows_with_surprise_and_with_finer_steps() -> None:
    surprise = torch.linspace(0, 100, 50)
    nats = information(surprise, torch.tensor(1.0))
    assert float(nats[0]) == 0
    assert (nats.diff() > 0).all()
    assert (information(surprise[1:], torch.tensor(0.5)) > nats[1:]).all()
    # Twice as large a surprise takes a bit more.
    big = information(torch.tensor([1e3, 2e3]), torch.tensor(1.0))
    assert float(big.diff()) == pytest.approx(0.6931, abs=1e-3)
