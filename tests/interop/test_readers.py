"""What other programs make of our output: every way to have it, every reader.

Readers come with ``pip install 'hpcodec[interop]'``; a test whose reader is missing is skipped.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import healpy
import numpy as np
import pytest
import xarray as xr

from hpcodec import FieldSpaceCodec
from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.xarray_backend import StoreBackend, open_pyramid
from tests.synthetic import MODEL

LEVEL = 4
LEVELS = {"base": 3}
"""Where it is another one."""

RING = {"ring store"}
"""Ways in which cells are in ring order; elsewhere they are nested."""


def from_zarr(path: Path) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(path, consolidated=False, chunks=None)
    return dataset


def engine(store: str) -> xr.Dataset:
    return xr.open_dataset(store, engine=StoreBackend, level=LEVEL, device="cpu")


def pyramid(store: str) -> xr.Dataset:
    return open_pyramid(store, device="cpu", chunks={})[str(LEVEL)].to_dataset()


def decompressed(store: str, path: Path, **options: Any) -> Path:
    decompress(store, str(path), level=LEVEL, device="cpu", batch=8, **options)
    return path


def gridded(store: str, path: Path, grid: str) -> Path:
    decompress(store, str(path), grid=grid, device="cpu", batch=8)
    return path


def in_ring_order(path: Path) -> xr.Dataset:
    """Nested cells put in the other order, as a program would that prefers it."""
    dataset = from_zarr(path)
    nested = healpy.ring2nest(2**LEVEL, np.arange(dataset.cell.size))
    ring = dataset.isel(cell=nested).assign_coords(cell=dataset.cell)
    ring.crs.attrs["indexing_scheme"] = ring.attrs["dggs"]["indexing_scheme"] = "ring"
    return ring


def compressed(store: str, path: Path, *, ring: bool = False) -> Path:
    """A store of cells: its fields are on them when it is opened."""
    cells = decompressed(store, path / "cells.zarr")
    if ring:
        in_ring_order(cells).to_zarr(path / "ring.zarr", zarr_format=3, consolidated=False)
        cells = path / "ring.zarr"
    target = path / "store.zarr"
    compress(str(cells), str(target), Options(ratio=4, model=MODEL, device="cpu"))
    return target


def coded(store: str, path: Path) -> Path:
    """Cells in a plain zarr group, whose array our codec compresses."""
    dataset = from_zarr(decompressed(store, path / "cells.zarr")).load()
    encoding = {
        "serializer": FieldSpaceCodec.for_field(dataset.t2m, ratio=4),
        "compressors": None,
        "chunks": (1, dataset.cell.size),
    }
    dataset.t2m.encoding.clear()
    target = path / "coded.zarr"
    dataset.to_zarr(target, zarr_format=3, consolidated=False, encoding={"t2m": encoding})
    return target


def written(store: str, path: Path) -> Path:
    """As a user would, from what the engine gives."""
    dataset = engine(store)
    if path.suffix == ".nc":
        dataset.to_netcdf(path)
    else:
        dataset.to_zarr(path, zarr_format=3, consolidated=False)
    return path


WAYS: dict[str, Callable[[str, Path], xr.Dataset]] = {
    "zarr": lambda store, to: from_zarr(decompressed(store, to / "a.zarr")),
    "netcdf": lambda store, to: xr.open_dataset(decompressed(store, to / "a.nc")),
    "legacy zarr": lambda store, to: from_zarr(decompressed(store, to / "a.zarr", legacy_crs=True)),
    "legacy netcdf": lambda store, to: xr.open_dataset(
        decompressed(store, to / "a.nc", legacy_crs=True)
    ),
    "grid": lambda store, to: from_zarr(gridded(store, to / "a.zarr", f"healpix:{LEVEL}")),
    "base": lambda store, to: xr.open_zarr(store, group="base", consolidated=False, chunks=None),
    "engine": lambda store, to: engine(store),
    "pyramid": lambda store, to: pyramid(store),
    "engine to zarr": lambda store, to: from_zarr(written(store, to / "a.zarr")),
    "engine to netcdf": lambda store, to: xr.open_dataset(written(store, to / "a.nc")),
    "store": lambda store, to: from_zarr(compressed(store, to)),
    "store to zarr": lambda store, to: from_zarr(
        gridded(str(compressed(store, to)), to / "a.zarr", "source")
    ),
    "store to netcdf": lambda store, to: xr.open_dataset(
        gridded(str(compressed(store, to)), to / "a.nc", "source")
    ),
    "ring store": lambda store, to: from_zarr(compressed(store, to, ring=True)),
    "codec": lambda store, to: from_zarr(coded(store, to)),
}


PLACE = {"longitude": 20.0, "latitude": 10.0}


def _easygems() -> Any:
    return importlib.import_module("easygems.healpix")


def _nside(dataset: xr.Dataset) -> object:
    return _easygems().get_nside(dataset), _easygems().get_nside(dataset.t2m)


def _nested(dataset: xr.Dataset) -> object:
    return _easygems().is_nested(dataset), bool(_easygems().get_nest(dataset.t2m))


def _attached(dataset: xr.Dataset) -> object:
    """Of the northernmost field value: where it lies."""
    attached = _easygems().attach_coords(dataset)
    return round(float(attached.lat[7]), 6), round(float(attached.lon[7]), 6)


def _index(dataset: xr.Dataset) -> object:
    return int(_easygems().get_index(dataset)[7])


def _grid_mapping(dataset: xr.Dataset) -> object:
    importlib.import_module("cf_xarray")
    return dataset.cf["grid_mapping"].attrs["grid_mapping_name"], dataset.cf.grid_mapping_names


def _standard_names(dataset: xr.Dataset) -> object:
    importlib.import_module("cf_xarray")
    return dataset.cf["air_temperature"].name, dataset.cf["healpix_index"].name


def _times(dataset: xr.Dataset) -> object:
    importlib.import_module("cf_xarray")
    return dataset.cf["time"].name, dataset.cf.axes["T"]


def _told(decoded: xr.Dataset) -> object:
    """Level, order, the place of a cell, and the cell of a place."""
    centres = decoded.dggs.cell_centers()
    where = [np.array([PLACE[axis]]) for axis in ("latitude", "longitude")]
    found = decoded.dggs.sel_latlon(*where)
    return (
        decoded.dggs.grid_info.level,
        decoded.dggs.grid_info.indexing_scheme,
        round(float(centres.latitude[7]), 6),
        int(found.cell[0]),
    )


def _as_cf(dataset: xr.Dataset) -> object:
    return _told(importlib.import_module("xdggs").decode(dataset, convention="cf"))


def _as_zarr_dggs(dataset: xr.Dataset) -> object:
    importlib.import_module("xdggs")
    return _told(dataset.dggs.decode(convention="zarr"))


def _as_its_own(dataset: xr.Dataset) -> object:
    importlib.import_module("xdggs")
    return _told(dataset.dggs.decode())


def _faces(dataset: xr.Dataset) -> object:
    field = importlib.import_module("uxarray").UxDataset.from_healpix(dataset).t2m
    assert np.array_equal(field.values, dataset.t2m.values)
    return field.uxgrid.n_face, field.dims, round(float(field.uxgrid.face_lat[7]), 6)


def _viewer(dataset: xr.Dataset) -> object:
    """By the rules of the viewer gridlook, which runs in a browser."""
    crs = dataset[dataset.t2m.attrs.get("grid_mapping", "crs")]
    about = dataset.attrs.get("dggs", {})
    counted = round(np.log2(dataset.cell.size / 12) / 2)
    level = about.get("refinement_level", counted)
    cells = dataset[about.get("coordinate", "cell")]
    return crs.attrs.get("healpix_nside", 2**level), int(cells[7])


def truth(way: str) -> dict[str, object]:
    """What each reader should find, by healpy."""
    level, nest = LEVELS.get(way, LEVEL), way not in RING
    nside, order = 2**level, "nested" if nest else "ring"
    longitude, latitude = (round(float(x), 6) for x in healpy.pix2ang(nside, 7, nest, lonlat=True))
    cell = int(healpy.ang2pix(nside, *PLACE.values(), nest=nest, lonlat=True))
    told = (level, order, latitude, cell)
    return {
        "nside": (nside, nside),
        "nested": (nest, nest),
        "coordinates": (latitude, longitude),
        "index": 7,
        "grid mapping": ("healpix", {"healpix": ["crs"]}),
        "standard names": ("t2m", "cell"),
        "times": ("time", ["time"]),
        "cf": told,
        "zarr dggs": told,
        "own": told,
        "faces": (12 * 4**level, ("time", "n_face"), latitude),
        "viewer": (nside, 7),
    }


READERS: dict[str, tuple[str, Callable[[xr.Dataset], object]]] = {
    "nside": ("easygems.healpix", _nside),
    "nested": ("easygems.healpix", _nested),
    "coordinates": ("easygems.healpix", _attached),
    "index": ("easygems.healpix", _index),
    "grid mapping": ("cf_xarray", _grid_mapping),
    "standard names": ("cf_xarray", _standard_names),
    "times": ("cf_xarray", _times),
    "cf": ("xdggs", _as_cf),
    "zarr dggs": ("xdggs", _as_zarr_dggs),
    "own": ("xdggs", _as_its_own),
    "faces": ("uxarray", _faces),
    "viewer": ("json", _viewer),
}

# By what they say they read: CF without the older words, groups of zarr that have the attribute,
# a second index of the cells as `cell_ids`.
OF_ZARR = {"zarr", "legacy zarr", "base", "grid", "store", "store to zarr", "ring store", "codec"}
REFUSED = {
    "cf": dict.fromkeys(("legacy zarr", "legacy netcdf"), "healpix_nside"),
    "zarr dggs": dict.fromkeys(set(WAYS) - OF_ZARR, "not declared"),
    "own": dict.fromkeys(WAYS, "cell_ids"),
}
# These take cells in nested order, whatever is said of them.
NESTED_ONLY = {"faces", "viewer"}


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def output(
    way: str, base_store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[xr.Dataset]:
    with WAYS[way](base_store, tmp_path_factory.mktemp("out")) as dataset:
        yield dataset.load()


def reader_of(module: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(module, reason=f"{module} is not installed")


@pytest.mark.filterwarnings("ignore")  # of theirs
@pytest.mark.parametrize("reader", READERS)
def test_it_is_read(way: str, output: xr.Dataset, reader: str) -> None:
    module, read = READERS[reader]
    reader_of(module)
    dataset = output.copy(deep=True)  # xdggs takes attributes away
    if refusal := REFUSED.get(reader, {}).get(way):
        with pytest.raises(Exception, match=refusal):
            read(dataset)
    elif way not in RING or reader not in NESTED_ONLY:
        assert read(dataset) == truth(way)[reader]


ON_POINTS: dict[str, Callable[[str, Path], xr.Dataset]] = {
    "store": lambda store, to: from_zarr(Path(store)),
    "zarr": lambda store, to: from_zarr(gridded(store, to / "a.zarr", "source")),
    "netcdf": lambda store, to: xr.open_dataset(gridded(store, to / "a.nc", "source")),
    "other grid": lambda store, to: xr.open_dataset(gridded(store, to / "a.nc", "5")),
    "engine": lambda store, to: xr.open_dataset(store, engine=StoreBackend, device="cpu"),
}


@pytest.mark.filterwarnings("ignore")  # of theirs
@pytest.mark.parametrize("way", ON_POINTS)
def test_rows_and_columns_are_read(way: str, base_store: str, tmp_path: Path) -> None:
    reader_of("cf_xarray")
    with ON_POINTS[way](base_store, tmp_path) as dataset:
        found = dataset.cf[["air_temperature"]]
        assert list(found.data_vars) == ["t2m"]
        names = {kind: dataset.cf[kind].name for kind in ("latitude", "longitude", "time")}
        assert names == {"latitude": "lat", "longitude": "lon", "time": "time"}
        assert dataset.cf.axes == {"X": ["lon"], "Y": ["lat"], "T": ["time"]}
        mean = dataset.cf.mean(["latitude", "longitude"]).t2m
        assert mean.dims == ("time",)
        assert np.all(np.abs(mean - 280) < 20)


@pytest.mark.filterwarnings("ignore")  # of theirs
@pytest.mark.parametrize("way", ON_POINTS)
def test_rows_and_columns_are_faces(way: str, base_store: str, tmp_path: Path) -> None:
    reader_of("uxarray")
    uxarray = importlib.import_module("uxarray")
    with ON_POINTS[way](base_store, tmp_path) as dataset:
        grid = uxarray.Grid.from_structured(dataset)
        assert grid.n_face == dataset.lat.size * dataset.lon.size
