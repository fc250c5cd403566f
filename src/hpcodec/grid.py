"""Where values lie: HEALPix levels and latitude-longitude grids.

cell_count   12 * 4**level
LatLonGrid   every latitude with every longitude; other kinds: :mod:`hpcodec.grids`
"""

from __future__ import annotations

import hashlib
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.any_grid import MOST_POINTS, Grid, level_for
from hpcodec.errors import FormatError, GridError
from hpcodec.rings import Rings

__all__ = ["BASE_LEVEL", "FINEST_LEVEL", "LatLonGrid", "cell_count", "level_of"]

BASE_LEVEL = 3
"""Level of the base field: 768 cells, as in the paper (Meuer et al. 2026, section 3)."""

FINEST_LEVEL = 9
"""Finest level that models code: 3,145,728 cells of about 0.11 degrees."""

# Degrees by which a coordinate may stray from its even spacing: float32 storage strays by 3e-5.
_TOLERANCE = 1e-3


def cell_count(level: int) -> int:
    """Cells of a HEALPix grid of ``level``: ``12 * 4**level``.

    Examples
    --------
    >>> cell_count(8)
    786432
    """
    return int(12 * 4**level)


def level_of(cells: int) -> int:
    """Level of a whole HEALPix sphere of ``cells`` cells.

    Raises
    ------
    GridError
        If no level has that many cells.

    Examples
    --------
    >>> level_of(768)
    3
    """
    level = max(0, (cells // 12).bit_length() // 2)
    if cell_count(level) != cells:
        raise GridError(
            f"a HEALPix sphere has 12 * 4**level cells (level {level}: {cell_count(level)}); "
            f"got {cells}. Give the whole sphere."
        )
    return level


@dataclass(frozen=True)
class LatLonGrid(Grid, key="latitude"):
    """A global rectilinear grid: every latitude with every longitude.

    Parameters
    ----------
    latitude : tuple of float
        Degrees north, strictly monotonic, in the order of the source's rows.
    longitude : tuple of float
        Degrees east, evenly spaced over the full circle, in the order of the source's columns,
        from any origin, in either direction.

    Raises
    ------
    GridError
        If the latitudes are not monotonic or do not reach both poles (within one spacing), or
        the longitudes are not even or do not close the circle.

    Examples
    --------
    >>> grid = LatLonGrid.regular((90.0, -0.25, 721), (0.0, 0.25, 1440))
    >>> grid.shape
    (721, 1440)
    >>> LatLonGrid.from_dict(grid.to_dict()) == grid
    True
    """

    latitude: tuple[float, ...]
    longitude: tuple[float, ...]

    def __post_init__(self) -> None:
        lat, lon = np.asarray(self.latitude), np.asarray(self.longitude)
        if lat.ndim != 1 or lon.ndim != 1 or lat.size < 4 or lon.size < 4:
            raise GridError(
                f"expected 1-D latitudes and longitudes of at least 4 values; got shapes "
                f"{lat.shape} and {lon.shape}. Give a regular global grid."
            )
        if lat.size * lon.size > MOST_POINTS:
            raise GridError(
                f"expected a grid of at most {MOST_POINTS:,} points; got {lat.size:,} x "
                f"{lon.size:,}. Give a coarser one."
            )
        if not (np.isfinite(lat).all() and np.isfinite(lon).all()):
            raise GridError("expected finite coordinates; got NaN or inf. Repair the coordinates.")
        spacing = np.diff(lat)
        if not (np.all(spacing > 0) or np.all(spacing < 0)) or np.abs(lat).max() > 90 + _TOLERANCE:
            raise GridError(
                "expected monotonic latitudes within -90 to 90; got others. "
                "Sort the field by latitude."
            )
        reach = 1.01 * float(np.abs(spacing).max())
        if lat.min() > -90 + reach or lat.max() < 90 - reach:
            raise GridError(
                f"expected a global grid; got latitudes from {lat.min():g} to {lat.max():g}. "
                "Give the whole globe: hpcodec does not compress regions."
            )
        step = (lon[-1] - lon[0]) / (lon.size - 1)
        even = np.abs(lon - lon[0] - step * np.arange(lon.size)).max() < _TOLERANCE
        if not even or abs(abs(step) * lon.size - 360) > _TOLERANCE * lon.size:
            raise GridError(
                f"expected evenly spaced longitudes over the full circle; got {lon.size} from "
                f"{lon[0]:g} to {lon[-1]:g}. Give the whole globe, each meridian once."
            )

    @classmethod
    def regular(
        cls, latitude: tuple[float, float, int], longitude: tuple[float, float, int]
    ) -> LatLonGrid:
        """Grid from ``(start, step, count)`` in degrees, for each axis."""
        axes = (
            tuple((start + step * np.arange(count)).tolist())
            for start, step, count in (latitude, longitude)
        )
        return cls(*axes)

    @classmethod
    def from_coordinates(cls, latitude: npt.ArrayLike, longitude: npt.ArrayLike) -> LatLonGrid:
        """Grid of two 1-D coordinate arrays in degrees.

        Evenly spaced values are snapped to their exact spacing, so that float32 and float64
        copies of one grid are the same grid.
        """
        return cls(_snap(latitude), _snap(longitude))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (latitudes) and columns (longitudes)."""
        return len(self.latitude), len(self.longitude)

    @property
    def area_weights(self) -> npt.NDArray[np.float64]:
        """Cosine of latitude as a column, shape ``(rows, 1)``, float64, mean 1."""
        weights = np.cos(np.deg2rad(self.latitude)).clip(0)[:, None]
        return np.asarray(weights / weights.mean(), dtype=np.float64)

    @property
    def natural_level(self) -> int:
        """HEALPix level that matches this grid's resolution.

        The coarsest level with at least three quarters as many cells as the grid has points
        after its crowding towards the poles is discounted (``2 / pi`` of them): 0.25 degrees
        gives 8, 0.5 gives 7, 1 gives 6.
        """
        return level_for(len(self.latitude) * len(self.longitude) * 2 / np.pi)

    @property
    def points(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Latitude and longitude of each point in degrees, flat, row by row."""
        rows, columns = self.shape
        return np.repeat(self.latitude, columns), np.tile(self.longitude, rows)

    @property
    def rings(self) -> Rings:
        """The rows, north to south."""
        rows, columns = self.shape
        theta = np.deg2rad(90 - np.asarray(self.latitude)).clip(0, np.pi)
        order = np.argsort(theta)
        phase = np.full(rows, np.deg2rad(self.longitude[0]))
        direction = 1 if self.longitude[1] > self.longitude[0] else -1
        return Rings(theta[order], phase, np.full(rows, columns), order * columns, direction)

    @property
    def digest(self) -> str:
        """Sha256 of the coordinates, 16 hexadecimal digits."""
        raw = np.concatenate([self.latitude, self.longitude]).astype("<f8").tobytes()
        return hashlib.sha256(raw + bytes(str(self.shape), "ascii")).hexdigest()[:16]

    def to_dict(self) -> dict[str, list[float]]:
        """JSON form; an even axis is ``[start, step, count]``, another its list of values."""
        return {"latitude": _to_json(self.latitude), "longitude": _to_json(self.longitude)}

    @staticmethod
    def schema() -> dict[str, Any]:
        """JSON schema of :meth:`to_dict`."""
        axis = {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 3,
            "maxItems": _MOST_ALONG,
        }
        return {
            "type": "object",
            "properties": {"latitude": axis, "longitude": axis},
            "required": ["latitude", "longitude"],
            "additionalProperties": False,
        }

    @classmethod
    def from_dict(cls, data: Any) -> LatLonGrid:  # noqa: ANN401  (anything may stand in a store)
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If ``data`` is not of that form.
        """
        try:
            if set(data) != {"latitude", "longitude"}:
                raise ValueError(f"keys {sorted(data)}")
            with np.errstate(over="ignore", invalid="ignore"):  # the checks refuse what overflows
                return cls(_from_json(data["latitude"]), _from_json(data["longitude"]))
        except (TypeError, ValueError, OverflowError) as error:
            raise FormatError(
                f"expected a grid as {{latitude, longitude}}, each [start, step, count]; "
                f"got {reprlib.repr(data)} ({error}). The store is damaged."
            ) from error


_MOST_ALONG = 100_000  # 0.01 degrees has 36,000


def _snap(values: npt.ArrayLike) -> tuple[float, ...]:
    exact = np.asarray(values, dtype=np.float64)
    if exact.ndim != 1 or exact.size < 2:
        return tuple(exact.ravel().tolist())
    start, step = _even(exact)
    even = start + step * np.arange(exact.size)
    return tuple((even if np.abs(even - exact).max() < _TOLERANCE / 10 else exact).tolist())


def _even(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Start and step in round numbers where the values allow it."""
    exact = float((values[-1] - values[0]) / (values.size - 1))
    for digits in (5, 7):  # float32 leaves a seventh digit in doubt on grids of few values
        step = round(exact, digits)
        if step and 360 / step == round(360 / step, 4):
            return round(float(values[0]), 5), step
    return float(values[0]), exact


def _to_json(values: tuple[float, ...]) -> list[float]:
    start, step = _even(np.asarray(values))
    even = (start + step * np.arange(len(values))).tolist()
    return [start, step, len(values)] if tuple(even) == values else list(values)


def _from_json(data: Any) -> tuple[float, ...]:  # noqa: ANN401
    if not isinstance(data, list | tuple) or not 1 < len(data) <= _MOST_ALONG:
        raise ValueError("an axis that is no list of numbers")
    if any(type(value) not in (int, float) for value in data):
        raise ValueError("an axis with something else than numbers")
    if len(data) == 3:
        start, step, count = data
        if not (isinstance(count, int) and 1 < count <= _MOST_ALONG):
            raise ValueError(f"count {count}")
        return tuple((float(start) + float(step) * np.arange(count)).tolist())
    return tuple(float(value) for value in data)
