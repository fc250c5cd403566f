"""Synthetic sources: coarse planetary waves with noise, as datasets with CF attributes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.coding import coding_for
from hpcodec.fields import Coding
from hpcodec.stages.dataset import find_fields

Floats = npt.NDArray[np.float32]

MODEL = "any-l9"
"""The general model; tests hold it to bounds with room, never to exact bytes."""

NORTH = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
EAST = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
HOURS = {
    "standard_name": "time",
    "units": "hours since 2020-01-01 00:00:00",
    "calendar": "standard",
}


def waves(count: int, degrees: float = 5.0, seed: int = 0) -> Floats:
    """Temperatures (count, rows, columns) with poles, in K: waves that travel, and noise."""
    random = np.random.default_rng(seed)
    latitude = np.deg2rad(np.linspace(90, -90, round(180 / degrees) + 1))[:, None]
    longitude = np.deg2rad(np.arange(0, 360, degrees))
    fields = [
        280
        + 20 * np.cos(2 * latitude)
        + 8 * np.cos(latitude) ** 2 * np.sin(3 * longitude + 0.4 * step)
        + 0.5 * random.standard_normal((latitude.size, longitude.size))
        for step in range(count)
    ]
    return np.asarray(fields, np.float32)


def axes(degrees: float = 5.0) -> dict[str, Any]:
    """Coordinates of the grid of :func:`waves`."""
    return {
        "lat": ("lat", np.linspace(90, -90, round(180 / degrees) + 1), NORTH),
        "lon": ("lon", np.arange(0, 360, degrees), EAST),
    }


def series(times: int = 8, degrees: float = 5.0) -> xr.Dataset:
    """Raw dataset of one variable every six hours."""
    attributes = {
        "standard_name": "air_temperature",
        "long_name": "2 metre temperature",
        "units": "K",
        "cell_methods": "time: point",
    }
    return xr.Dataset(
        {"t2m": (("time", "lat", "lon"), waves(times, degrees), attributes)},
        coords={**axes(degrees), "time": ("time", 6 * np.arange(times), HOURS)},
        attrs={"Conventions": "CF-1.8", "title": "waves", "version_number": 3},
    )


def rich() -> xr.Dataset:
    """Raw dataset with pressure levels, members, bounds, a series that is no field, a scalar."""
    pressure = {"standard_name": "air_pressure", "units": "hPa", "positive": "down", "axis": "Z"}
    temperature = {"standard_name": "air_temperature", "units": "K"}
    msl = {"standard_name": "air_pressure_at_mean_sea_level", "units": "Pa", "comment": "sea"}
    hours = 6 * np.arange(3.0)
    first = waves(6, seed=1).reshape(3, 2, 37, 72)
    second = 100000 + 100 * (waves(6, seed=2).reshape(2, 3, 37, 72) - 280)
    return xr.Dataset(
        {
            "ta": (("time", "plev", "lat", "lon"), first, temperature),
            "msl": (("member", "time", "lat", "lon"), second.astype("f4"), msl),
            "co2": (("time",), np.array([410.0, 410.5, 411.0]), {"units": "1e-6"}),
            "time_bnds": (("time", "bnds"), np.stack([hours, hours + 6], -1)),
            "crs": ((), np.int32(0), {"grid_mapping_name": "latitude_longitude"}),
        },
        coords={
            **axes(),
            "time": ("time", hours, {**HOURS, "bounds": "time_bnds"}),
            "plev": ("plev", np.array([850.0, 500.0]), pressure),
            "member": ("member", np.array([0, 1]), {"standard_name": "realization"}),
        },
        attrs={"Conventions": "CF-1.8", "institution": "none", "weights": [1.5, 2.5]},
    )


def coding_in(dataset: xr.Dataset, size: int, name: str = "t2m") -> Coding:
    """Coding of a variable in ``size`` bytes a field, by the network of the general model."""
    (spec,) = find_fields(dataset, [name])
    return replace(coding_for(spec, size, model=MODEL), detail=0)


def bytes_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def raw(path: str | Path) -> xr.Dataset:
    """Dataset at a path as it is stored, in memory."""
    kind = "zarr" if str(path).endswith(".zarr") else "netcdf4"
    options: dict[str, Any] = {"consolidated": False} if kind == "zarr" else {}
    with xr.open_dataset(path, engine=kind, decode_cf=False, **options) as dataset:
        return dataset.load()
