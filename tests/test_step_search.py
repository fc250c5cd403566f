"""The search for a step: never over the limit, near it, and in three trials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.models import load_model
from hpcodec.step_search import AS_EXPECTED, BAND, TRIALS, Hint, StepSearch
from tests.synthetic import MODEL

Value = Callable[[float], float]

SIZES = load_model(MODEL).card.expected_octave("size", 8, 8)
ERRORS = load_model(MODEL).card.expected_octave("rmse", 8, 8)


def searched(
    value: Value, limit: float, expected: Value = SIZES, hint: Hint = AS_EXPECTED
) -> tuple[list[float], float, StepSearch]:
    """Values tried, the one chosen (NaN: none), and the search."""
    search = StepSearch(limit, expected, hint)
    tried, chosen = [], np.nan
    while not search.done:
        assert np.float32(search.step) == search.step
        tried.append(value(search.step))
        assert len(tried) < 20
        if search.tell(tried[-1]):
            chosen = tried[-1]
    return tried, chosen, search


def shifted(expected: Value, shift: float, slope: float, low: float, high: float) -> Value:
    """Value of a step for fields whose octaves are ``slope * expected + shift``."""
    values = np.geomspace(low, high, 500)
    octaves = np.array([shift + slope * expected(float(value)) for value in values])
    order = np.argsort(octaves)

    def value(step: float) -> float:
        return float(np.exp(np.interp(np.log2(step), octaves[order], np.log(values[order]))))

    return value


@settings(deadline=None)
@given(
    ratio=st.floats(8, 4096),
    shift=st.floats(-1.5, 1.5),
    slope=st.floats(0.8, 1.3),
    seed=st.integers(0, 99),
)
def test_three_trials_for_fields_like_those_of_the_card(
    ratio: float, shift: float, slope: float, seed: int
) -> None:
    smooth, noise = shifted(SIZES, shift, slope, 50, 3e6), np.random.default_rng(seed)
    limit = 4 * 721 * 1440 / ratio
    tried, chosen, _ = searched(lambda step: smooth(step) * noise.uniform(0.997, 1.003), limit)
    assert len(tried) <= TRIALS
    assert 0.98 * BAND * limit <= chosen <= limit


@settings(deadline=None)
@given(error=st.floats(0.01, 1), shift=st.floats(-1.5, 1.5), slope=st.floats(0.8, 1.3))
def test_three_trials_for_an_error(error: float, shift: float, slope: float) -> None:
    tried, chosen, _ = searched(shifted(ERRORS, shift, slope, 1e-4, 10), error, ERRORS)
    assert len(tried) <= TRIALS
    assert BAND * error <= chosen <= error


@settings(deadline=None)
@given(
    limit=st.floats(500, 1e6),
    sizes=st.lists(st.floats(100, 3e6), min_size=2, max_size=9),
    seed=st.integers(0, 99),
)
def test_whatever_the_field_the_limit_is_kept(limit: float, sizes: list[float], seed: int) -> None:
    octaves = np.linspace(-14, 14, len(sizes))
    noise = np.random.default_rng(seed)
    logs = np.log([*sorted(sizes, reverse=True)[:-1], 90])

    def value(step: float) -> float:
        return float(np.exp(np.interp(np.log2(step), octaves, logs)) * noise.uniform(0.99, 1.01))

    tried, chosen, search = searched(value, limit)
    assert search.met
    assert chosen <= limit
    assert chosen == max(size for size in tried if size <= limit)
    assert len(tried) <= TRIALS or all(size > limit for size in tried[:-1])


def test_a_hint_from_a_field_like_it_saves_trials() -> None:
    value = shifted(SIZES, 1.2, 0.8, 50, 3e6)
    tried, _, search = searched(value, 16000)
    assert len(tried) > 1
    again, chosen, _ = searched(lambda step: 1.01 * value(step), 16000, hint=search.hint)
    assert len(again) == 1
    assert chosen >= BAND * 16000


@pytest.mark.parametrize(("part", "ends"), [(0.97, False), (0.985, True)])
def test_the_first_trial_has_to_be_nearer_than_later_ones(part: float, ends: bool) -> None:
    search = StepSearch(16000, SIZES, band=0.98, later=0.96)
    first = search.step
    search.tell(part * 16000)
    assert search.done == ends
    if not ends:
        assert search.step < first
        search.tell(0.965 * 16000)
        assert search.done


def test_a_field_that_is_far_from_the_limit_is_no_hint() -> None:
    hint = Hint(0.7, 1.1)
    assert searched(lambda step: 120.0, 1e5, hint=hint)[2].hint == hint


@pytest.mark.parametrize("limit", [500, 1e5])
def test_a_field_of_few_bytes(limit: float) -> None:
    tried, chosen, _ = searched(lambda step: 120.0, limit)
    assert chosen == 120
    assert len(tried) <= TRIALS


def test_what_cannot_be_had() -> None:
    tried, chosen, search = searched(lambda step: 120.0, 100)
    assert not search.met
    assert np.isnan(chosen)
    assert len(tried) < 15
    _, _, search = searched(lambda step: 0.3 + 0.01 * step, 0.2, ERRORS)
    assert not search.met


def test_no_error_at_all() -> None:
    tried, chosen, _ = searched(lambda step: 0.0, 0.2, ERRORS)
    assert chosen == 0
    assert len(tried) <= TRIALS


def test_beyond_the_end_of_the_curve_the_search_goes_on_in_its_direction() -> None:
    def expected(size: float) -> float:
        return float(np.interp(-np.log(size), (-np.log(1e5), -np.log(300)), (-5.0, 6.0)))

    search, steps = StepSearch(100, expected), []
    while not search.done:
        steps.append(search.step)
        search.tell(max(250.0, 1e5 / search.step))
    assert not search.met
    assert steps == sorted(steps)
    assert steps[-1] == 2.0**14
