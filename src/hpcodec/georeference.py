"""Which grid a variable lies on, by the coordinates and attributes beside it.

raw dataset, variable --locate--> Grid and its dimensions

Two one-dimensional axes make a latitude-longitude grid; coordinates that share their dimensions, or
have two, say where each point is; HEALPix cells are known by a grid mapping or ``dggs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.conventions import degrees, horizontal_axis
from hpcodec.errors import GridError, HpcodecError
from hpcodec.grid import level_of
from hpcodec.grids import Grid, HealpixGrid, LatLonGrid, grid_of_points

__all__ = ["locate"]

_AXES = ("latitude", "longitude")


def locate(ds: xr.Dataset, name: str, variable: xr.Variable) -> tuple[Grid, tuple[str, ...]]:
    """Grid of a variable, and its horizontal dimensions in the grid's order.

    Parameters
    ----------
    ds : xr.Dataset
        Raw (undecoded), with its coordinates.
    name : str
        Of the variable, which need not be in the dataset.
    variable : xr.Variable
        Its dimensions and attributes.

    Raises
    ------
    GridError
        With the reason, if it does not lie on a global grid.
    """
    if found := _cells(ds, variable):
        return found
    latitudes, longitudes = (_coordinates(ds, name, variable, kind) for kind in _AXES)
    for dims in latitudes.keys() & longitudes.keys():
        order = tuple(dim for dim in map(str, variable.dims) if dim in dims)
        pair = (_degrees(ds, axis[dims], order) for axis in (latitudes, longitudes))
        return _point_grid(*pair), order
    (north, north_name), (east, east_name) = (
        _axis(variable, kind, found)
        for kind, found in zip(_AXES, (latitudes, longitudes), strict=True)
    )
    grid = LatLonGrid.from_coordinates(
        _degrees(ds, north_name, (north,)), _degrees(ds, east_name, (east,))
    )
    return grid, (north, east)


def _cells(ds: xr.Dataset, variable: xr.Variable) -> tuple[Grid, tuple[str, ...]] | None:
    """HEALPix cells, where attributes say so and a dimension has as many."""
    told = _told_cells(ds, variable.attrs)
    if told is None:
        return None
    order, dimension, level = told
    sizes = {str(dim): size for dim, size in variable.sizes.items()}
    for dim in [dimension] if dimension in sizes else reversed(sizes):
        try:
            found = level_of(sizes[dim])
        except GridError:
            continue
        if level is not None and found != level:
            raise GridError(f"it has {sizes[dim]} of the cells of HEALPix level {level}")
        index = ds.variables.get(dim)
        if index is not None and not np.array_equal(index.to_numpy(), np.arange(sizes[dim])):
            raise GridError(f"its HEALPix cells '{dim}' are not all cells in their order")
        try:
            return HealpixGrid(found, order), (dim,)
        except ValueError as error:
            raise GridError(f"its HEALPix {error} is none that hpcodec takes") from error
    raise GridError("it says that it lies on HEALPix cells, and has not 12 * 4**level of them")


def _told_cells(
    dataset: xr.Dataset, attributes: Mapping[str, Any]
) -> tuple[str, str, int | None] | None:
    """Order of a variable's HEALPix cells, their dimension and their level; None if it has none.

    Told by its CF grid mapping (or one of the dataset named ``crs``), or by the convention
    ``dggs``; the dimension is empty, or the level None, where they do not say.
    """
    named = str(attributes.get("grid_mapping", "")).split(":")[0].strip() or "crs"
    mapping = dataset.variables[named].attrs if named in dataset.variables else {}
    dggs = dataset.attrs.get("dggs")
    told: Mapping[str, Any] = mapping
    dimension = ""
    if "healpix" in _text(mapping, "grid_mapping_name") or "healpix_nside" in mapping:
        level = mapping.get("refinement_level")
        nside = mapping.get("healpix_nside")
        if level is None and nside is not None:
            level = int(nside).bit_length() - 1
    elif isinstance(dggs, Mapping) and _text(dggs, "name") == "healpix":
        told, dimension = dggs, str(dggs.get("spatial_dimension", ""))
        level = dggs.get("refinement_level")
    else:
        return None
    order = _text(told, "indexing_scheme") or _text(told, "healpix_order") or "nested"
    known = {"nest": "nested", "nested": "nested", "ring": "ring", "ringed": "ring"}
    if order not in known:
        raise GridError(f"its HEALPix cells are in the order '{order}', not nested or ring")
    return known[order], dimension, None if level is None else int(level)


def _text(attributes: Mapping[str, Any], key: str) -> str:
    return str(attributes.get(key, "")).strip().lower()


def _coordinates(
    ds: xr.Dataset, name: str, variable: xr.Variable, kind: str
) -> dict[frozenset[str], str]:
    """Coordinates of one kind, by the dimensions that they share with the variable."""
    listed = str(variable.attrs.get("coordinates", "")).split()
    found: dict[frozenset[str], str] = {}
    ranks: dict[frozenset[str], int] = {}
    for other, coordinate in ds.variables.items():
        dims = frozenset(map(str, coordinate.dims))
        if not dims or not dims <= set(map(str, variable.dims)) or other == name:
            continue
        if coordinate.dtype.kind not in "fiu" or coordinate.ndim > 2:
            continue
        if horizontal_axis(str(other), coordinate.attrs) != kind:
            continue
        # What the variable names goes first, then a dimension's own coordinate: others along it
        # may be of a staggered grid.
        rank = 2 * (str(other) in listed) + (other in ds.dims)
        if dims not in found or rank >= ranks[dims]:
            found[dims], ranks[dims] = str(other), rank
    return found


def _axis(variable: xr.Variable, kind: str, found: Mapping[frozenset[str], str]) -> tuple[str, str]:
    """Dimension along latitude or longitude, and the name of its coordinate."""
    flat = {next(iter(dims)): name for dims, name in found.items() if len(dims) == 1}
    if len(flat) == 1:
        return next(iter(flat.items()))
    if flat:
        raise GridError(f"it has several axes of {kind}: {', '.join(sorted(flat))}")
    if found:
        (name, *_) = found.values()
        raise GridError(f"its {kind} '{name}' has dimensions that the other coordinate has not")
    dims = ", ".join(map(str, variable.dims)) or "it has none"
    raise GridError(f"none of its dimensions ({dims}) is a {kind}")


def _degrees(ds: xr.Dataset, name: str, dims: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Values of a coordinate along dimensions in this order."""
    variable = ds.variables[name].transpose(*dims)
    try:
        return degrees(variable.to_numpy(), variable.attrs)
    except HpcodecError:
        raise
    except Exception as error:  # every file system behind fsspec raises its own kinds
        said = type(error).__name__
        raise GridError(f"its coordinate '{name}' cannot be read ({said})") from error


def _point_grid(latitude: npt.NDArray[np.float64], longitude: npt.NDArray[np.float64]) -> Grid:
    return _point_grid_of(latitude.tobytes(), longitude.tobytes(), latitude.shape)


@lru_cache(maxsize=4)  # of the many variables of a dataset, most share their coordinates
def _point_grid_of(latitude: bytes, longitude: bytes, shape: tuple[int, ...]) -> Grid:
    pair = (np.frombuffer(raw, np.float64).reshape(shape) for raw in (latitude, longitude))
    return grid_of_points(*pair)
