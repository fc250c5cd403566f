"""What a detail tells the network's search, of stand-ins with known bytes and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.fitted import Fitted
from hpcodec.goals import Goal
from hpcodec.rival import hint_of, loses_to
from hpcodec.step_search import Hint

SIZES = Goal(10_000, lambda code, _: len(code), lambda size: -math.log2(size))
ERRORS = Goal(0.5, lambda _, __: 0.0, lambda error: 1.7 * math.log2(error))


class Judged:
    """What is decoded is its error."""

    def rmse(self, cells: Any) -> float:
        return float(cells[0])

    def rmse_of(self, field: Any) -> float:
        return float(field[0])


JUDGE: Any = Judged()


def detail(octave: float, halving: float, *, size: int = 10_000, error: float = 1.0) -> Fitted:
    shown = np.array([error], np.float32)
    nothing: Any = None
    return Fitted(bytes(size), shown, Hint(), nothing, octave, halving, left=0.97)


def loses(other: Fitted, size: int, error: float, part: float, *, by_size: bool = True) -> bool:
    values = np.array([error], np.float32)
    return loses_to(other, JUDGE, bytes(size), values, part, by_size=by_size)


@given(st.floats(-8, 4), st.floats(0.1, 5), st.floats(0.9, 1))
def test_larger_steps_of_a_detail_tell_of_larger_ones_at_the_goal(
    octave: float, halving: float, part: float
) -> None:
    for goal, told, by_size in ((SIZES, halving, True), (ERRORS, -halving, False)):
        near, far = (hint_of(detail(o, told), goal, part, by_size=by_size) for o in (octave, 5.0))
        assert near.shift < far.shift
        assert near.slope == far.slope > 0


@given(st.floats(1, 20), st.floats(0, 5))
def test_no_slope_is_as_steep_as_a_detail_of_sure_bytes_has_it(steep: float, more: float) -> None:
    slopes = [
        hint_of(detail(0, told), SIZES, 0.99, by_size=True).slope for told in (steep, steep + more)
    ]
    assert slopes[0] <= slopes[1] <= 1.5


def test_the_shift_is_of_the_octave_expected_where_the_trial_aims() -> None:
    told = detail(-1, 0.9)
    at = [hint_of(told, SIZES, part, by_size=True) for part in (0.9, 0.99)]
    octaves = [
        one.shift + SIZES.expected(part * 10_000) for one, part in zip(at, (0.9, 0.99), strict=True)
    ]
    assert octaves[0] == pytest.approx(octaves[1])


def test_where_the_curve_has_come_to_its_end_there_is_a_slope_all_the_same() -> None:
    flat = Goal(0.5, lambda _, __: 0.0, lambda _: 14.0)
    assert hint_of(detail(-1, 0), flat, 0.99, by_size=False).slope == 1


def test_a_trial_of_as_many_bytes_loses_by_what_is_left_of_the_error() -> None:
    assert loses(detail(0, 1, error=1), 10_000, 0.98, 1.0)
    assert not loses(detail(0, 1, error=1), 10_000, 0.96, 1.0)


def test_an_error_is_reckoned_with_the_bytes_that_it_took() -> None:
    assert loses(detail(0, 1, error=1), 11_000, 0.96, 1.1)
    assert not loses(detail(0, 1, error=1), 9_000, 0.98, 0.9)


def test_bytes_are_reckoned_with_the_error_that_they_left() -> None:
    assert loses(detail(0, -2), 10_000, 0, 1.0, by_size=False)
    assert not loses(detail(0, -2), 10_000, 0, 0.9, by_size=False)


@pytest.mark.parametrize("part", [0.5, 1.6])
@pytest.mark.parametrize("by_size", [True, False])
def test_a_trial_far_off_is_never_said_to_lose(part: float, by_size: bool) -> None:
    assert not loses(detail(0, 1), 10**6, 1e6, part, by_size=by_size)
