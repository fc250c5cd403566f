from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.entropy import (
    BINS,
    LARGEST,
    TABLE_SHAPE,
    TOTAL,
    Tables,
    base_plan,
    base_size,
    contexts,
    decode_base,
    decode_level,
    encode_base,
    encode_level,
    groups,
    high_part,
    table_row,
    unevenness,
)
from hpcodec.errors import FormatError
from hpcodec.train.tables import fit_tables
from tests.tiny import compressed_field, flat_tables

Integers = npt.NDArray[np.int32]

FLAT = flat_tables()
FITTED = fit_tables([compressed_field(5, size, seed) for seed, size in enumerate((0.3, 2, 9))])
TABLES = st.sampled_from([FLAT, FITTED])

EXTREMES = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), 2**31 - 1, 24, -24, -25])


@st.composite
def symbols(draw: st.DrawFn, *shape: int) -> Integers:
    """Integers of every magnitude, in bulk small or large, with a few of any size strewn in."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = 2.0 ** draw(st.floats(-3, 30))
    drawn = np.clip(np.rint(rng.laplace(0, spread, shape)), -(2**31), 2**31 - 1)
    values = drawn.astype(np.int64).astype(np.int32)
    for place, value in draw(st.dictionaries(st.integers(0, values.size - 1), EXTREMES)).items():
        values.flat[place] = value
    return values


@settings(max_examples=40, deadline=None)
@given(base=symbols(768), values=symbols(3, 768), tables=TABLES)
def test_level_round_trip(base: Integers, values: Integers, tables: Tables) -> None:
    parents = unevenness(base)
    kept = values.copy()
    code = encode_level(4, values, parents, tables)
    decoded = decode_level(4, code, parents, tables)
    np.testing.assert_array_equal(decoded, kept)
    np.testing.assert_array_equal(values, kept)
    assert decoded.dtype == np.int32


@settings(max_examples=20, deadline=None)
@given(parents=symbols(3, 768), values=symbols(3, 3072), tables=TABLES)
def test_finer_level_round_trip(parents: Integers, values: Integers, tables: Tables) -> None:
    code = encode_level(5, values, parents, tables)
    np.testing.assert_array_equal(decode_level(5, code, parents, tables), values)


@settings(max_examples=40, deadline=None)
@given(values=symbols(768), tables=TABLES)
def test_base_round_trip(values: Integers, tables: Tables) -> None:
    decoded = decode_base(encode_base(values, tables), tables)
    np.testing.assert_array_equal(decoded, values)
    assert decoded.dtype == np.int32


@pytest.mark.parametrize("value", [0, LARGEST, -LARGEST, 2**31 - 1, -(2**31)])
def test_constant_symbols(value: int) -> None:
    base = np.full(768, value, np.int32)
    np.testing.assert_array_equal(decode_base(encode_base(base, FLAT), FLAT), base)
    level = np.full((3, 768), value, np.int32)
    parents = unevenness(base)
    code = encode_level(4, level, parents, FITTED)
    np.testing.assert_array_equal(decode_level(4, code, parents, FITTED), level)


@settings(max_examples=20, deadline=None)
@given(parents=symbols(1, 768), values=symbols(3, 768), component=st.integers(0, 2))
def test_plan_knows_only_what_is_decoded(
    parents: Integers, values: Integers, component: int
) -> None:
    plan = contexts(parents, values[:component])
    later = values.copy()
    later[component:] = 17
    again = contexts(parents, later[:component])
    np.testing.assert_array_equal(again.table, plan.table)
    np.testing.assert_array_equal(again.plain, plan.plain)
    # What is coded after a component does not reach into it either.
    code = encode_level(4, values, parents, FLAT)
    decoded = decode_level(4, code, parents, FLAT)
    np.testing.assert_array_equal(contexts(parents, decoded[:component]).table, plan.table)


@settings(max_examples=30, deadline=None)
@given(parents=symbols(3, 768), before=symbols(2, 3072))
def test_plans_stay_within_the_tables(parents: Integers, before: Integers) -> None:
    plan = contexts(parents, before)
    assert plan.table.min() >= 0
    assert plan.table.max() < BINS
    assert plan.plain.min() >= 0
    assert plan.plain.max() <= 15
    places = np.concatenate([places for _, places in groups(plan)])
    np.testing.assert_array_equal(np.sort(places), np.arange(3072))


def test_livelier_parents_choose_later_contexts() -> None:
    chosen = [
        contexts(np.full((3, 768), size, np.int32), np.zeros((0, 3072), np.int32)).table[0]
        for size in (0, 1, 2, 4, 8)
    ]
    assert all(left < right for left, right in pairwise(chosen))


@given(st.integers(0, 120))
def test_base_plan_keeps_symbols_in_reach(size: int) -> None:
    plan = base_plan(size)
    assert np.unique(plan.table).size == np.unique(plan.plain).size == 1
    assert 0 <= plan.table[0] < BINS
    if size < 60:
        assert 2 ** (size / 4) / 2 ** int(plan.plain[0]) < LARGEST


@settings(max_examples=30, deadline=None)
@given(symbols(768))
def test_base_size_fits_in_a_byte(values: Integers) -> None:
    assert 0 <= base_size(values) <= 120


@settings(max_examples=20, deadline=None)
@given(values=symbols(768), before=symbols(2, 768))
def test_high_part_and_plain_bits_make_the_symbol(values: Integers, before: Integers) -> None:
    plan = contexts(before, before)
    low = values & ((1 << plan.plain) - 1)
    np.testing.assert_array_equal((high_part(values, plan) << plan.plain) + low, values)


def test_table_rows_are_all_different() -> None:
    rows = [0, *(table_row(level, part) for level in range(4, 9) for part in range(3))]
    assert rows == list(range(TABLE_SHAPE[0]))


def test_small_symbols_take_less_than_a_bit() -> None:
    compressed = compressed_field(4, 0.1)
    quiet = encode_level(4, compressed.residuals[0], unevenness(compressed.base), FITTED)
    assert len(quiet) < 3 * 768 / 8


def attempt_level(code: bytes, parents: Integers, tables: Tables) -> None:
    """Decode: an array of the right form, or a format error; anything else is a failure."""
    try:
        decoded = decode_level(4, code, parents, tables)
    except FormatError:
        return
    assert decoded.shape == (3, 768)
    assert decoded.dtype == np.int32


@settings(max_examples=40, deadline=None)
@given(values=symbols(3, 768), cut=st.floats(0, 1), tables=TABLES)
def test_truncated_code(values: Integers, cut: float, tables: Tables) -> None:
    parents = values[:1]
    code = encode_level(4, values, parents, tables)
    attempt_level(code[: int(cut * len(code))], parents, tables)
    attempt_level(code[: int(cut * len(code)) // 4 * 4], parents, tables)


@settings(max_examples=40, deadline=None)
@given(values=symbols(3, 768), bit=st.integers(0), tables=TABLES)
def test_flipped_bit(values: Integers, bit: int, tables: Tables) -> None:
    parents = values[:1]
    code = bytearray(encode_level(4, values, parents, tables))
    bit %= 8 * len(code)
    code[bit // 8] ^= 1 << bit % 8
    attempt_level(bytes(code), parents, tables)


@settings(max_examples=20, deadline=None)
@given(values=symbols(3, 768))
def test_other_tables(values: Integers) -> None:
    code = encode_level(4, values, values[:1], FITTED)
    attempt_level(code, values[:1], FLAT)
    attempt_level(code, values[1:2], FITTED)


@settings(max_examples=60, deadline=None)
@given(code=st.binary(max_size=400), tables=TABLES)
def test_random_code(code: bytes, tables: Tables) -> None:
    attempt_level(code, np.zeros((1, 768), np.int32), tables)
    try:
        decoded = decode_base(code, tables)
    except FormatError:
        return
    assert decoded.shape == (768,)


@pytest.mark.parametrize("code", [b"", b"\x79", b"\xff" * 5, b"\x00abc"])
def test_no_code_of_a_base(code: bytes) -> None:
    with pytest.raises(FormatError, match="expected"):
        decode_base(code, FLAT)


def test_tables_are_counted_in_whole_parts() -> None:
    assert (FLAT.sum(-1) == TOTAL).all()
    assert (FITTED.sum(-1, dtype=int) == TOTAL).all()
