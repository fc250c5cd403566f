"""The network of bands: whole numbers, the same in any order, and checked when it is read."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hpcodec.entropy.band_features import SIGNED, SIZES
from hpcodec.entropy.band_network import OUTPUTS, SHIFTS, BandNetwork
from hpcodec.errors import ModelError
from tests.tiny import band_network


@pytest.mark.parametrize("phase", range(4))
def test_sums_are_exact_whatever_their_order(phase: int) -> None:
    network, random = band_network(1), np.random.default_rng(2)
    features = random.integers(-127, 256, (SIGNED[phase] + SIZES, 3000)).astype(np.int16)
    told = network(2, phase, features)
    state = features.astype(np.int64)
    weights = (network.weights[phase][2], *(one[phase, 2] for one in network.weights[4:]))
    for weight, bias, shift in zip(weights, network.biases, SHIFTS, strict=True):
        whole = (weight.astype(np.int64).T @ state + bias[phase, 2][:, None]) >> shift
        state = np.clip(whole, 0, 255)
    assert told.shape == (OUTPUTS, 3000)
    np.testing.assert_array_equal(told, whole)


def test_arrays_and_back() -> None:
    network = band_network(3)
    again = BandNetwork.of(network.arrays)
    for name, one in again.arrays.items():
        np.testing.assert_array_equal(one, network.arrays[name])


def without(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in arrays.items() if name != "weight.second"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without, "it lacks 'weight.second'"),
        (lambda a: a | {"weight.last": a["weight.last"][:2]}, "expected weights of shapes"),
        (lambda a: a | {"weight.last": a["weight.last"].astype("i2")}, "expected weights of"),
        (lambda a: a | {"bias.last": a["bias.last"][..., :1]}, "expected biases of shapes"),
        (lambda a: a | {"bias.last": a["bias.last"] + (1 << 23)}, "expected biases up to"),
        (lambda a: a | {"tables": a["tables"][:5]}, "expected first tables of shape"),
        (lambda a: a | {"tables": a["tables"] - (1 << 20)}, "expected first tables of shape"),
        (lambda a: a | {"tables": a["tables"] + (1 << 20)}, "expected first tables that sum"),
    ],
)
def test_what_is_none_is_refused(change: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        BandNetwork.of(change(band_network(4).arrays))


def test_a_digest_is_no_array() -> None:
    assert "digest" not in dataclasses.replace(band_network(0), digest=64 * "a").arrays
