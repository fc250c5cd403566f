"""Points anywhere on the sphere: unstructured grids, and curvilinear ones of rows and columns.

latitudes, longitudes --PointGrid.from_coordinates--> PointGrid, which holds them as text

The codec's configuration has to name the points, or nothing could be decoded without the store
around it. They are rounded to a 256th of their spacing, before encoding, too: so that costs nothing
on the source grid.
"""

from __future__ import annotations

import base64
import math
import reprlib
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import healpy
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from hpcodec.any_grid import MOST_POINTS, Grid, level_for, row_order
from hpcodec.errors import FormatError, GridError
from hpcodec.triangles import Triangles

__all__ = ["PointGrid"]

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_LEAST, _MOST_TEXT = 48, 2**27
_LEAST_BITS, _MOST_BITS = 8, 30
_FINER = 8  # bits of a coordinate beyond the spacing of points

# An ocean model may do without the points of a continent, never without those of a hemisphere.
_WIDEST_GAP = 35.0

_MOST_JOINED = 2**21  # points that are joined to triangles; beyond, that takes minutes
_MOST_UNEVEN = 16  # an area is at most so many times the median: at a coast triangles span land


@dataclass(frozen=True)
class PointGrid(Grid, key="points"):
    """Points anywhere on the sphere, all around it.

    Parameters
    ----------
    size : tuple of int
        Number of points, or rows and columns.
    bits : int
        Coordinates are whole numbers of ``360 / 2**bits`` degrees.
    code : str
        They, as :func:`_encoded` has them.

    Raises
    ------
    GridError
        If there are too few or too many points, or they leave a part of the globe empty.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> latitude = np.rad2deg(np.arcsin(rng.uniform(-1, 1, 500)))
    >>> PointGrid.from_coordinates(latitude, rng.uniform(0, 360, 500)).natural_level
    3
    """

    size: tuple[int, ...]
    bits: int
    code: str

    @classmethod
    def from_coordinates(cls, latitude: npt.ArrayLike, longitude: npt.ArrayLike) -> PointGrid:
        """Grid of the coordinates of each point in degrees, of one shape with one or two axes.

        A point without coordinates, as models leave them where they have no ocean, is taken to lie
        where the one before it does.
        """
        lat, lon = (np.asarray(values, np.float64) for values in (latitude, longitude))
        if lat.shape != lon.shape or lat.ndim not in (1, 2):
            raise GridError(
                f"expected latitudes and longitudes of one shape with one or two axes; got "
                f"{lat.shape} and {lon.shape}."
            )
        if not _LEAST <= lat.size <= MOST_POINTS:
            raise GridError(
                f"expected a grid of {_LEAST} to {MOST_POINTS:,} points; got {lat.size:,}."
            )
        there = np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) <= 90.001)
        if not there.any():
            raise GridError("expected latitudes within -90 to 90; got none.")
        known = np.maximum.accumulate(np.where(there.ravel(), np.arange(lat.size), -1))
        known[known < 0] = np.flatnonzero(there.ravel())[0]
        bits = math.ceil(math.log2(360 / math.sqrt(41_253 / lat.size))) + _FINER
        units = 2**bits
        south = np.rint(lat.ravel()[known].clip(-90, 90) * (units / 360)).astype(np.int64)
        east = np.rint(lon.ravel()[known] % 360 * (units / 360)).astype(np.int64) % units
        grid = cls(lat.shape, bits, _encoded([south.reshape(lat.shape), east.reshape(lat.shape)]))
        grid._check_gap()
        return grid

    def _check_gap(self) -> None:
        centres = np.stack(healpy.pix2vec(8, np.arange(768)), -1)
        far = float(cKDTree(self._vectors).query(centres)[0].max())
        gap = math.degrees(2 * math.asin(min(1.0, far / 2)))
        if gap > _WIDEST_GAP:
            raise GridError(
                f"expected points all around the globe; got none within {gap:.0f} degrees of some "
                "place. Give the whole globe: hpcodec does not compress regions."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points, or rows and columns."""
        return self.size

    @cached_property
    def _units(self) -> tuple[Places, Places]:
        """Latitude and longitude as whole numbers, flat."""
        south, east = _decoded(self.code, self.size, self.bits)
        quarter = 2 ** (self.bits - 2)
        if np.abs(south).max() > quarter:
            raise _damaged("latitudes beyond the poles")
        # At a pole all longitudes are one.
        return south.ravel(), np.where(np.abs(south) == quarter, 0, east % (4 * quarter)).ravel()

    @property
    def points(self) -> tuple[Doubles, Doubles]:
        """Latitude and longitude of each point in degrees, rounded."""
        south, east = (units * (360 / 2**self.bits) for units in self._units)
        return south, east

    @property
    def _vectors(self) -> Doubles:
        latitude, longitude = self.points
        return np.asarray(healpy.ang2vec(longitude, latitude, lonlat=True))

    @cached_property
    def _distinct(self) -> tuple[Places, Places, Places]:
        """The first of each place where points are; for each point its place; points there."""
        south, east = self._units
        _, first, place, count = np.unique(
            (south << self.bits) + east, return_index=True, return_inverse=True, return_counts=True
        )
        return first, place, count

    @cached_property
    def _triangles(self) -> Triangles | None:
        first, _, _ = self._distinct
        return Triangles.of(self._vectors[first]) if len(first) <= _MOST_JOINED else None

    def interpolation(self, targets: Doubles) -> tuple[Places, Doubles]:
        """Points around each target ``(n, 3)`` of length 1, and their weights: ``(n, k)``."""
        first, _, _ = self._distinct
        if self._triangles is None:
            distance, index = cKDTree(self._vectors[first]).query(targets, k=4)
            weights = 1 / np.maximum(distance, 1e-9)
            return first[index], weights / weights.sum(1, keepdims=True)
        corners, weights = self._triangles.interpolation(targets)
        return first[corners], weights

    @cached_property
    def _areas(self) -> Doubles:
        _, place, count = self._distinct
        if self._triangles is None:
            areas = np.ones(count.size)
        else:
            areas = self._triangles.areas
            areas = np.minimum(areas, _MOST_UNEVEN * np.median(areas))
        weights = (areas / count)[place]
        return np.asarray(weights / weights.mean()).reshape(self.size)

    @property
    def area_weights(self) -> Doubles:
        """Area of each point, by the triangles around it; mean 1."""
        return self._areas

    @property
    def natural_level(self) -> int:
        """HEALPix level with at least three quarters as many cells as there are points."""
        return level_for(math.prod(self.size))

    @property
    def sheet_order(self) -> Places | None:
        """Of a list of points, rows of equally many; of rows and columns, themselves."""
        if len(self.size) == 2:
            return None
        south, east = self._units
        return row_order(-south, east)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"points": self.code, "shape": list(self.size), "bits": self.bits}

    @staticmethod
    def schema() -> dict[str, Any]:
        """JSON schema of :meth:`to_dict`."""
        size = {"type": "integer", "minimum": 1, "maximum": MOST_POINTS}
        bits = {"type": "integer", "minimum": _LEAST_BITS, "maximum": _MOST_BITS}
        return {
            "type": "object",
            "properties": {
                "points": {"type": "string", "maxLength": _MOST_TEXT},
                "shape": {"type": "array", "items": size, "minItems": 1, "maxItems": 2},
                "bits": bits,
            },
            "required": ["points", "shape", "bits"],
            "additionalProperties": False,
        }

    @classmethod
    def from_dict(cls, data: Any) -> PointGrid:  # noqa: ANN401  (anything may stand in a store)
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If ``data`` is not of that form.
        """
        if set(data) != {"points", "shape", "bits"}:
            raise _damaged(f"keys {sorted(map(str, data))}")
        code, shape, bits = data["points"], data["shape"], data["bits"]
        if not isinstance(code, str) or len(code) > _MOST_TEXT:
            raise _damaged("points that are no text")
        whole = isinstance(shape, list | tuple) and all(type(size) is int for size in shape)
        if not whole or not 1 <= len(shape) <= 2 or min(shape) < 1:
            raise _damaged(f"shape {reprlib.repr(shape)}")
        if not _LEAST <= math.prod(shape) <= MOST_POINTS:
            raise _damaged(f"shape {reprlib.repr(shape)}")
        if type(bits) is not int or not _LEAST_BITS <= bits <= _MOST_BITS:
            raise _damaged(f"{reprlib.repr(bits)} bits")
        return _checked(tuple(shape), bits, code)


@lru_cache(maxsize=4)  # the variables of a store share their grids, and what is made of them
def _checked(shape: tuple[int, ...], bits: int, code: str) -> PointGrid:
    """The grid, its points read: so that what is damaged is refused now."""
    grid = PointGrid(shape, bits, code)
    assert grid._units
    return grid


def _encoded(coordinates: list[Places]) -> str:
    """Whole numbers of one shape as text: differences along each axis, byte by byte, deflated.

    A difference d is 2 d, or -2 d - 1 below 0, as uint32: first the low bytes of all latitudes and
    all longitudes, then the next, and so on; zlib; base 85.
    """
    parts = []
    for values in coordinates:
        for axis in range(values.ndim):
            values = np.diff(values, axis=axis, prepend=0)
        parts.append(np.where(values < 0, -2 * values - 1, 2 * values).astype("<u4").ravel())
    planes = np.concatenate(parts).view(np.uint8).reshape(-1, 4).T.tobytes()
    return base64.b85encode(zlib.compress(planes, 9)).decode()


def _decoded(code: str, shape: tuple[int, ...], bits: int) -> tuple[Places, Places]:
    """Inverse of :func:`_encoded`; longitudes are whole turns more or less."""
    size = 2 * math.prod(shape)
    try:
        planes = zlib.decompressobj().decompress(base64.b85decode(code), 4 * size + 1)
    except (ValueError, zlib.error) as error:
        raise _damaged("points that do not decompress") from error
    if len(planes) != 4 * size:
        raise _damaged(f"{len(planes)} bytes for {size} coordinates")
    told = np.frombuffer(planes, np.uint8).reshape(4, size).T.copy().view("<u4").ravel()
    signed = told.astype(np.int64)
    signed = np.where(signed % 2, -(signed + 1) // 2, signed // 2)
    south, east = signed.reshape(2, *shape)
    for axis in range(len(shape)):
        south, east = np.cumsum(south, axis=axis), np.cumsum(east, axis=axis)
    return south, east


def _damaged(got: str) -> FormatError:
    return FormatError(
        f"expected a grid as {{points, shape, bits}}; got {got}. The store is damaged."
    )
