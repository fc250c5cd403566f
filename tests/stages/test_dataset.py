"""Open and write datasets: synthetic, small, of every kind we promise to read."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
import zarr

from hpcodec.errors import FormatError, GridError, OutputError, UsageError
from hpcodec.grid import LatLonGrid
from hpcodec.output_formats import hyperslabs
from hpcodec.stages.dataset import (
    OutputVariable,
    carried,
    create_output,
    find_fields,
    open_source,
    read_steps,
)
from tests.synthetic import series

LAT = np.linspace(90, -90, 7)
LON = np.arange(0, 360, 30.0)
NORTH = {"standard_name": "latitude", "units": "degrees_north"}
EAST = {"standard_name": "longitude", "units": "degrees_east"}


def dataset(dims: tuple[str, ...] = ("time", "lat", "lon"), dtype: str = "f4") -> xr.Dataset:
    """Raw dataset of one field, numbered in the order (leading, latitude, longitude)."""
    sizes = {"time": 3, "plev": 2, "member": 2, "lat": 7, "lon": 12}
    order = [d for d in dims if d not in ("lat", "lon")] + ["lat", "lon"]
    shape = [sizes[d] for d in order]
    values = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    tas = xr.Variable(order, values, {"units": "K"}).transpose(*dims)
    lat, lon = ("lat", LAT, NORTH), ("lon", LON, EAST)
    return xr.Dataset({"tas": tas}, coords={"lat": lat, "lon": lon})


def save(ds: xr.Dataset, path: Path, **options: Any) -> str:
    if "zarr_format" in options:
        ds.to_zarr(path, consolidated=False, **options)
    else:
        ds.to_netcdf(path, **options)
    return str(path)


def numbered(spec_shape: tuple[int, int], start: int, stop: int) -> npt.NDArray[np.float32]:
    points = spec_shape[0] * spec_shape[1]
    every = np.arange(start * points, stop * points, dtype="f4")
    return every.reshape(stop - start, *spec_shape)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.nc", {"format": "NETCDF3_CLASSIC"}),
        ("a.nc", {"format": "NETCDF3_64BIT"}),
        ("a.nc", {"format": "NETCDF4"}),
        ("a.zarr", {"zarr_format": 2}),
        ("a.zarr", {"zarr_format": 3}),
    ],
)
def test_reads_every_format(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    with open_source(save(dataset(), tmp_path / name, **options)) as ds:
        (spec,) = find_fields(ds)
        assert (spec.leading, spec.grid.shape, spec.units) == ((("time", 3),), (7, 12), "K")
        got = read_steps(ds, spec, 1, 3)
        assert got.dtype == np.float32
        assert got.dtype.isnative
        np.testing.assert_array_equal(got, numbered((7, 12), 1, 3))


def test_reads_zipped_zarr(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr.zip")
    folder = Path(save(dataset(), tmp_path / "a.zarr", zarr_format=3))
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    with open_source(path) as ds:
        np.testing.assert_array_equal(
            read_steps(ds, find_fields(ds)[0], 0, 3), numbered((7, 12), 0, 3)
        )


def test_reads_fsspec_urls(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    dataset().to_zarr("memory://test_dataset/a.zarr", consolidated=False, zarr_format=3)
    local = save(dataset(), tmp_path / "a.nc")
    fsspec.filesystem("memory").put(local, "/test_dataset/a.nc")
    for url in ("memory://test_dataset/a.zarr", "memory://test_dataset/a.nc", f"file://{local}"):
        with open_source(url) as ds:
            np.testing.assert_array_equal(
                read_steps(ds, find_fields(ds)[0], 2, 3), numbered((7, 12), 2, 3)
            )


@pytest.mark.parametrize(
    "dims",
    [
        ("lat", "lon"),
        ("time", "lon", "lat"),
        ("lat", "time", "lon"),
        ("lon", "member", "lat", "time"),
        ("time", "plev", "member", "lat", "lon"),
    ],
)
def test_any_axes_in_any_order(tmp_path: Path, dims: tuple[str, ...]) -> None:
    with open_source(save(dataset(dims), tmp_path / "a.nc")) as ds:
        (spec,) = find_fields(ds)
        assert [d for d, _ in spec.leading] == [d for d in dims if d not in ("lat", "lon")]
        for start in range(spec.steps):
            for stop in range(start, spec.steps + 1):
                got = read_steps(ds, spec, start, stop)
                np.testing.assert_array_equal(got, numbered((7, 12), start, stop))


def test_hyperslabs_cover_each_index_once() -> None:
    shape = (3, 2, 4)
    flat = np.arange(24).reshape(shape)
    for start in range(25):
        for stop in range(start, 25):
            parts = [flat[slab].ravel() for slab in hyperslabs(shape, start, stop)]
            got = np.concatenate([*parts, np.empty(0, int)])
            np.testing.assert_array_equal(got, np.arange(start, stop))


def test_reads_only_what_is_asked(tmp_path: Path) -> None:
    path = save(
        dataset(), tmp_path / "a.zarr", zarr_format=3, encoding={"tas": {"chunks": (1, 7, 12)}}
    )
    for chunk in (tmp_path / "a.zarr" / "tas" / "c").iterdir():
        if chunk.name != "1":
            (chunk / "0" / "0").write_bytes(b"damaged")
    with open_source(path) as ds:
        (spec,) = find_fields(ds)
        np.testing.assert_array_equal(read_steps(ds, spec, 1, 2), numbered((7, 12), 1, 2))
        with pytest.raises(FormatError, match="'tas', step 2"):
            read_steps(ds, spec, 2, 3)


@pytest.mark.parametrize("dtype", ["f8", ">f4", ">f8", ">i2", "i4"])
def test_any_type_becomes_native_float32(tmp_path: Path, dtype: str) -> None:
    form = "NETCDF4"
    with open_source(save(dataset(dtype=dtype), tmp_path / "a.nc", format=form)) as ds:
        got = read_steps(ds, find_fields(ds)[0], 0, 3)
        assert got.dtype == np.dtype("=f4")
        np.testing.assert_array_equal(got, numbered((7, 12), 0, 3))


def test_packed_integers_are_decoded(tmp_path: Path) -> None:
    source = dataset(dtype="i2")
    source["tas"].attrs |= {"scale_factor": 0.5, "add_offset": 3.0, "missing_value": np.int16(4)}
    source["tas"].encoding["_FillValue"] = np.int16(2)
    with open_source(save(source, tmp_path / "a.nc")) as ds:
        got = read_steps(ds, find_fields(ds)[0], 0, 1).ravel()
    np.testing.assert_array_equal(got[:6], [3, 3.5, np.nan, 4.5, np.nan, 5.5])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("west", [0, -180, -165])
def test_latitude_order_and_longitude_origin(flip: bool, west: float) -> None:
    lat = LAT[::-1] if flip else LAT
    ds = dataset().assign_coords(lat=("lat", lat, NORTH), lon=("lon", LON + west, EAST))
    grid = find_fields(ds)[0].grid
    assert isinstance(grid, LatLonGrid)
    assert grid.latitude == tuple(lat)
    assert grid.longitude[0] == west


@pytest.mark.parametrize(
    ("north", "east"),
    [
        ({"standard_name": "latitude"}, {"standard_name": "longitude"}),
        ({"units": "degree_N"}, {"units": "degreesE"}),
        ({"axis": "Y"}, {"axis": "X"}),
    ],
)
@pytest.mark.parametrize("auxiliary", [False, True])
def test_axes_are_found_by_cf_not_by_name(
    north: dict[str, str], east: dict[str, str], auxiliary: bool
) -> None:
    ds = dataset().assign_coords(lat=("lat", LAT, north), lon=("lon", LON, east))
    ds = ds.rename(lat="j", lon="i")
    if auxiliary:  # a 1-D coordinate that is not its dimension's namesake
        ds = ds.rename_vars(j="north", i="east").drop_indexes(["north", "east"])
    (spec,) = find_fields(ds)
    assert (*spec.horizontal, spec.grid.shape) == ("j", "i", (7, 12))


def test_companions_are_not_fields() -> None:
    flat = np.zeros((7, 12), "f4")
    ds = dataset().assign(
        lat_bnds=(("lat", "n"), np.zeros((7, 2))),
        mask=(("lat", "lon"), flat.astype("i1")),
        kind=(("lat", "lon"), flat, {"flag_values": [0.0]}),
        lat2d=(("lat", "lon"), flat, {"units": "degrees_north"}),
        area=(("lat", "lon"), flat, {"units": "m2"}),
        grid=((), 0, {"grid_mapping_name": "latitude_longitude"}),
        orography=(("lat", "lon"), flat, {"units": "m"}),
    )
    ds["lat"].attrs["bounds"] = "lat_bnds"
    ds["tas"].attrs |= {"cell_measures": "area: area", "grid_mapping": "grid"}
    assert [spec.name for spec in find_fields(ds)] == ["tas", "orography"]
    assert [spec.name for spec in find_fields(ds, ["area", "tas", "area"])] == ["area", "tas"]
    for name, reason in {"mask": "mask or a count", "kind": "flags", "lat": "latitude"}.items():
        with pytest.raises(GridError, match=f"'{name}'.*{reason}"):
            find_fields(ds, [name])
    with pytest.raises(UsageError, match="Did you mean 'tas'"):
        find_fields(ds, ["tos", "tas"])
    rest = carried(ds, find_fields(ds, ["tas"]))
    assert set(ds.variables) - set(rest.variables) == {"tas"}
    assert set(carried(ds, find_fields(ds), drop_horizontal=True).variables) == {"grid"}


def regional() -> xr.Dataset:
    return dataset().isel(lat=slice(0, 4))


def half_circle() -> xr.Dataset:
    return dataset().isel(lon=slice(0, 6))


def curvilinear() -> xr.Dataset:
    lat, lon = (np.zeros((7, 12)) for _ in range(2))
    ds = dataset().drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    return ds.assign(lat=(("y", "x"), lat, NORTH), lon=(("y", "x"), lon, EAST))


def unstructured() -> xr.Dataset:
    zero = np.zeros(9)
    return xr.Dataset(
        {"tas": ("cell", zero), "lat": ("cell", zero, NORTH), "lon": ("cell", zero, EAST)}
    )


def bare() -> xr.Dataset:
    return dataset().drop_vars(["lat", "lon"])


def without_steps() -> xr.Dataset:
    return dataset().isel(time=slice(0, 0))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (regional, "global"),
        (half_circle, "full circle"),
        (curvilinear, "all around the globe"),
        (unstructured, "48 to"),
        (bare, "none of its dimensions"),
        (without_steps, "no steps"),
    ],
)
def test_other_grids_are_refused_in_one_line(make: Callable[[], xr.Dataset], reason: str) -> None:
    for names in (None, ["tas"]):
        with pytest.raises(GridError, match=reason) as caught:
            find_fields(make(), names)
        assert "'tas'" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_empty_dataset_is_refused() -> None:
    with pytest.raises(GridError, match="no variables but coordinates"):
        find_fields(xr.Dataset())


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.grib").write_bytes(b"GRIB....7777")
    (tmp_path / "damaged.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "empty.nc").touch()
    zarr.create_array(tmp_path / "array.zarr", shape=(2,), dtype="f4")
    zarr.open_group(tmp_path / "store.zarr", mode="w", attributes={"hpcodec": "1.0"})
    for name, reason in {
        "a.grib": "GRIB",
        "damaged.nc": "readable",
        "empty.nc": "begins with b''",
        "array.zarr": "readable",
        "store.zarr": "hpcodec decompress",
        "": "folder",
        "missing.nc": "does not exist",
    }.items():
        with pytest.raises(FormatError, match=reason) as caught:
            open_source(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    for url in ("memory://nowhere/a.zarr", "nosuchprotocol://a/b.nc"):
        with pytest.raises(FormatError):
            open_source(url)


TAS = OutputVariable("tas", ("time", "lat", "lon"), (3, 7, 12), "float32", {"units": "K"}, 1)


@pytest.fixture
def awkward(tmp_path: Path) -> str:
    """NetCDF-4 file with what a re-encoding copy would change."""
    path = str(tmp_path / "awkward.nc")
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in {"time": None, "lat": 7, "lon": 12, "n": 4}.items():
            file.createDimension(dim, size)
        file.setncatts({"title": "é", "levels": np.array([1, 2], "i2"), "history": "a\nb"})
        lat = file.createVariable("lat", "f4", ("lat",), fill_value=np.float32(1e20))
        lat.setncatts(NORTH)
        lat[:] = LAT
        lon = file.createVariable("lon", ">f8", ("lon",), endian="big")
        lon.setncatts(EAST)
        lon[:] = LON
        time = file.createVariable("time", "f8", ("time",))
        time.setncatts({"units": "days since 1850-01-01", "calendar": "noleap"})
        time[:] = [0.5, 1.5, 2.5]
        letters = file.createVariable("letters", "S1", ("time", "n"))
        letters[:] = np.array([list("abcd")] * 3, "S1")
        letter = file.createVariable("letter", "S1", ("n",), fill_value="-")
        letter[:] = np.array(list("ab-d"), "S1")
        words = file.createVariable("words", str, ("time",))
        words[:] = np.array(["one", "", "drei"], object)
        packed = file.createVariable("packed", "i2", ("time",), fill_value=-5)
        packed.set_auto_maskandscale(False)
        packed.setncatts({"scale_factor": np.float32(0.1), "coordinates": "words"})
        packed[:] = np.array([-5, 1, 2], "i2")
        file.createVariable("crs", "i4", ()).grid_mapping_name = "latitude_longitude"
        file.createVariable("tas", "f4", ("time", "lat", "lon"), zlib=True)[:] = numbered(
            (7, 12), 0, 3
        )
    return path


@pytest.mark.parametrize("suffix", [".nc", ".nc4", ".zarr"])
def test_everything_else_is_carried_as_it_is(awkward: str, tmp_path: Path, suffix: str) -> None:
    target = str(tmp_path / f"out{suffix}")
    with open_source(awkward) as ds:
        specs = find_fields(ds)
        with create_output(target, carried(ds, specs), [TAS], overwrite=False) as output:
            for step in range(3):
                output.write("tas", step, read_steps(ds, specs[0], step, step + 1))
        with open_source(target) as copy:
            assert set(copy.variables) == set(ds.variables)
            assert set(copy.attrs) == set(ds.attrs)
            for key, value in ds.attrs.items():
                np.testing.assert_array_equal(copy.attrs[key], value)
            for name, variable in ds.variables.items():
                other = copy.variables[name]
                assert other.dims == variable.dims
                if name not in ("words", "tas"):
                    assert other.dtype == variable.dtype
                    lost = {"_FillValue"} if suffix == ".zarr" and name == "letter" else set()
                    expected = {k: v for k, v in variable.attrs.items() if k not in lost}
                    assert dict(other.attrs) == expected
                np.testing.assert_array_equal(other.to_numpy(), variable.to_numpy())
            if suffix != ".zarr":
                assert copy.encoding["unlimited_dims"] == {"time"}
            np.testing.assert_array_equal(
                read_steps(copy, find_fields(copy)[0], 0, 3), numbered((7, 12), 0, 3)
            )


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_writes_runs_over_several_leading_axes(tmp_path: Path, suffix: str) -> None:
    target = str(tmp_path / f"out{suffix}")
    tas = OutputVariable("tas", ("time", "member", "lat", "lon"), (3, 4, 7, 12), leading=2)
    skeleton = carried(dataset(), find_fields(dataset()))
    flat = OutputVariable("oro", ("lat", "lon"), (7, 12), leading=0)
    with create_output(target, skeleton, [tas, flat]) as output:
        for start, stop in ((0, 3), (3, 9), (9, 12)):
            output.write("tas", start, numbered((7, 12), start, stop))
        output.write("oro", 0, numbered((7, 12), 0, 1))
    with open_source(target) as ds:
        both = {spec.name: spec for spec in find_fields(ds)}
        np.testing.assert_array_equal(read_steps(ds, both["tas"], 0, 12), numbered((7, 12), 0, 12))
        np.testing.assert_array_equal(read_steps(ds, both["oro"], 0, 1), numbered((7, 12), 0, 1))


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_output_appears_whole_or_not_at_all(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    skeleton = carried(dataset(), find_fields(dataset()))
    values = numbered((7, 12), 0, 3)

    def interrupted() -> None:
        with create_output(str(target), skeleton, [TAS]) as out:
            out.write("tas", 0, values)
            assert not target.exists()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        interrupted()
    assert list(tmp_path.iterdir()) == []

    with create_output(str(target), skeleton, [TAS]) as out:
        out.write("tas", 0, values)
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(OutputError, match="exists"), create_output(str(target), skeleton, [TAS]):
        pass
    with pytest.raises(KeyboardInterrupt), create_output(str(target), skeleton, [TAS], True):
        raise KeyboardInterrupt
    with open_source(str(target)) as ds:
        np.testing.assert_array_equal(read_steps(ds, find_fields(ds)[0], 0, 3), values)

    with create_output(str(target), skeleton, [TAS], overwrite=True) as out:
        out.write("tas", 0, values + 1)
    assert list(tmp_path.iterdir()) == [target]
    with open_source(str(target)) as ds:
        np.testing.assert_array_equal(read_steps(ds, find_fields(ds)[0], 0, 3), values + 1)


def test_bad_targets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "letter.txt").touch()
    (tmp_path / "folder.nc").mkdir()
    skeleton = xr.Dataset()
    for name in ("out.txt", "out", "s3://bucket/out.txt"):
        with (
            pytest.raises(UsageError, match="output path ending"),
            create_output(name, skeleton, []),
        ):
            pass
    for name in ("mine.zarr", "folder.nc", "none/out.nc"):
        path = str(tmp_path / name)
        with pytest.raises(OutputError), create_output(path, skeleton, [], overwrite=True):
            pass
    assert (tmp_path / "mine.zarr" / "letter.txt").exists()


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_failing_storage_is_one_line(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with (
        pytest.raises(OutputError, match="No space left on device") as caught,
        create_output(str(tmp_path / f"out{suffix}"), xr.Dataset(), []),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_small_fields_share_a_zarr_chunk(tmp_path: Path) -> None:
    small = OutputVariable("a", ("time", "cell"), (5000, 768))
    large = OutputVariable("b", ("day", "level", "wide"), (9, 2, 3 * 2**20), leading=2)
    target = tmp_path / "out.zarr"
    with create_output(str(target), xr.Dataset(), [small, large]):
        pass
    group = zarr.open_group(target, mode="r")
    assert [group[name].chunks for name in "ab"] == [(2730, 768), (1, 1, 3 * 2**20)]  # type: ignore[union-attr]


def test_text_of_zarr_v2_is_carried(tmp_path: Path) -> None:
    source = dataset().assign(
        words=("time", np.array(["a", "", "é"], object)), fixed=("time", np.array(["x", "yy", "z"]))
    )
    path = save(source, tmp_path / "a.zarr", zarr_format=2)
    for suffix in (".nc", ".zarr"):
        target = str(tmp_path / f"out{suffix}")
        with (
            open_source(path) as ds,
            create_output(target, carried(ds, find_fields(ds)), [TAS]) as output,
        ):
            output.write("tas", 0, numbered((7, 12), 0, 3))
        with (
            xr.open_dataset(target)
            if suffix == ".nc"
            else xr.open_zarr(target, consolidated=False, chunks=None) as copy
        ):
            assert [str(word) for word in copy["words"].values] == ["a", "", "é"]
            assert [str(word) for word in copy["fixed"].values] == ["x", "yy", "z"]


def test_a_file_that_its_user_has_open(tmp_path: Path) -> None:
    """As in a notebook; in a process of its own, since what it guards against ends that."""
    text = np.array(["0001", "0001", "0005"], object)  # as ERA5 has it, from the CDS
    series(3).assign(expver=("time", text)).to_netcdf(tmp_path / "a.nc")
    code = (
        "import sys, xarray as xr\n"
        "from hpcodec.stages.dataset import find_fields, open_source, read_steps\n"
        "own = xr.open_dataset(sys.argv[1]).t2m\n"
        "for step in range(3):\n"
        "    source = open_source(sys.argv[1])\n"
        "    (spec,) = find_fields(source)\n"
        "    assert (read_steps(source, spec, step, step + 1) == own[step].values).all()\n"
        "    source.close()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.nc")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
