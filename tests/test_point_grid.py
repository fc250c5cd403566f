from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import FormatError, GridError
from hpcodec.grids import Grid, PointGrid
from tests.scattered import spiral, tilted

POINTS = PointGrid.from_coordinates(*spiral(500))


@settings(max_examples=25, deadline=None)
@given(count=st.integers(60, 3000), seed=st.integers(0, 2**32 - 1))
def test_dict_round_trip(count: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(count)
    latitude, longitude = (values[order] for values in spiral(count))
    grid = PointGrid.from_coordinates(latitude, longitude - 180)
    again = Grid.from_dict(json.loads(json.dumps(grid.to_dict())))
    assert again == grid
    assert (again.digest, again.shape) == (grid.digest, (count,))
    spacing = 360 / np.sqrt(np.pi * count)
    for got, expected in zip(again.points, (latitude, longitude - 180), strict=True):
        apart = np.abs((got - expected + 180) % 360 - 180)
        assert apart.max() < spacing / 128


@settings(max_examples=25, deadline=None)
@given(count=st.integers(60, 2000), seed=st.integers(0, 2**32 - 1))
def test_sheet_and_back(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    latitude, longitude = spiral(count)
    order = rng.permutation(count)
    grid = PointGrid.from_coordinates(latitude[order], longitude[order])
    fields = rng.normal(size=(2, count))
    sheets = grid.sheet(fields)
    assert sheets.shape == (2, *grid.sheet_shape)
    np.testing.assert_array_equal(grid.unsheet(sheets), fields)
    weights = grid.sheet_weights
    assert (weights > 0).sum() == count
    assert weights.sum() == pytest.approx(grid.area_weights.sum())


def test_neighbours_on_a_sheet_are_near() -> None:
    latitude, longitude = POINTS.points
    for values in (latitude, np.cos(np.deg2rad(longitude)) * np.cos(np.deg2rad(latitude))):
        sheet = POINTS.sheet(values)[2:-2]
        steps = [np.abs(np.diff(sheet, axis=axis)).mean() for axis in (0, 1)]
        assert max(steps) < 0.25 * np.ptp(values)


def test_areas_of_even_points_are_even() -> None:
    weights = POINTS.area_weights
    assert weights.mean() == pytest.approx(1)
    assert weights.std() < 0.1


def test_points_twice_share_their_area() -> None:
    latitude, longitude = (np.append(values, values[:100]) for values in spiral(500))
    twice = PointGrid.from_coordinates(latitude, longitude)
    np.testing.assert_allclose(twice.area_weights[:100], twice.area_weights[500:])
    assert twice.area_weights[:100].mean() == pytest.approx(
        twice.area_weights[100:500].mean() / 2, rel=0.1
    )


def test_points_without_coordinates_are_where_the_one_before_is() -> None:
    latitude, longitude = tilted()
    latitude[3, 5:9] = np.nan
    latitude[0, 0] = 1e20
    north, east = (
        values.reshape(30, 60) for values in PointGrid.from_coordinates(latitude, longitude).points
    )
    assert np.ptp(north[3, 4:9]) == np.ptp(east[3, 4:9]) == 0
    assert north[0, 0] == north[0, 1]


def test_both_poles_in_many_points() -> None:
    latitude, longitude = np.meshgrid(np.linspace(90, -90, 19), np.arange(36) * 10.0, indexing="ij")
    weights = PointGrid.from_coordinates(latitude, longitude).area_weights
    expected = np.cos(np.deg2rad(latitude))
    rows = weights.mean(1)[1:-1]  # a square is cut in two at either of its diagonals
    np.testing.assert_allclose(rows, (expected / expected.mean()).mean(1)[1:-1], rtol=0.1)


@pytest.mark.parametrize(
    ("latitude", "longitude", "message"),
    [
        (np.zeros(20), np.zeros(20), "48 to"),
        (np.zeros(100), np.zeros(99), "one shape"),
        (np.full(100, np.nan), np.zeros(100), "within -90 to 90"),
        (np.linspace(30, 60, 100), np.linspace(0, 40, 100), "does not compress regions"),
        (np.abs(spiral(500)[0]), spiral(500)[1], "does not compress regions"),
    ],
)
def test_refused(latitude: Any, longitude: Any, message: str) -> None:
    with pytest.raises(GridError, match=message):
        PointGrid.from_coordinates(latitude, longitude)


@pytest.mark.parametrize(
    "change",
    [
        {"points": "abc"},
        {"points": "\x00"},
        {"points": 3},
        {"shape": [499]},
        {"shape": []},
        {"shape": [5, 10, 10]},
        {"shape": [2**20, 2**20]},
        {"shape": [500.0]},
        {"shape": "500"},
        {"bits": 7},
        {"bits": 31},
        {"bits": True},
        {"height": 3},
    ],
)
def test_damaged_dicts(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="expected a grid as"):
        Grid.from_dict({**POINTS.to_dict(), **change})


def test_latitudes_beyond_the_poles() -> None:
    with pytest.raises(FormatError, match="beyond the poles"):
        Grid.from_dict({**POINTS.to_dict(), "bits": POINTS.bits - 2})


@pytest.mark.parametrize("data", [{}, [], None, {"hexagons": 4}])
def test_a_grid_of_no_kind(data: Any) -> None:
    with pytest.raises(FormatError, match="latitude, gaussian"):
        Grid.from_dict(data)
