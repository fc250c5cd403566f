from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.entropy import LARGEST, TABLE_SHAPE, TOTAL
from hpcodec.stages.wire import pack, unpack
from hpcodec.train.tables import count_symbols, fit_tables, tables_from_counts
from tests.tiny import assert_same, compressed_field, flat_tables


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), log2_size=st.floats(0, 40), part=st.floats(0, 1))
def test_tables_are_whole_and_leave_nothing_out(seed: int, log2_size: float, part: float) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, int(2**log2_size) + 1, TABLE_SHAPE)
    counts *= rng.random(TABLE_SHAPE) < part
    tables = tables_from_counts(counts)
    assert tables.shape == TABLE_SHAPE
    assert tables.dtype == np.uint16
    assert (tables.sum(-1, dtype=np.int64) == TOTAL).all()
    assert tables.min() >= 1


def test_tables_of_one_symbol_only() -> None:
    counts = np.zeros(TABLE_SHAPE, np.int64)
    counts[..., 0] = 10**9
    tables = tables_from_counts(counts)
    assert (tables.sum(-1, dtype=np.int64) == TOTAL).all()
    assert tables.min() >= 1


def test_tables_of_nothing() -> None:
    tables = fit_tables([])
    assert (tables.sum(-1, dtype=np.int64) == TOTAL).all()
    assert (tables.argmax(-1) == LARGEST).all()


def test_tables_are_symmetric() -> None:
    tables = fit_tables([compressed_field(5)]).astype(int)
    np.testing.assert_array_equal(tables, tables[..., ::-1])


def test_every_symbol_is_counted_once() -> None:
    counts = np.zeros(TABLE_SHAPE, np.int64)
    field = compressed_field(5)
    count_symbols(field, counts)
    assert counts[0].sum() == 768
    assert counts[1:4].sum((1, 2)).tolist() == [768] * 3
    assert counts[4:7].sum((1, 2)).tolist() == [3072] * 3
    assert counts[7:].sum() == 0
    count_symbols(field, counts)
    assert counts.sum() == 2 * (768 + 3 * 768 + 3 * 3072)


@pytest.mark.parametrize("size", [0.2, 3, 40, 1e5])
def test_fitted_tables_code_shorter(size: float) -> None:
    fitted = fit_tables(compressed_field(5, size, seed) for seed in range(3))
    other = compressed_field(5, size, seed=9)  # not one of those that were counted
    payload = pack(other, fitted)
    assert len(payload) < len(pack(other, flat_tables()))
    assert_same(unpack(payload, fitted), other)


def test_fitting_depends_on_the_fields_only() -> None:
    fields = [compressed_field(4, 2, seed) for seed in range(3)]
    np.testing.assert_array_equal(fit_tables(fields), fit_tables(reversed(fields)))
