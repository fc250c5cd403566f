from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpcodec.entropy.activity import COMPONENTS, FEATURES
from hpcodec.entropy.arrays import NAMES, from_arrays, to_arrays
from hpcodec.entropy.integer_network import HIDDEN
from hpcodec.entropy.tables import TOTAL
from hpcodec.errors import ModelError
from hpcodec.stages.wire import pack, unpack
from tests.tiny import assert_same, compressed_field, fitted_entropy, static_fields

Arrays = dict[str, npt.NDArray[Any]]

STATICS = static_fields(9)
EXACT = 1 << 24


def arrays() -> Arrays:
    """Arrays of a fitted model, to be changed."""
    return {name: array.copy() for name, array in to_arrays(fitted_entropy()).items()}


def refused(changed: Arrays, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        from_arrays(changed, *static_fields(4))


def test_round_trip() -> None:
    stored = arrays()
    assert tuple(stored) == NAMES
    read, model = from_arrays(stored, *STATICS), fitted_entropy()
    for name, array in to_arrays(read).items():
        np.testing.assert_array_equal(array, stored[name])
        assert array.dtype == stored[name].dtype
    assert read.known.keys() == model.known.keys()
    for level, features in read.known.items():
        np.testing.assert_array_equal(features, model.known[level])
    field = compressed_field(6)
    payload = pack(field, model)
    assert pack(field, read) == payload
    assert_same(unpack(payload, read), field)


@pytest.mark.parametrize("name", NAMES)
def test_other_types_are_refused(name: str) -> None:
    for dtype in (np.float32, np.int64, np.int16):
        changed = arrays()
        changed[name] = changed[name].astype(dtype)
        refused(changed, "expected")


@pytest.mark.parametrize("name", NAMES)
def test_other_shapes_are_refused(name: str) -> None:
    for change in (
        lambda array: array[1:],
        lambda array: array[..., :0],
        lambda array: array[None],
        lambda array: array.ravel(),
        lambda array: np.concatenate([array, array], -1),
    ):
        changed = arrays()
        changed[name] = change(changed[name])
        refused(changed, "expected")


def test_tables_without_a_symbol_are_refused() -> None:
    changed = arrays()
    row = changed["tables"][2, 30]
    row[3] += row[5]
    row[5] = 0
    assert row.sum(dtype=int) == TOTAL
    refused(changed, "entropy tables")


@pytest.mark.parametrize("change", [1, -1])
def test_tables_of_another_sum_are_refused(change: int) -> None:
    changed = arrays()
    table = changed["tables"][3, 63]
    table[table.argmax()] = int(table.max()) + change
    refused(changed, f"tables that sum to {TOTAL}")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("weight", [127, -128])
def test_sums_stay_where_floats_are_exact(weight: int, layer: int, sign: int) -> None:
    changed = arrays()
    weights, biases = changed[f"activity.weight.{layer}"], changed[f"activity.bias.{layer}"]
    weights[1, :, -1] = weight
    inputs = (FEATURES, HIDDEN, HIDDEN)[layer]
    most = EXACT - 1 - 255 * abs(weight) * inputs
    biases[1, -1] = sign * most
    read = from_arrays(changed, *static_fields(4))
    assert read.network.biases[layer][1, -1] == sign * most
    biases[1, -1] = sign * (most + 1)
    refused(changed, f"below {EXACT} in layer {layer}; got {EXACT}")


@pytest.mark.parametrize("bias", [-(2**31), 2**31 - 1])
def test_the_largest_bias_is_refused(bias: int) -> None:
    for layer in range(3):
        changed = arrays()
        changed[f"activity.bias.{layer}"][COMPONENTS - 1, 0] = bias
        refused(changed, "expected sums below")
