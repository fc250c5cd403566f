"""Which grid a variable lies on, as datasets say it in many ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcodec.errors import GridError
from hpcodec.georeference import locate
from hpcodec.grids import GaussianGrid, Grid, HealpixGrid, LatLonGrid, PointGrid
from hpcodec.stages.dataset import find_fields
from tests.scattered import cells, icon, ocean, octahedral, spiral
from tests.synthetic import EAST, NORTH, series


def place(ds: xr.Dataset, name: str = "tas") -> tuple[Grid, tuple[str, ...]]:
    return locate(ds, name, ds[name].variable)


def test_kinds() -> None:
    assert isinstance(place(series(1), "t2m")[0], LatLonGrid)
    assert isinstance(place(icon())[0], PointGrid)
    assert place(icon())[1] == ("cells",)
    assert isinstance(place(ocean())[0], PointGrid)
    assert place(ocean())[1] == ("y", "x")
    assert place(octahedral()) == (GaussianGrid.octahedral(16), ("values",))
    assert place(cells(3, "ring")) == (HealpixGrid(3, "ring"), ("cell",))


def test_coordinates_are_no_fields() -> None:
    for make in (icon, ocean, octahedral, cells):
        assert [spec.name for spec in find_fields(make())] == ["tas"]


def test_coordinates_in_the_order_of_the_variable() -> None:
    turned = ocean().transpose("x", "y", "time")
    turned["clat"] = turned["clat"].transpose("y", "x")
    grid, dims = place(turned)
    assert dims == ("x", "y")
    straight, _ = place(ocean())
    for got, expected in zip(grid.points, straight.points, strict=True):
        np.testing.assert_array_equal(got.reshape(60, 30).T.ravel(), expected)


def test_named_coordinates_go_before_others() -> None:
    ds = ocean()
    wrong = (("y", "x"), np.zeros((30, 60)))
    ds = ds.assign(ulat=(*wrong, NORTH), ulon=(*wrong, EAST))
    assert place(ds) == place(ocean())


def test_names_alone_are_enough() -> None:
    latitude, longitude = spiral(200)
    ds = xr.Dataset({"tas": ("n", latitude), "lat": ("n", latitude), "lon": ("n", longitude)})
    assert isinstance(place(ds)[0], PointGrid)


DGGS = {
    "name": "healpix",
    "refinement_level": 2,
    "indexing_scheme": "ring",
    "spatial_dimension": "pix",
}


@pytest.mark.parametrize(
    ("attributes", "mapping", "order"),
    [
        ({"dggs": DGGS}, None, "ring"),
        ({}, {"grid_mapping_name": "healpix"}, "nested"),
        ({}, {"healpix_nside": 4, "healpix_order": "ring"}, "ring"),
        ({}, {"healpix_nside": np.int64(4), "healpix_order": "nest"}, "nested"),
        ({}, {"grid_mapping_name": "healpix", "healpix_nside": 4}, "nested"),
    ],
)
def test_ways_to_say_healpix(attributes: Any, mapping: Any, order: str) -> None:
    ds = xr.Dataset({"tas": (("time", "pix"), np.zeros((12, 192)))}, attrs=attributes)
    if mapping is not None:
        ds["crs"] = ((), 0, mapping)
    assert place(ds) == (HealpixGrid(2, order), ("pix",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"refinement_level": 3}, "cells of HEALPix level 3"),
        ({"indexing_scheme": "nuniq"}, "order 'nuniq'"),
        ({"spatial_dimension": "time"}, "not 12"),
    ],
)
def test_healpix_that_is_refused(change: dict[str, Any], message: str) -> None:
    attributes = {"dggs": {**DGGS, **change}}
    ds = xr.Dataset({"tas": (("time", "pix"), np.zeros((5, 192)))}, attrs=attributes)
    with pytest.raises(GridError, match=message):
        place(ds)


def test_cells_out_of_order_are_refused() -> None:
    ds = cells(2).assign_coords(cell=("cell", np.arange(192)[::-1]))
    with pytest.raises(GridError, match="not all cells in their order"):
        place(ds)


def test_part_of_a_sphere_is_refused() -> None:
    with pytest.raises(GridError, match="not 12"):
        place(cells(2).isel(cell=slice(0, 100)))


def test_latitude_of_points_and_longitude_of_an_axis() -> None:
    ds = ocean()
    ds["clon"] = ("x", np.arange(60) * 6.0, EAST)
    with pytest.raises(GridError, match="dimensions that the other coordinate has not"):
        place(ds)
