"""Synthetic sources whose fields are not rows of latitude by columns of longitude."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import healpy
import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.grids import GaussianGrid, HealpixGrid
from tests.synthetic import EAST, HOURS, NORTH

Doubles = npt.NDArray[np.float64]

TEMPERATURE = {"standard_name": "air_temperature", "units": "K"}


def spiral(count: int) -> tuple[Doubles, Doubles]:
    """Latitudes and longitudes of evenly scattered points, degrees."""
    number = np.arange(count)
    latitude = np.rad2deg(np.arcsin(1 - (2 * number + 1) / count))
    return latitude, number * 360 * (np.sqrt(5) - 1) / 2 % 360


def tilted(rows: int = 30, columns: int = 60) -> tuple[Doubles, Doubles]:
    """Latitudes and longitudes of a grid of rows and columns whose poles are elsewhere."""
    latitude = np.linspace(87, -87, rows)[:, None] + np.zeros(columns)
    longitude = np.zeros((rows, 1)) + np.arange(columns) * 360 / columns
    vectors = healpy.ang2vec(longitude.ravel(), latitude.ravel(), lonlat=True)
    turned = healpy.Rotator(rot=(20, 35, 0))(vectors.T)
    east, north = healpy.vec2ang(turned.T, lonlat=True)
    return north.reshape(rows, columns), east.reshape(rows, columns)


def travelling(latitude: Doubles, longitude: Doubles, count: int = 2) -> npt.NDArray[np.float32]:
    """Temperatures ``(count, *shape)`` in K: smooth waves that travel."""
    north, east = np.deg2rad(latitude), np.deg2rad(longitude)
    fields = [
        280 + 20 * np.cos(2 * north) + 8 * np.cos(north) ** 2 * np.sin(3 * east + 0.4 * step)
        for step in range(count)
    ]
    return np.asarray(fields, np.float32)


def _dataset(dims: tuple[str, ...], coordinates: dict[str, Any], values: Any) -> xr.Dataset:
    field = (("time", *dims), values, {**TEMPERATURE, "coordinates": "clat clon"})
    return xr.Dataset(
        {"tas": field, **coordinates},
        coords={"time": ("time", 6 * np.arange(len(values)), HOURS)},
        attrs={"Conventions": "CF-1.8"},
    )


def icon(count: int = 1500) -> xr.Dataset:
    """A list of points, coordinates in radians, with their bounds."""
    latitude, longitude = spiral(count)
    about = {"units": "radian", "bounds": "clat_vertices"}
    corners = ("cells", "nv"), np.zeros((count, 3))
    coordinates = {
        "clat": ("cells", np.deg2rad(latitude), {**about, "standard_name": "latitude"}),
        "clon": ("cells", np.deg2rad(longitude), {"units": "radian", "standard_name": "longitude"}),
        "clat_vertices": corners,
    }
    return _dataset(("cells",), coordinates, travelling(latitude, longitude))


def ocean() -> xr.Dataset:
    """Rows and columns under their own poles, a third of them land."""
    latitude, longitude = tilted()
    values = travelling(latitude, longitude)
    values[:, (np.sin(np.deg2rad(2 * longitude)) > 0.5) & (np.abs(latitude) < 60)] = np.nan
    coordinates = {
        "clat": (("y", "x"), latitude.astype("f4"), NORTH),
        "clon": (("y", "x"), longitude.astype("f4"), EAST),
    }
    return _dataset(("y", "x"), coordinates, values)


def octahedral(number: int = 16) -> xr.Dataset:
    """An octahedral reduced Gaussian grid as a list of points."""
    latitude, longitude = GaussianGrid.octahedral(number).points
    coordinates = {
        "clat": ("values", latitude.astype("f4"), NORTH),
        "clon": ("values", longitude.astype("f4"), EAST),
    }
    return _dataset(("values",), coordinates, travelling(latitude, longitude))


def cells(level: int = 4, order: str = "nested") -> xr.Dataset:
    """HEALPix cells, described as CF-1.13 has them."""
    grid = HealpixGrid(level, order)
    mapping = {"grid_mapping_name": "healpix", "refinement_level": level, "indexing_scheme": order}
    made = _dataset(("cell",), {"crs": ((), np.int8(0), mapping)}, travelling(*grid.points))
    made["tas"].attrs = {**TEMPERATURE, "grid_mapping": "crs"}
    return made


SOURCES: dict[str, Callable[[], xr.Dataset]] = {
    "icon": icon,
    "ocean": ocean,
    "octahedral": octahedral,
    "nested": cells,
    "ring": lambda: cells(order="ring"),
}
