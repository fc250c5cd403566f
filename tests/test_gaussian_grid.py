from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import FormatError
from hpcodec.grids import GaussianGrid, Grid, PointGrid, grid_of_points
from tests.scattered import spiral

# Of the classical grid N16, by the rule that rings keep about the spacing of the equator.
REDUCED = GaussianGrid((20, 24, 32, 40, 45, 48, 54, 60, 64, 64, 64, 64, 64, 64, 64, 64))


def test_known_sizes() -> None:
    assert GaussianGrid.octahedral(320).shape == (421_120,)
    assert GaussianGrid.octahedral(1280).shape == (6_599_680,)


@pytest.mark.parametrize(("number", "level"), [(16, 4), (80, 6), (320, 8), (400, 8)])
def test_natural_level(number: int, level: int) -> None:
    assert GaussianGrid.octahedral(number).natural_level == level


@settings(max_examples=20, deadline=None)
@given(number=st.integers(4, 60), single=st.booleans(), turn=st.sampled_from([0, 360]))
def test_octahedral_grids_are_recognised(number: int, single: bool, turn: int) -> None:
    grid = GaussianGrid.octahedral(number)
    latitude, longitude = (values.astype("f4" if single else "f8") for values in grid.points)
    assert grid_of_points(latitude, longitude - turn) == grid
    assert Grid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid
    assert grid.to_dict() == {"gaussian": f"o{number}"}


def test_others_are_listed() -> None:
    assert grid_of_points(*REDUCED.points) == REDUCED
    assert REDUCED.to_dict() == {"gaussian": list(REDUCED.counts)}
    assert Grid.from_dict(REDUCED.to_dict()) == REDUCED


def test_what_is_nearly_one_is_a_list_of_points() -> None:
    latitude, longitude = REDUCED.points
    for other in (
        (latitude[::-1], longitude),
        (latitude, longitude + 3),
        (latitude * 0.9, longitude),
    ):
        assert isinstance(grid_of_points(*other), PointGrid)
    assert isinstance(grid_of_points(*spiral(600)), PointGrid)


def test_areas() -> None:
    for grid in (REDUCED, GaussianGrid.octahedral(24)):
        latitude, _ = grid.points
        assert grid.area_weights.mean() == pytest.approx(1)
        # A second-degree harmonic has no mean, which only the true areas find.
        assert (grid.area_weights * (3 * np.sin(np.deg2rad(latitude)) ** 2 - 1)).mean() == (
            pytest.approx(0, abs=1e-9)
        )


def test_sheet_and_back() -> None:
    field = np.arange(REDUCED.shape[0])
    np.testing.assert_array_equal(REDUCED.unsheet(REDUCED.sheet(field)), field)


@pytest.mark.parametrize(
    "told",
    ["o1", "o9999", "n32", "o", "", "o-3", "o3.2", [], [20], [20, 3], [20, 24.0], [20, True], 32,
     [20, 10**9], [20_000] * 2560, None, {"a": 1}, ["20", "24"]],
)  # fmt: skip
def test_damaged_dicts(told: Any) -> None:
    with pytest.raises(FormatError, match="expected a Gaussian grid"):
        Grid.from_dict({"gaussian": told})
    with pytest.raises(FormatError, match="keys"):
        Grid.from_dict({"gaussian": "o32", "more": told})
