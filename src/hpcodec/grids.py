"""Every kind of grid.

JSON object --Grid.from_dict--> LatLonGrid, GaussianGrid, HealpixGrid or PointGrid
coordinates of points --grid_of_points--> GaussianGrid or PointGrid
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcodec.any_grid import Grid
from hpcodec.gaussian_grid import GaussianGrid
from hpcodec.grid import LatLonGrid
from hpcodec.healpix_grid import HealpixGrid
from hpcodec.point_grid import PointGrid

__all__ = ["GaussianGrid", "Grid", "HealpixGrid", "LatLonGrid", "PointGrid", "grid_of_points"]


def grid_of_points(latitude: npt.ArrayLike, longitude: npt.ArrayLike) -> Grid:
    """Grid of the coordinates of each point in degrees, of one shape with one or two axes.

    Raises
    ------
    GridError
        If they are not all around the globe.
    """
    lat, lon = np.asarray(latitude, np.float64), np.asarray(longitude, np.float64)
    if lat.ndim == 1 and lat.shape == lon.shape:
        known = GaussianGrid.recognise(lat, lon)
        if known is not None:
            return known
    return PointGrid.from_coordinates(lat, lon)
