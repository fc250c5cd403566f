"""The globe on a flat picture, every area in its true proportion: the Equal Earth projection.

latitude, longitude --project--> x, y;   pixels --points--> latitude, longitude
field on its grid   --sampled--> pixels of a picture

Šavrič, Patterson and Jenny 2018, doi:10.1080/13658816.2018.1504949.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hpcodec.grid import LatLonGrid

__all__ = ["HEIGHT", "points", "project", "sampled"]

Doubles: TypeAlias = npt.NDArray[np.float64]

_A = (1.340264, -0.081106, 0.000893, 0.003796)
_HALF = 2 * np.sqrt(3) * np.pi / (3 * _A[0])  # of the equator


def project(latitude: npt.ArrayLike, longitude: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    """Places in a picture as wide as 1 and as high as :data:`HEIGHT`, from its upper left corner.

    Parameters
    ----------
    latitude, longitude : array_like
        Degrees; longitudes from -180 to 180.

    Examples
    --------
    >>> x, y = project([0, 90], [-180, 0])
    >>> x.round(3).tolist(), (y / HEIGHT).round(3).tolist()
    ([0.0, 0.5], [0.5, 0.0])
    """
    north, east = np.deg2rad(latitude), np.deg2rad(longitude)
    angle = np.arcsin(np.sqrt(3) / 2 * np.sin(north))
    across = 2 * np.sqrt(3) * east * np.cos(angle) / (3 * _slope(angle))
    return 0.5 + across / (2 * _HALF), HEIGHT / 2 - _up(angle) / (2 * _HALF)


def points(width: int, height: int) -> tuple[Doubles, Doubles]:
    """Degrees north and east of the middles of pixels, ``(height, width)``; NaN off the globe."""
    angles = np.linspace(-np.pi / 3, np.pi / 3, 4097)
    up = (0.5 - (np.arange(height) + 0.5) / height) * HEIGHT * 2 * _HALF
    angle = np.interp(up, _up(angles), angles)[:, None]
    across = ((np.arange(width) + 0.5) / width - 0.5) * 2 * _HALF
    east = np.rad2deg(across * 3 * _slope(angle) / (2 * np.sqrt(3) * np.cos(angle)))
    east = np.where(np.abs(east) <= 180, east, np.nan)
    north = np.rad2deg(np.arcsin((2 / np.sqrt(3) * np.sin(angle)).clip(-1, 1)))
    return np.where(np.isnan(east), np.nan, north), east


def sampled(field: Doubles, grid: LatLonGrid, width: int) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """Values of the points nearest to pixels, and which pixels are on the globe.

    Parameters
    ----------
    field : ndarray
        ``(rows, columns)``.
    grid : LatLonGrid
        Of the field.
    width : int
        Of the picture; it is ``HEIGHT`` times as high.
    """
    north, east = points(width, round(HEIGHT * width))
    there = np.isfinite(east)
    latitude, first = np.asarray(grid.latitude), grid.longitude[0]
    order = np.argsort(latitude)
    rows = order[np.searchsorted(np.convolve(latitude[order], (0.5, 0.5), "valid"), north[there])]
    spacing = grid.longitude[1] - first
    columns = np.rint((east[there] - first) / spacing).astype(int) % len(grid.longitude)
    values = np.full(there.shape, np.nan)
    values[there] = field[rows, columns]
    return values, there


def _up(angle: Doubles) -> Doubles:
    square = angle**2
    return np.asarray(
        angle * (_A[0] + _A[1] * square + square**3 * (_A[2] + _A[3] * square)), np.float64
    )


def _slope(angle: Doubles) -> Doubles:
    square = angle**2
    return np.asarray(
        _A[0] + 3 * _A[1] * square + square**3 * (7 * _A[2] + 9 * _A[3] * square), np.float64
    )


HEIGHT = float(_up(np.asarray(np.pi / 3))) / _HALF
"""Of a picture of the globe that is as wide as 1."""
