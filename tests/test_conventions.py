"""CF and DGGS attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcodec.conventions import (
    degrees,
    healpix_attributes,
    healpix_skeleton,
    horizontal_axis,
    supporting,
    unsuitable,
)
from hpcodec.errors import GridError, LevelError
from hpcodec.packing import plain_attributes
from hpcodec.stages.dataset import OutputVariable, create_output


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("j", {"standard_name": "latitude"}, "latitude"),
        ("i", {"standard_name": "longitude", "units": "degrees"}, "longitude"),
        *[("j", {"units": u}, "latitude") for u in ("degrees_north", "degree_N", "degreesN")],
        *[("i", {"units": u}, "longitude") for u in ("degrees_east", "degree_E", "degreeE")],
        ("j", {"axis": "Y"}, "latitude"),
        ("lat", {}, "latitude"),
        ("Longitude", {"units": "degrees"}, "longitude"),
        ("y", {"axis": "Y", "units": "m"}, ""),
        ("lat", {"standard_name": "grid_latitude", "units": "degrees"}, ""),
        ("lat", {"units": "K"}, ""),
        ("lat", {"axis": "X"}, "longitude"),
        ("time", {"axis": "T"}, ""),
    ],
)
def test_horizontal_axis(name: str, attributes: dict[str, Any], expected: str) -> None:
    assert horizontal_axis(name, attributes) == expected


def test_radians_become_degrees() -> None:
    assert degrees([0, np.pi / 2], {"units": "radian"}).tolist() == [0, 90]


@pytest.mark.parametrize(
    ("dtype", "attributes", "reason"),
    [
        ("f4", {}, ""),
        (">f8", {"units": "K"}, ""),
        ("i2", {"add_offset": 1.0}, ""),
        ("i4", {"units": "Pa"}, ""),
        ("i4", {}, "mask"),
        ("u1", {"units": "1"}, "mask"),
        ("f4", {"flag_meanings": "a b"}, "flags"),
        ("f8", {"units": "days since 2000-01-01"}, "dates"),
        ("S1", {}, "not numbers"),
        ("?", {}, "not numbers"),
    ],
)
def test_unsuitable(dtype: str, attributes: dict[str, Any], reason: str) -> None:
    got = unsuitable(np.dtype(dtype), attributes)
    assert (reason in got) if reason else got == ""


def test_supporting_roles() -> None:
    ds = xr.Dataset(
        {
            "tas": (("lat",), np.zeros(2), {"grid_mapping": "wgs", "cell_measures": "area: a"}),
            "lat_b": (("lat", "n"), np.zeros((2, 2))),
            "wgs": ((), 0, {"grid_mapping_name": "latitude_longitude"}),
            "a": (("lat",), np.zeros(2)),
            "lat2d": (("lat", "n"), np.zeros((2, 2)), {"units": "degrees_north"}),
        },
        coords={"lat": ("lat", [0.0, 1.0], {"bounds": "lat_b"})},
    )
    assert set(supporting(ds)) == {"lat", "lat_b", "wgs", "a", "lat2d"}


def test_attributes_lose_packing_and_the_old_grid() -> None:
    attributes = {
        "units": "K",
        "scale_factor": 2.0,
        "_FillValue": -1,
        "valid_range": [0, 9],
        "cell_methods": "time: mean",
        "cell_measures": "area: areacella",
        "coordinates": "height lat2d",
        "grid_mapping": "wgs",
        "GRIB_Nx": 1440,
        "GRIB_paramId": 167,
    }
    assert healpix_attributes(attributes, kept=["height"]) == {
        "units": "K",
        "cell_methods": "time: mean",
        "coordinates": "height",
        "grid_mapping": "crs",
        "GRIB_paramId": 167,
    }
    assert "coordinates" not in healpix_attributes(attributes)
    assert plain_attributes({"valid_min": 0, "_FillValue": 1e20}) == {"valid_min": 0}


def test_skeleton_keeps_and_appends() -> None:
    source = xr.Dataset(
        {"wgs": ((), 0, {"grid_mapping_name": "latitude_longitude"}), "cell": ((), 1)},
        attrs={"history": "first", "title": "t", "Conventions": "CF-1.6", "dggs": {}},
    )
    got = healpix_skeleton(source, 1, "second", zarr=False)
    assert got.attrs == {"history": "first\nsecond", "title": "t", "Conventions": "CF-1.13"}
    assert set(map(str, got.variables)) == {"cell", "crs"}
    assert got["cell"].dtype == np.int64
    assert source.attrs["history"] == "first"


def test_skeleton_refuses() -> None:
    with pytest.raises(LevelError, match="got 30"):
        healpix_skeleton(xr.Dataset(), 30, "", zarr=True)
    with pytest.raises(GridError, match="'cell'"):
        healpix_skeleton(xr.Dataset({"a": ("cell", [1])}), 1, "", zarr=True)


@pytest.fixture(params=[".nc", ".zarr"])
def healpix_file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = str(tmp_path / f"out{request.param}")
    source = xr.Dataset(coords={"time": ("time", [0, 6], {"units": "hours since 2000-01-01"})})
    skeleton = healpix_skeleton(source, 2, "made", zarr=request.param == ".zarr")
    attributes = healpix_attributes({"units": "K", "standard_name": "air_temperature"})
    tas = OutputVariable("tas", ("time", "cell"), (2, 192), "float32", attributes, 1)
    with create_output(path, skeleton, [tas], overwrite=False) as output:
        output.write("tas", 0, np.arange(384, dtype="f4").reshape(2, 192))
    return path


def opened(path: str) -> xr.Dataset:
    return (
        xr.open_zarr(path, consolidated=False, chunks=None)
        if "zarr" in path[-5:]
        else (xr.open_dataset(path))
    )


def test_result_is_self_describing(healpix_file: str) -> None:
    with opened(healpix_file) as ds:
        assert "crs" in ds["tas"].coords
        assert ds["crs"].dtype == np.int8
        assert (
            ds["tas"].attrs
            == {
                "units": "K",
                "standard_name": "air_temperature",
                "grid_mapping": "crs",
            }
            or ds["tas"].encoding.get("grid_mapping") == "crs"
        )
        assert int(ds["crs"].attrs["refinement_level"]) == 2
        assert ("dggs" in ds.attrs) == healpix_file.endswith(".zarr")
        assert ds["time"].dtype.kind == "M"


def test_legacy_words_stand_beside_those_of_cf() -> None:
    plain, legacy = (
        healpix_skeleton(xr.Dataset(), 3, "", zarr=False, legacy=legacy)["crs"].attrs
        for legacy in (False, True)
    )
    assert legacy == {**plain, "healpix_nside": 8, "healpix_order": "nested"}
