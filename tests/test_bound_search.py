"""The search for the fewest bytes in all: five trials, near the minimum."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.bound_search import BoundSearch
from hpcodec.step_search import AS_EXPECTED, Hint


def expected(value: float) -> float:
    return 1.2 * math.log2(max(value, 1e-12))


def searched(
    minimum: float, width: float, hint: Hint = AS_EXPECTED, tilt: float = 0.0
) -> tuple[int, float, BoundSearch]:
    """Trials, octave of the best, and the search; the cost is a valley around ``minimum``."""
    search = BoundSearch(1.0, expected, hint)
    trials, best = 0, math.nan
    while not search.done:
        octave = math.log2(search.step)
        trials += 1
        far = (octave - minimum) / width
        if search.tell(1000 * (math.cosh(far) + tilt * math.tanh(far))):
            best = octave
    return trials, best, search


@settings(deadline=None)
@given(shift=st.floats(-2.5, 2.5), width=st.floats(1.5, 4), tilt=st.floats(-0.3, 0.3))
def test_near_the_minimum_in_five_trials(shift: float, width: float, tilt: float) -> None:
    start = expected(0.4)
    trials, best, _ = searched(start + shift, width, tilt=tilt)
    assert trials <= 5
    lowest = min(math.cosh(x / 100) + tilt * math.tanh(x / 100) for x in range(-200, 201))
    far = (best - start - shift) / width
    assert math.cosh(far) + tilt * math.tanh(far) <= 1.1 * lowest


def test_a_hint_needs_one_trial() -> None:
    _, best, search = searched(expected(0.4) + 1.3, 2)
    trials, again, later = searched(expected(0.4) + 1.3, 2, search.hint)
    assert trials == 1
    assert again == pytest.approx(best, abs=1e-6)
    assert later.hint.shift == pytest.approx(search.hint.shift)


def test_costs_that_do_not_change_end() -> None:
    search = BoundSearch(1e30, expected)
    trials = 0
    while not search.done:
        search.tell(500.0)
        trials += 1
    assert trials <= 5
