from __future__ import annotations

import math

import pytest

from hpcodec.bench.curves import at_ratio, at_rmse, front
from tests.bench.fields import curve, point


def test_a_front_has_no_point_that_another_beats() -> None:
    points = [point(64, 0.3), point(16, 0.1), point(32, 0.4), point(60, 0.3), point(8, 0.0)]
    assert [(p.ratio, p.rmse) for p in front(points)] == [(16, 0.1), (64, 0.3)]
    assert front([]) == []


def test_between_points_logarithms_are_straight() -> None:
    made = curve("a", "classical", (16, 0.1), (64, 0.4))
    found = at_ratio(made, 32)
    assert found is not None
    assert found.ratio == pytest.approx(32)
    assert found.rmse == pytest.approx(0.2)
    assert found.max_error == pytest.approx(2)
    assert found.size == pytest.approx(4096 / 32)
    assert found.spectrum == pytest.approx(0.5)
    assert found.memory is None
    assert math.isnan(found.parameter)
    back = at_rmse(made, 0.2)
    assert back is not None
    assert back.ratio == pytest.approx(32)


def test_outside_there_is_nothing() -> None:
    made = curve("a", "classical", (16, 0.1), (64, 0.4))
    assert [at_ratio(made, ratio) for ratio in (15, 65)] == [None, None]
    assert [at_rmse(made, rmse) for rmse in (0.09, 0.41)] == [None, None]
    assert at_ratio(made, 64) == made.points[1]
    assert at_rmse(made, 0.1) == made.points[0]
    assert at_ratio(curve("a", "classical"), 16) is None


def test_the_neighbours_count_and_no_others() -> None:
    made = curve("a", "classical", (1, 0.001), (16, 0.1), (64, 0.4), (256, 9))
    found = at_ratio(made, 32)
    assert found is not None
    assert found.rmse == pytest.approx(0.2)


def test_what_was_asked_for_is_not_interpolated() -> None:
    exact = point(65.0, 0.41, parameter=64)
    made = curve("a", "ours", (16, 0.1), (256, 1.0), by_ratio=True)
    made = type(made)(made.name, made.kind, (*made.points, exact), by_ratio=True)
    assert at_ratio(made, 64) is exact


def test_a_single_point_is_shown_where_it_is() -> None:
    made = curve("a", "paper", (21.1234, 0.1))
    assert at_ratio(made, 21.12) == made.points[0]
    assert at_ratio(made, 21.0) is None
