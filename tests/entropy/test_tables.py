from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcodec.entropy.tables import (
    BINS,
    LARGEST,
    TABLE_SHAPE,
    TOTAL,
    base_plan,
    base_size,
    groups,
    high_part,
    plan_for,
    table_row,
)
from tests.entropy.strategies import Integers, symbols
from tests.tiny import fitted_entropy, flat_tables

ACTIVITIES = arrays(np.int64, 200, elements=st.integers(-(2**16), 2**16 - 1))


@settings(max_examples=60, deadline=None)
@given(ACTIVITIES)
def test_plans_stay_within_the_tables(activity: npt.NDArray[np.int64]) -> None:
    plan = plan_for(activity)
    assert plan.table.min() >= 0
    assert plan.table.max() < BINS
    assert plan.plain.min() >= 0
    assert plan.plain.max() <= 15
    found = list(groups(plan))
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(plan.table.tolist()))
    for number, places in found:
        assert (plan.table[places] == number).all()
        assert (np.diff(places) > 0).all()
    together = np.concatenate([places for _, places in found])
    np.testing.assert_array_equal(np.sort(together), np.arange(200))


def test_more_activity_never_means_less() -> None:
    """An octave of activity is a bit: by the table while there are tables, then plainly."""
    plan = plan_for(np.arange(-5, 300))
    told = plan.table + 3 * plan.plain
    assert (np.diff(told) >= 0).all()
    np.testing.assert_array_equal(told[5 : 5 + BINS + 3 * 15], np.arange(BINS + 3 * 15))
    assert not plan.plain[: 5 + BINS].any()
    assert plan.plain.max() == 15
    assert plan.table[plan.plain > 0].min() >= BINS - 3


@given(st.integers(0, 120))
def test_base_plan_keeps_symbols_in_reach(size: int) -> None:
    plan = base_plan(size)
    assert plan.table.shape == plan.plain.shape == (768,)
    assert np.unique(plan.table).size == np.unique(plan.plain).size == 1
    assert 0 <= plan.table[0] < BINS
    assert 0 <= plan.plain[0] <= 15
    if size < 60:
        assert 2 ** (size / 4) / 2 ** int(plan.plain[0]) < LARGEST


@settings(max_examples=30, deadline=None)
@given(symbols(768))
def test_base_size_fits_in_a_byte(values: Integers) -> None:
    assert 0 <= base_size(values) <= 120


@settings(max_examples=40, deadline=None)
@given(values=symbols(200), activity=ACTIVITIES)
def test_high_part_and_plain_bits_make_the_symbol(
    values: Integers, activity: npt.NDArray[np.int64]
) -> None:
    plan = plan_for(activity)
    low = values & ((1 << plan.plain) - 1)
    np.testing.assert_array_equal((high_part(values, plan) << plan.plain) + low, values)


def test_every_component_has_a_row() -> None:
    assert [0, *(table_row(component) for component in range(3))] == list(range(TABLE_SHAPE[0]))


@pytest.mark.parametrize("tables", [flat_tables, lambda: fitted_entropy().tables])
def test_tables_are_counted_in_whole_parts(tables: object) -> None:
    assert callable(tables)
    assert tables().shape == TABLE_SHAPE
    assert (tables().sum(-1, dtype=np.int64) == TOTAL).all()
