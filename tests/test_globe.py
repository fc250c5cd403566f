"""The globe on a flat picture."""

from __future__ import annotations

import numpy as np
import pytest

from hpcodec.globe import HEIGHT, points, project, sampled
from hpcodec.grid import LatLonGrid

WIDTH = 400
ROWS = round(HEIGHT * WIDTH)
GRID = LatLonGrid.regular((90.0, -2.5, 73), (0.0, 2.5, 144))
UPSIDE = LatLonGrid.regular((-90.0, 2.5, 73), (-180.0, 2.5, 144))


@pytest.mark.parametrize("width", [60, WIDTH])
def test_pixels_are_where_their_places_are(width: int) -> None:
    height = round(HEIGHT * width)
    north, east = points(width, height)
    there = np.isfinite(east)
    assert np.array_equal(there, np.isfinite(north))
    x, y = project(north[there], east[there])
    rows, columns = np.nonzero(there)
    np.testing.assert_allclose(x * width, columns + 0.5, atol=1e-3)
    np.testing.assert_allclose(y / HEIGHT * height, rows + 0.5, atol=1e-3)


def test_areas_are_in_proportion() -> None:
    north, east = points(WIDTH, ROWS)
    there = np.isfinite(east)
    for least, most in ((-90, -60), (-30, 0), (0, 30), (60, 90)):
        share = np.mean((north[there] > least) & (north[there] < most))
        ends = np.sin(np.deg2rad([least, most]))
        assert share == pytest.approx((ends[1] - ends[0]) / 2, abs=0.01)


def test_the_globe_is_as_wide_as_the_picture() -> None:
    x, y = project([0, 0, 90, -90], [-180, 180, 0, 0])
    np.testing.assert_allclose(x, [0, 1, 0.5, 0.5])
    np.testing.assert_allclose(y, np.array([0.5, 0.5, 0, 1]) * HEIGHT, atol=1e-6)


@pytest.mark.parametrize("grid", [GRID, UPSIDE])
def test_pixels_have_the_values_of_their_places(grid: LatLonGrid) -> None:
    latitude, longitude = np.asarray(grid.latitude)[:, None], np.asarray(grid.longitude)
    field = latitude + 10 * np.cos(np.deg2rad(longitude))
    values, there = sampled(field, grid, WIDTH)
    north, east = points(WIDTH, ROWS)
    assert np.array_equal(there, np.isfinite(east))
    assert np.isnan(values[~there]).all()
    wanted = north[there] + 10 * np.cos(np.deg2rad(east[there]))
    assert np.abs(values[there] - wanted).max() < 2
