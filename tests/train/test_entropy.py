from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.entropy.activity import FEATURES
from hpcodec.entropy.arrays import NAMES, from_arrays, to_arrays
from hpcodec.entropy.integer_network import HIDDEN, ActivityNetwork
from hpcodec.entropy.tables import BINS, LARGEST, TABLE_SHAPE, TOTAL, EntropyModel
from hpcodec.fields import CompressedField
from hpcodec.stages.wire import pack, unpack
from hpcodec.train.entropy import (
    _Learner,
    count_symbols,
    fit_entropy,
    fit_network,
    tables_from_counts,
)
from tests.tiny import (
    activity_network,
    assert_same,
    compressed_field,
    flat_entropy,
    flat_tables,
    known,
    shorten_fit,
    static_fields,
)


@pytest.fixture(autouse=True)
def _short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_fit(monkeypatch)


def clumped(seed: int, bottleneck: int = 5) -> CompressedField:
    """Symbols as fields have them: large in some base cells, zero in most, at every level."""
    rng = np.random.default_rng(seed)
    lively = np.exp(rng.normal(-1.5, 2, 768))
    residuals = []
    for level in range(4, bottleneck + 1):
        size = lively.repeat(4 ** (level - 4))
        residuals.append(np.rint(rng.laplace(0, size, (3, size.size))).astype(np.int32))
    base = np.rint(rng.laplace(0, 5, 768)).astype(np.int32)
    return CompressedField(base, tuple(residuals), 0, 1, 0.5)


def arrays_of(model: EntropyModel) -> Sequence[npt.NDArray[np.integer]]:
    return [np.asarray(array) for array in to_arrays(model).values()]


# Tables


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), log2_size=st.floats(0, 40), part=st.floats(0, 1))
def test_tables_are_whole_and_leave_nothing_out(seed: int, log2_size: float, part: float) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, int(2**log2_size) + 1, TABLE_SHAPE)
    counts *= rng.random(TABLE_SHAPE) < part
    tables = tables_from_counts(counts)
    assert tables.shape == TABLE_SHAPE
    assert tables.dtype == np.uint32
    assert (tables.sum(-1, dtype=np.int64) == TOTAL).all()
    assert tables.min() >= 1


def test_tables_of_one_symbol_only() -> None:
    counts = np.zeros(TABLE_SHAPE, np.int64)
    counts[..., 0] = 10**9
    tables = tables_from_counts(counts)
    assert (tables.sum(-1, dtype=np.int64) == TOTAL).all()
    assert tables.min() >= 1


def test_tables_are_symmetric() -> None:
    rng = np.random.default_rng(0)
    tables = tables_from_counts(rng.integers(0, 1000, TABLE_SHAPE)).astype(int)
    np.testing.assert_array_equal(tables, tables[..., ::-1])


# Counts


@pytest.mark.parametrize("bottleneck", [3, 4, 5, 6])
def test_every_symbol_is_counted_once(bottleneck: int) -> None:
    counts = np.zeros(TABLE_SHAPE, np.int64)
    field, network = compressed_field(bottleneck), activity_network()
    count_symbols(field, network, known(), counts)
    each = sum(768 * 4 ** (level - 4) for level in range(4, bottleneck + 1))
    assert counts.sum((1, 2)).tolist() == [768, each, each, each]
    count_symbols(field, network, known(), counts)
    assert counts.sum() == 2 * (768 + 3 * each)


def test_counts_are_of_what_the_tables_code() -> None:
    """A field of one value has one symbol; an escape counts as the last one."""
    residuals = (np.full((3, 768), 2**30, np.int32),)
    field = CompressedField(np.zeros(768, np.int32), residuals, 0, 1, 0.5)
    counts = np.zeros(TABLE_SHAPE, np.int64)
    count_symbols(field, activity_network(), known(), counts)
    assert counts[0].sum(0).tolist() == [0] * LARGEST + [768] + [0] * LARGEST
    assert counts[1:].sum((0, 1)).tolist() == [0] * 2 * LARGEST + [3 * 768]


# The network that learns, and the one that is shipped


@pytest.mark.parametrize("component", range(3))
def test_the_learner_and_its_whole_numbers_agree(component: int) -> None:
    torch.manual_seed(3)
    learner = _Learner()
    with torch.no_grad():
        for bias in learner.bias:
            bias += torch.randn_like(bias)
    features = np.random.default_rng(0).integers(0, 256, (500, FEATURES)).astype(np.uint8)
    with torch.no_grad():
        real = learner(component, torch.from_numpy(features).float()).numpy()
        whole = learner.whole()(component, features)
    # Rounded down in the end, and biases to a small part on the way.
    assert float((real - whole).min()) > -0.1
    assert float((real - whole).max()) < 1.1


