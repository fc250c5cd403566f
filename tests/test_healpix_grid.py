from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hpcodec.errors import FormatError
from hpcodec.grids import Grid, HealpixGrid


@pytest.mark.parametrize("order", ["nested", "ring"])
@pytest.mark.parametrize("level", [0, 1, 4, 6])
def test_dict_and_sheet_round_trip(level: int, order: str) -> None:
    grid = HealpixGrid(level, order)
    assert Grid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid
    assert (grid.natural_level, grid.fine_level) == (level, level)
    field = np.arange(grid.shape[0])
    np.testing.assert_array_equal(grid.unsheet(grid.sheet(field)), field)
    assert grid.sheet_shape == (3 * 2**level, 4 * 2**level)


def test_faces_on_a_sheet_have_north_up_and_neighbours_side_by_side() -> None:
    grid = HealpixGrid(4, "ring")
    latitude = grid.sheet(grid.points[0])
    assert latitude[:16].mean() > latitude[16:32].mean() > latitude[32:].mean()
    inside = latitude[:16, :16]
    assert np.abs(np.diff(inside, axis=0)).max() < 6
    assert np.abs(np.diff(inside, axis=1)).max() < 6


@pytest.mark.parametrize(
    "data",
    [
        {"healpix": 11, "order": "nested"},
        {"healpix": -1, "order": "nested"},
        {"healpix": 4.0, "order": "nested"},
        {"healpix": True, "order": "nested"},
        {"healpix": "4", "order": "ring"},
        {"healpix": 4, "order": "unique"},
        {"healpix": 4, "order": []},
        {"healpix": 4},
        {"healpix": 4, "order": "ring", "more": 1},
    ],
)
def test_damaged_dicts(data: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=r"as \{healpix, order\}; got"):
        Grid.from_dict(data)
