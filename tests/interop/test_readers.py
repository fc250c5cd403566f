"""What other programs make of our HEALPix output: every way to have it, every reader.

Readers come with ``pip install 'hpcodec[interop]'``; a test whose reader is missing is skipped.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcodec.decompression import decompress
from hpcodec.xarray_backend import StoreBackend, open_pyramid

LEVEL = 3
CELLS = 12 * 4**LEVEL


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
    "base": lambda store, to: xr.open_zarr(store, group="base", consolidated=False, chunks=None),
    "engine": lambda store, to: engine(store),
    "pyramid": lambda store, to: pyramid(store),
    "engine to zarr": lambda store, to: from_zarr(written(store, to / "a.zarr")),
    "engine to netcdf": lambda store, to: xr.open_dataset(written(store, to / "a.nc")),
}


def _nside(dataset: xr.Dataset) -> object:
    easygems = importlib.import_module("easygems.healpix")
    return easygems.get_nside(dataset), easygems.get_nside(dataset.t2m)


def _nested(dataset: xr.Dataset) -> object:
    return bool(importlib.import_module("easygems.healpix").get_nest(dataset))


def _coordinates(dataset: xr.Dataset) -> object:
    attached = importlib.import_module("easygems.healpix").attach_coords(dataset)
    return bool(np.all(attached.lat[: CELLS // 12] > 0))


def _grid_mapping(dataset: xr.Dataset) -> object:
    importlib.import_module("cf_xarray")
    return dataset.cf["grid_mapping"].attrs["grid_mapping_name"]


def _standard_names(dataset: xr.Dataset) -> object:
    importlib.import_module("cf_xarray")
    return dataset.cf["air_temperature"].name, dataset.cf["healpix_index"].name


def _as_cf(dataset: xr.Dataset) -> object:
    decoded = importlib.import_module("xdggs").decode(dataset, convention="cf")
    return decoded.dggs.grid_info.level, decoded.dggs.grid_info.indexing_scheme


def _as_zarr_dggs(dataset: xr.Dataset) -> object:
    importlib.import_module("xdggs")
    decoded = dataset.dggs.decode(convention="zarr")
    return decoded.dggs.grid_info.level, decoded.dggs.grid_info.indexing_scheme


def _faces(dataset: xr.Dataset) -> object:
    uxarray = importlib.import_module("uxarray")
    field = uxarray.UxDataset.from_healpix(dataset).t2m
    return field.uxgrid.n_face, field.dims


READERS: dict[str, tuple[str, Callable[[xr.Dataset], object], object]] = {
    "nside": ("easygems.healpix", _nside, (2**LEVEL, 2**LEVEL)),
    "nested": ("easygems.healpix", _nested, True),
    "coordinates": ("easygems.healpix", _coordinates, True),
    "grid mapping": ("cf_xarray", _grid_mapping, "healpix"),
    "standard names": ("cf_xarray", _standard_names, ("t2m", "cell")),
    "cf": ("xdggs", _as_cf, (LEVEL, "nested")),
    "zarr dggs": ("xdggs", _as_zarr_dggs, (LEVEL, "nested")),
    "faces": ("uxarray", _faces, (CELLS, ("time", "n_face"))),
}

# By what they say they read: CF without the older words, groups of zarr that have the attribute.
REFUSED = {
    "cf": dict.fromkeys(("legacy zarr", "legacy netcdf"), "healpix_nside"),
    "zarr dggs": dict.fromkeys(set(WAYS) - {"zarr", "legacy zarr", "base"}, "not declared"),
}


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def output(
    way: str, base_store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[xr.Dataset]:
    with WAYS[way](base_store, tmp_path_factory.mktemp("out")) as dataset:
        yield dataset.load()


@pytest.mark.filterwarnings("ignore")  # of theirs
@pytest.mark.parametrize("reader", READERS)
def test_it_is_read(way: str, output: xr.Dataset, reader: str) -> None:
    module, read, expected = READERS[reader]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(module, reason=f"{module} is not installed")
    dataset = output.copy(deep=True)  # xdggs takes attributes away
    if refusal := REFUSED.get(reader, {}).get(way):
        with pytest.raises(Exception, match=refusal):
            read(dataset)
    else:
        assert read(dataset) == expected
