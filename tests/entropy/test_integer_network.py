"""The integer network: the same in any order, type and number of places."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.entropy.activity import COMPONENTS, FEATURES
from hpcodec.entropy.arrays import from_arrays, to_arrays
from hpcodec.entropy.integer_network import HIDDEN, ActivityNetwork
from hpcodec.entropy.tables import EntropyModel
from tests.tiny import activity_network, fitted_entropy, flat_tables, static_fields

Features = npt.NDArray[np.uint8]

SIZES = (FEATURES, HIDDEN, HIDDEN, 1)


def reference(
    network: ActivityNetwork, component: int, features: Features, dtype: type
) -> npt.NDArray[np.int64]:
    """The network term by term, in a wider type."""
    state: npt.NDArray[Any] = features.astype(dtype)
    layers = zip(network.weights, network.biases, (6, 5, 8), strict=True)
    for weight, bias, shift in layers:
        total = bias[component].astype(dtype) + np.zeros((len(state), bias.shape[-1]), dtype)
        for one in range(state.shape[-1]):
            total += state[:, one, None] * weight[component, one].astype(dtype)
        whole = np.floor_divide(total, 1 << shift).astype(np.int64)
        state = np.clip(whole, 0, 255).astype(dtype)
    return np.asarray(whole[:, 0])


def shuffled(network: ActivityNetwork, seed: int) -> tuple[ActivityNetwork, npt.NDArray[np.int64]]:
    """The same network with all sums in another order, and the order of its features."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(size) for size in SIZES[:-1]] + [np.arange(1)]
    weights = (
        np.ascontiguousarray(weight[:, orders[i]][:, :, orders[i + 1]])
        for i, weight in enumerate(network.weights)
    )
    biases = (bias[:, orders[i + 1]] for i, bias in enumerate(network.biases))
    return ActivityNetwork(tuple(weights), tuple(biases)), orders[0]


def largest(seed: int) -> ActivityNetwork:
    """Weights and biases as large as a file of weights may have them, of random signs."""
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for i, o in pairwise(SIZES):
        weight = rng.choice(np.array([-128, 127], np.int8), (COMPONENTS, i, o), p=[0.4, 0.6])
        room = (1 << 24) - 1 - 255 * np.abs(weight.astype(np.int64)).sum(1)
        weights.append(weight)
        biases.append((rng.choice([-1, 1], room.shape) * room).astype(np.int32))
    return ActivityNetwork(tuple(weights), tuple(biases))


@st.composite
def networks(draw: st.DrawFn) -> ActivityNetwork:
    which, seed = draw(st.integers(0, 2)), draw(st.integers(0, 2**32))
    if which == 0:
        return fitted_entropy().network
    return activity_network(seed) if which == 1 else largest(seed)


@settings(max_examples=40, deadline=None)
@given(network=networks(), seed=st.integers(0, 2**32), component=st.integers(0, COMPONENTS - 1))
def test_activity_is_the_same_however_it_is_computed(
    network: ActivityNetwork, seed: int, component: int
) -> None:
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 256, (1200, FEATURES)).astype(np.uint8)
    features[:3] = [[0], [255], [1]]
    activity = network(component, features)
    assert activity.dtype == np.int64
    assert activity.shape == (1200,)
    for dtype in (np.int64, np.float32, np.float64):
        np.testing.assert_array_equal(reference(network, component, features, dtype), activity)
    other, order = shuffled(network, seed)
    again = other(component, np.ascontiguousarray(features[:, order]))
    np.testing.assert_array_equal(again, activity)
    # Nor does it matter how many are computed at once, or how they lie in memory.
    single = [network(component, features[i : i + 1])[0] for i in range(8)]
    assert single == activity[:8].tolist()
    turned = np.asfortranarray(features)
    np.testing.assert_array_equal(network(component, turned), activity)


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_network_is_one_that_files_may_hold(seed: int) -> None:
    network = largest(seed)
    arrays = to_arrays(EntropyModel(flat_tables(), network, {}))
    arrays["tables"] = arrays["tables"].astype(np.uint32)
    read = from_arrays(arrays, *static_fields(4))
    features = np.full((1, FEATURES), 255, np.uint8)
    for component in range(COMPONENTS):
        assert read.network(component, features) == network(component, features)
        # Something comes through: it is not that all is clipped away.
        assert abs(int(network(component, features)[0])) < 1 << 16


def test_components_have_networks_of_their_own() -> None:
    features = np.random.default_rng(0).integers(0, 256, (50, FEATURES)).astype(np.uint8)
    told = [activity_network()(component, features) for component in range(COMPONENTS)]
    assert not np.array_equal(told[0], told[1])
    assert not np.array_equal(told[1], told[2])
