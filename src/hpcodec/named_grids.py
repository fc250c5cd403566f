"""Grids by name, for results: ``0.25``, ``n320``, ``o320``, ``healpix:8``.

name --named_grid--> Grid --coordinates_of--> variables that say where its points are
"""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from hpcodec.errors import UsageError
from hpcodec.gaussian_grid import GaussianGrid, gaussian_latitudes
from hpcodec.grids import Grid, LatLonGrid
from hpcodec.healpix_grid import HealpixGrid

__all__ = ["coordinates_of", "named_grid"]

_FORMS = "0.25 (degrees), n320 (full Gaussian), o320 (octahedral) or healpix:8"


def named_grid(name: str) -> Grid:
    """Grid of a name.

    Degrees mean a regular grid with both poles, from longitude 0; ``n320``, as CDO has it, the
    full Gaussian grid with 320 rings to a hemisphere, ``o320`` the octahedral reduced one.

    Raises
    ------
    UsageError
        If there is none of that name.

    Examples
    --------
    >>> named_grid("0.25").shape
    (721, 1440)
    >>> named_grid("n320").shape
    (640, 1280)
    >>> named_grid("o320").shape
    (421120,)
    """
    if found := re.fullmatch(r"([no])([1-9]\d{0,3})", name):
        number = int(found[2])
        if found[1] == "o" and 4 <= number <= 2560:
            return GaussianGrid.octahedral(number)
        if found[1] == "n" and 4 <= number <= 1280:
            turns = np.arange(4 * number) * 90 / number
            return LatLonGrid.from_coordinates(gaussian_latitudes(number), turns)
    if found := re.fullmatch(r"healpix:(\d{1,2})", name):
        if int(found[1]) <= 10:
            return HealpixGrid(int(found[1]))
    elif re.fullmatch(r"\d{1,2}(\.\d{1,4})?", name) and 0.05 <= float(name) <= 30:
        rows = round(180 / float(name))
        if abs(rows * float(name) - 180) < 1e-9:
            step = 180 / rows
            return LatLonGrid.regular((90.0, -step, rows + 1), (0.0, step, 2 * rows))
    raise UsageError(f"expected a grid such as {_FORMS}; got '{name}'. Choose one of these.")


def coordinates_of(grid: Grid) -> tuple[tuple[str, ...], dict[str, xr.Variable]]:
    """Dimensions of fields on a grid that is not HEALPix, and its coordinates by name."""
    about = {
        axis: {"standard_name": f"{axis}itude", "units": f"degrees_{towards}"}
        for axis, towards in (("lat", "north"), ("long", "east"))
    }
    if isinstance(grid, LatLonGrid):
        axes = {"lat": (grid.latitude, about["lat"]), "lon": (grid.longitude, about["long"])}
        letters = {"lat": "Y", "lon": "X"}
        return ("lat", "lon"), {
            name: xr.Variable((name,), np.array(values), {**attributes, "axis": letters[name]})
            for name, (values, attributes) in axes.items()
        }
    latitude, longitude = grid.points
    pair = {"lat": (latitude, about["lat"]), "lon": (longitude, about["long"])}
    return ("values",), {
        name: xr.Variable(("values",), values, attributes)
        for name, (values, attributes) in pair.items()
    }
