from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.errors import FormatError, GridError
from hpcodec.grid import LatLonGrid, cell_count, level_of


def regular(degrees: float) -> LatLonGrid:
    rows, columns = round(180 / degrees) + 1, round(360 / degrees)
    return LatLonGrid.regular((90.0, -degrees, rows), (0.0, degrees, columns))


@given(st.integers(0, 29))
def test_level_of_inverts_cell_count(level: int) -> None:
    assert level_of(cell_count(level)) == level


@given(st.integers(-5, 10**7))
def test_other_numbers_of_cells_are_refused(cells: int) -> None:
    if cells in {cell_count(level) for level in range(12)}:
        return
    with pytest.raises(GridError, match=f"got {cells}. Give the whole sphere"):
        level_of(cells)


@pytest.mark.parametrize(
    ("degrees", "level"), [(0.1, 9), (0.25, 8), (0.5, 7), (1, 6), (2, 5), (2.5, 5), (5, 4)]
)
def test_natural_level(degrees: float, level: int) -> None:
    assert regular(degrees).natural_level == level


@pytest.mark.parametrize("degrees", [0.1, 0.25, 1 / 3, 0.7, 1.5, 2.8125])
@pytest.mark.parametrize("origin", [-180.0, 0.0, 0.05])
def test_float32_and_float64_copies_are_one_grid(degrees: float, origin: float) -> None:
    columns = round(360 / degrees)
    step = 360 / columns
    latitude, longitude = np.linspace(90, -90, 181), origin + step * np.arange(columns)
    double = LatLonGrid.from_coordinates(latitude, longitude)
    single = LatLonGrid.from_coordinates(latitude.astype("f4"), longitude.astype("f4"))
    assert single.latitude == double.latitude
    np.testing.assert_allclose(single.longitude, double.longitude, atol=1e-4)
    if 360 / round(step, 7) == round(360 / round(step, 7), 4):
        assert single == double
        assert single.digest == double.digest


def test_uneven_latitudes_keep_their_values() -> None:
    nodes = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))
    grid = LatLonGrid.from_coordinates(nodes, np.arange(64) * 5.625)
    assert grid.latitude == tuple(nodes.tolist())
    assert len(grid.to_dict()["latitude"]) == 32


@given(
    rows=st.integers(4, 90),
    columns=st.integers(4, 90),
    origin=st.floats(-180, 180),
    down=st.booleans(),
    west=st.booleans(),
)
def test_dict_round_trip(rows: int, columns: int, origin: float, down: bool, west: bool) -> None:
    latitude = np.linspace(90, -90, rows) * (1 if down else -1)
    longitude = origin + 360 / columns * np.arange(columns) * (-1 if west else 1)
    grid = LatLonGrid.from_coordinates(latitude, longitude)
    again = LatLonGrid.from_dict(json.loads(json.dumps(grid.to_dict())))
    assert again == grid
    assert again.digest == grid.digest
    assert grid.shape == (rows, columns)


def test_even_axes_are_three_numbers() -> None:
    assert regular(0.25).to_dict() == {
        "latitude": [90.0, -0.25, 721],
        "longitude": [0.0, 0.25, 1440],
    }


def test_area_weights_have_mean_one() -> None:
    weights = regular(5).area_weights
    assert weights.shape == (37, 1)
    assert weights.mean() == pytest.approx(1)
    assert weights.min() >= 0
    assert weights.argmax() == 18


LAT, LON = np.linspace(90, -90, 19), np.arange(0, 360, 10.0)


@pytest.mark.parametrize(
    ("latitude", "longitude", "message"),
    [
        (LAT[:3], LON, "at least 4 values"),
        (np.where(LAT == 0, np.nan, LAT), LON, "NaN or inf"),
        (LAT, np.where(LON == 0, np.inf, LON), "NaN or inf"),
        (np.abs(LAT), LON, "monotonic latitudes"),
        (LAT * 2, LON, "within -90 to 90"),
        (LAT[4:], LON, "latitudes from -90 to 50. Give the whole globe"),
        (LAT[:-4], LON, "does not compress regions"),
        (LAT, LON[:-6], "evenly spaced longitudes"),
        (LAT, np.append(LON, 360.0), "each meridian once"),
        (LAT, np.where(LON == 50, 53, LON), "evenly spaced longitudes"),
        (LAT, np.zeros(36), "evenly spaced longitudes"),
    ],
)
def test_refused(latitude: Any, longitude: Any, message: str) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(GridError, match=message):
        LatLonGrid.from_coordinates(latitude, longitude)


EVEN = [90.0, -10.0, 19]
AROUND = [0.0, 10.0, 36]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "grid",
        {},
        {"latitude": EVEN},
        {"latitude": EVEN, "longitude": AROUND, "height": [0]},
        {"latitude": EVEN, "longitude": 3},
        {"latitude": EVEN, "longitude": "abc"},
        {"latitude": EVEN, "longitude": {"a": 1, "b": 2, "c": 3}},
        {"latitude": EVEN, "longitude": [0.0, 10.0, 36.0]},
        {"latitude": EVEN, "longitude": [0.0, 10.0, True]},
        {"latitude": EVEN, "longitude": [0.0, None, 36]},
        {"latitude": EVEN, "longitude": [0.0, 10.0, 10**12]},
        {"latitude": EVEN, "longitude": [0.0, 10.0, -36]},
        {"latitude": EVEN, "longitude": [0.0, float("nan"), 36]},
        {"latitude": EVEN, "longitude": [0.0, 1e308, 36]},
        {"latitude": [-1e308, 0.0, 1e308, 1.5e308], "longitude": AROUND},
        {"latitude": EVEN, "longitude": [-1.7e308, 0.0, 1e308, 1.7e308]},
        {"latitude": [10**400, -10.0, 19], "longitude": AROUND},
        {"latitude": [90.0, -10.0, 10], "longitude": AROUND},
        {"latitude": [[90.0], -10.0, 19], "longitude": AROUND},
        {"latitude": [], "longitude": AROUND},
        {"latitude": [90.0, [], 1.0, 2.0], "longitude": AROUND},
        {"latitude": [0.0] * 100_001, "longitude": AROUND},
    ],
)
def test_damaged_dicts(data: Any) -> None:
    with pytest.raises(FormatError, match="expected a grid as"):
        LatLonGrid.from_dict(data)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(latitude=ANYTHING | st.just(EVEN), longitude=ANYTHING | st.just(AROUND))
def test_any_json_is_a_grid_or_a_format_error(latitude: Any, longitude: Any) -> None:
    with contextlib.suppress(FormatError):
        LatLonGrid.from_dict({"latitude": latitude, "longitude": longitude})
