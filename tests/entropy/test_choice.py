from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.entropy.choice import choose, worth_of_a_bit
from hpcodec.entropy.tables import BINS, LARGEST, TOTAL, Plan, Tables, plan_for
from tests.tiny import fitted_entropy, flat_tables

Floats = npt.NDArray[np.float32]

COUNT = 300
WORTH = st.floats(0, 0.5)


def random_tables(seed: int) -> Tables:
    """Tables of any shape, each symbol possible, each summing to the total."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(2 * LARGEST + 1, 0.3), BINS)
    tables = 1 + np.floor(share * (TOTAL - 2 * LARGEST - 1)).astype(np.int64)
    tables[:, LARGEST] += TOTAL - tables.sum(-1)
    return tables.astype(np.uint32)


@st.composite
def tables_of_a_component(draw: st.DrawFn) -> Tables:
    which = draw(st.integers(0, 2))
    if which < 2:
        tables = flat_tables() if which else fitted_entropy().tables
        return np.asarray(tables[draw(st.integers(1, 3))])
    return random_tables(draw(st.integers(0, 2**32)))


@st.composite
def surprises(draw: st.DrawFn) -> Floats:
    """Of all sizes, in bulk small or large; some lie just between two symbols."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    drawn = rng.laplace(0, 2.0 ** draw(st.floats(-3, 20)), COUNT)
    drawn[:40] = np.rint(drawn[:40]) + 0.5
    drawn[40:80] = rng.uniform(-LARGEST - 2, LARGEST + 2, 40)
    return drawn.astype(np.float32)


@st.composite
def plans(draw: st.DrawFn, least: int = -20, most: int = 130) -> Plan:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return plan_for(rng.integers(least, most + 1, COUNT))


@settings(max_examples=80, deadline=None)
@given(scaled=surprises(), plan=plans(), tables=tables_of_a_component(), worth=WORTH)
def test_a_symbol_is_the_nearest_or_the_next_one_down(
    scaled: Floats, plan: Plan, tables: Tables, worth: float
) -> None:
    kept = scaled.copy()
    symbols = choose(scaled, plan, tables, worth)
    np.testing.assert_array_equal(scaled, kept)
    assert symbols.dtype == np.int32
    nearest = np.rint(scaled).astype(np.int64)
    moved = np.abs(nearest) - np.abs(symbols)
    assert set(moved.tolist()) <= {0, 1}
    assert (symbols * np.sign(scaled) >= 0).all()
    assert not moved[plan.plain > 0].any()
    assert not moved[np.abs(nearest) > LARGEST].any()


@settings(max_examples=80, deadline=None)
@given(scaled=surprises(), plan=plans(most=BINS - 1), tables=tables_of_a_component(), worth=WORTH)
def test_what_is_chosen_never_costs_more_than_the_nearest(
    scaled: Floats, plan: Plan, tables: Tables, worth: float
) -> None:
    bits = -np.log2(tables / TOTAL)
    sign = np.where(scaled < 0, -1, 1)
    near = np.abs(np.rint(scaled)).astype(np.int64)
    within = np.flatnonzero(near <= LARGEST)

    def cost(symbols: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        error = (np.abs(scaled[within].astype(np.float64)) - symbols[within]) ** 2
        told = bits[plan.table[within], LARGEST + sign[within] * symbols[within]]
        return np.asarray(error + worth * told)

    chosen = cost(np.abs(choose(scaled, plan, tables, worth)))
    assert (chosen <= cost(near) + 1e-4).all()
    assert (chosen <= cost(np.maximum(near - 1, 0)) + 1e-4).all()


@settings(max_examples=40, deadline=None)
@given(scaled=surprises(), plan=plans(), worth=WORTH)
def test_equal_prices_mean_plain_rounding(scaled: Floats, plan: Plan, worth: float) -> None:
    equal = np.full((BINS, 2 * LARGEST + 1), TOTAL // 64)
    np.testing.assert_array_equal(choose(scaled, plan, equal, worth), np.rint(scaled))


@settings(max_examples=20, deadline=None)
@given(scaled=surprises(), plan=plans(), seed=st.integers(0, 2**32))
def test_bits_worth_nothing_mean_plain_rounding(scaled: Floats, plan: Plan, seed: int) -> None:
    symbols = choose(scaled, plan, random_tables(seed), 0)
    np.testing.assert_array_equal(symbols, np.rint(scaled))


@given(st.floats(2.0**-20, 2.0**20), st.floats(1, 4))
def test_a_bit_is_worth_no_less_at_coarser_steps(step: float, coarser: float) -> None:
    assert 0 < worth_of_a_bit(step) <= worth_of_a_bit(step * coarser) < 0.5


def test_dear_symbols_need_a_better_reason() -> None:
    """Where nearly all is zero, 0.6 of a step is none; where all sizes occur, it is one."""
    quiet = np.full((BINS, 2 * LARGEST + 1), 1)
    quiet[:, LARGEST] = TOTAL - 2 * LARGEST
    level = Plan(np.zeros(4, np.int64), np.zeros(4, np.int64))
    scaled = np.array([0.6, -0.6, 1.4, -1.7], np.float32)
    assert choose(scaled, level, quiet, 0.14).tolist() == [0, 0, 0, -2]
    assert choose(scaled, level, flat_tables()[1], 0.14).tolist() == [1, -1, 1, -2]


def test_prices_follow_the_tables() -> None:
    """Prices are kept from call to call, but not those of other tables in the same place."""
    scaled = np.full(COUNT, 0.6, np.float32)
    level = Plan(np.zeros(COUNT, np.int64), np.zeros(COUNT, np.int64))
    tables = flat_tables()[1]
    assert choose(scaled, level, tables, 0.14).all()
    tables[:] = 1
    tables[:, LARGEST] = TOTAL - 2 * LARGEST
    assert not choose(scaled, level, tables, 0.14).any()