def test_the_learner_is_whole_within_what_files_may_hold() -> None:
    torch.manual_seed(0)
    learner = _Learner()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.mul_(1e9)
    network = learner.whole()
    assert max(int(np.abs(bias.astype(int)).max()) for bias in network.biases) <= (
        ActivityNetwork.MOST_BIAS
    )
    arrays = to_arrays(EntropyModel(flat_tables().astype(np.uint32), network, {}))
    read = from_arrays(arrays, *static_fields(4))
    np.testing.assert_array_equal(read.network.weights[0], network.weights[0])


def test_code_lengths_are_those_of_a_distribution() -> None:
    """Over all symbols, chances sum to one: nothing is gained by saying less than is so."""
    with torch.no_grad():
        sizes = torch.arange(-3000.0, 3001)
        for activity in (10.0, 40.0, 60.0, 70.0):
            nats = _Learner().nats(torch.full_like(sizes, activity), sizes)
            assert float(torch.exp(-nats.double()).sum()) == pytest.approx(1, abs=1e-3)


# Fitting


def test_a_fit_of_nothing() -> None:
    for fields in ([], [compressed_field(3)]):
        model = fit_entropy(fields, known())
        assert (model.tables.sum(-1, dtype=np.int64) == TOTAL).all()
        assert (model.tables[1:].argmax(-1) == LARGEST).all()
        assert_same(unpack(pack(compressed_field(5), model), model), compressed_field(5))


def test_a_fit_may_be_kept_in_a_file() -> None:
    arrays = to_arrays(fit_entropy([clumped(0)], known()))
    assert tuple(arrays) == NAMES
    assert arrays["activity.weight.0"].shape == (3, FEATURES, HIDDEN)
    from_arrays(arrays, *static_fields(4))


@pytest.mark.parametrize("size", [0.2, 3, 40, 1e5])
def test_fitted_models_code_shorter_than_flat_ones(size: float) -> None:
    fitted = fit_entropy((compressed_field(5, size, seed) for seed in range(3)), known())
    other = compressed_field(5, size, seed=9)  # not one of those that were learned from
    payload = pack(other, fitted)
    assert_same(unpack(payload, fitted), other)
    assert len(payload) < len(pack(other, flat_entropy()))
    flat = EntropyModel(flat_tables(), fitted.network, known())
    assert len(payload) < len(pack(other, flat))


def test_what_is_around_makes_it_shorter() -> None:
    """Against one table for all: where fields are lively here and still there, contexts pay."""
    fitted = fit_entropy((clumped(seed) for seed in range(4)), known())
    counts = np.zeros(TABLE_SHAPE, np.int64)
    blind = ActivityNetwork(
        tuple(np.zeros_like(weight) for weight in fitted.network.weights),
        tuple(np.zeros_like(bias) for bias in fitted.network.biases),
    )
    for seed in range(4):
        count_symbols(clumped(seed), blind, known(), counts)
    single = EntropyModel(tables_from_counts(counts), blind, known())
    other = clumped(9)
    assert len(pack(other, fitted)) < 0.98 * len(pack(other, single))


def test_livelier_surroundings_are_told_by_later_tables() -> None:
    network = fit_network([clumped(seed) for seed in range(4)], known())
    counts = np.zeros(TABLE_SHAPE, np.int64)
    for seed in range(4, 8):
        count_symbols(clumped(seed), network, known(), counts)
    size = np.abs(np.arange(-LARGEST, LARGEST + 1))
    for seen in counts[1:]:
        used = seen.sum(-1) > 200
        means = (seen[used] * size).sum(-1) / seen[used].sum(-1)
        assert used.sum() > 3
        assert float(np.corrcoef(np.arange(BINS)[used], np.log(means + 0.01))[0, 1]) > 0.8


def test_a_fit_is_all_in_its_seed() -> None:
    fields = [clumped(seed, 4) for seed in range(2)]
    first = fit_entropy(fields, known(), 3)
    torch.manual_seed(12345)
    state = torch.random.get_rng_state()
    again = fit_entropy(iter(fields), known(), 3)
    assert torch.equal(torch.random.get_rng_state(), state)
    for mine, theirs in zip(arrays_of(first), arrays_of(again), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    other = fit_entropy(fields, known(), 4)
    assert not np.array_equal(other.network.weights[0], first.network.weights[0])
