from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hpcodec.cli import app
from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import UsageError
from hpcodec.grids import GaussianGrid, HealpixGrid, LatLonGrid
from hpcodec.info import describe
from hpcodec.named_grids import coordinates_of, named_grid
from hpcodec.stages.dataset import find_fields
from tests.scattered import icon, ocean, travelling
from tests.synthetic import MODEL, raw, rich, series

QUICK = Options(ratio=4, model=MODEL, device="cpu")


def test_names() -> None:
    assert named_grid("0.25") == LatLonGrid.regular((90.0, -0.25, 721), (0.0, 0.25, 1440))
    assert named_grid("2.5").shape == (73, 144)
    assert named_grid("n80").shape == (160, 320)
    assert named_grid("o80") == GaussianGrid.octahedral(80)
    assert named_grid("healpix:5") == HealpixGrid(5)


@pytest.mark.parametrize(
    "name",
    ["", "0", "0.7", "0.001", "90", "-1", "1e1", "N320", "o3", "n9999", "healpix:11", "r360x180"],
)
def test_other_names_are_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match="n320"):
        named_grid(name)


@given(st.text(max_size=8))
def test_any_text_is_a_grid_or_a_usage_error(name: str) -> None:
    with contextlib.suppress(UsageError):
        named_grid(name)


@pytest.mark.parametrize("name", ["5", "n16", "o16"])
def test_coordinates_are_recognised_again(name: str) -> None:
    grid = named_grid(name)
    dims, coordinates = coordinates_of(grid)
    ds = xr.Dataset({"tas": (dims, np.zeros(grid.shape), {"units": "K"})}, coords=coordinates)
    (spec,) = find_fields(ds)
    assert (spec.grid, spec.horizontal) == (grid, dims)


def compressed(folder: Path, options: Options) -> str:
    series(2, 2.5).to_netcdf(folder / "source.nc")
    compress(str(folder / "source.nc"), str(folder / "s.zarr"), options)
    return str(folder / "s.zarr")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compressed(tmp_path_factory.mktemp("network"), replace(QUICK, bottleneck=5))


@pytest.fixture(scope="module")
def detailed(tmp_path_factory: pytest.TempPathFactory) -> str:
    store = compressed(tmp_path_factory.mktemp("detailed"), QUICK)
    assert describe(store)["variables"]["t2m"]["first_detail_bytes"] > 0
    return store


@pytest.fixture(params=["network", "detailed"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.mark.parametrize(("name", "dims"), [("5", ("lat", "lon")), ("o16", ("values",))])
def test_on_another_grid(store: str, tmp_path: Path, name: str, dims: tuple[str, ...]) -> None:
    decompress(store, str(tmp_path / "other.nc"), grid=name, device="cpu")
    made = raw(tmp_path / "other.nc")
    assert made["t2m"].dims == ("time", *dims)
    assert made.attrs["history"].endswith(f"hpcodec decompress --grid {name}")
    (spec,) = find_fields(made)
    assert spec.grid == named_grid(name)
    latitude, longitude = (values.reshape(spec.grid.shape) for values in spec.grid.points)
    expected = travelling(latitude, longitude)
    assert np.std(made["t2m"].to_numpy() - expected) < 1
    with xr.open_dataset(store, engine="hpcodec", grid=name) as opened:
        np.testing.assert_array_equal(opened["t2m"].to_numpy(), made["t2m"].to_numpy())


def test_healpix_by_name_is_a_level(store: str, tmp_path: Path) -> None:
    decompress(store, str(tmp_path / "a.nc"), grid="healpix:4", device="cpu")
    decompress(store, str(tmp_path / "b.nc"), level=4, device="cpu")
    assert raw(tmp_path / "a.nc")["t2m"].identical(raw(tmp_path / "b.nc")["t2m"])


def test_a_coarse_grid_needs_fewer_bytes(network: str, tmp_path: Path) -> None:
    fine = decompress(network, str(tmp_path / "fine.nc"), grid="2.5", device="cpu")
    assert decompress(network, str(tmp_path / "coarse.nc"), grid="15", device="cpu") < fine


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    ocean().to_netcdf(tmp_path / "ocean.nc")
    compress(str(tmp_path / "ocean.nc"), str(tmp_path / "s.zarr"), QUICK)
    decompress(str(tmp_path / "s.zarr"), str(tmp_path / "a.nc"), grid="5", device="cpu")
    missing = np.isnan(raw(tmp_path / "a.nc")["tas"].to_numpy()[0])
    latitude, longitude = np.meshgrid(np.linspace(90, -90, 37), np.arange(72) * 5.0, indexing="ij")
    land = (np.sin(np.deg2rad(2 * longitude)) > 0.5) & (np.abs(latitude) < 60)
    assert (missing == land).mean() > 0.9


def test_a_list_of_points_to_rows_and_columns(tmp_path: Path) -> None:
    icon().to_netcdf(tmp_path / "icon.nc")
    compress(str(tmp_path / "icon.nc"), str(tmp_path / "s.zarr"), QUICK)
    decompress(str(tmp_path / "s.zarr"), str(tmp_path / "a.zarr"), grid="10", device="cpu")
    made = raw(tmp_path / "a.zarr")
    assert set(made.variables) == {"tas", "time", "lat", "lon"}
    assert "coordinates" not in made["tas"].attrs


def test_grid_mapping_of_the_source_is_gone(tmp_path: Path) -> None:
    rich().to_zarr(tmp_path / "rich.zarr", consolidated=False)
    compress(str(tmp_path / "rich.zarr"), str(tmp_path / "s.zarr"), QUICK)
    decompress(str(tmp_path / "s.zarr"), str(tmp_path / "a.nc"), grid="10", device="cpu")
    assert "crs" not in raw(tmp_path / "a.nc")


def test_level_and_grid_are_too_many(store: str, tmp_path: Path) -> None:
    command = ["decompress", store, str(tmp_path / "a.nc"), "--level", "4", "--grid", "5"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, UsageError)
    assert not list(tmp_path.iterdir())
