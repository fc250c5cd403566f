"""Reduced Gaussian grids: fewer points to a ring towards the poles. Octahedral ones by name.

latitudes, longitudes --GaussianGrid.recognise--> GaussianGrid or None
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import roots_legendre

from hpcodec.any_grid import MOST_POINTS, Grid, level_for, row_order
from hpcodec.errors import FormatError
from hpcodec.rings import Rings

__all__ = ["GaussianGrid", "gaussian_latitudes"]

Doubles = npt.NDArray[np.float64]

# O2560 is four times as fine as any model's grid is today.
_LEAST, _MOST, _LEAST_RING, _MOST_RING = 2, 2560, 4, 20_000
_TOLERANCE = 1e-2  # of the spacing of rings, and of points in a ring


@dataclass(frozen=True)
class GaussianGrid(Grid, key="gaussian"):
    """A reduced Gaussian grid, as a list of points: north to south, eastward from 0 degrees.

    Parameters
    ----------
    counts : tuple of int
        Points of each ring from the north pole to the equator; the south mirrors them.

    Examples
    --------
    >>> GaussianGrid.octahedral(320).shape
    (421120,)
    >>> GaussianGrid.octahedral(320).to_dict()
    {'gaussian': 'o320'}
    """

    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not _LEAST <= len(self.counts) <= _MOST:
            raise ValueError(f"{len(self.counts)} rings to a hemisphere")
        if any(type(count) is not int for count in self.counts):
            raise ValueError("points of rings that are no whole numbers")
        if not _LEAST_RING <= min(self.counts) <= max(self.counts) <= _MOST_RING:
            raise ValueError(f"{min(self.counts)} to {max(self.counts)} points to a ring")
        if 2 * sum(self.counts) > MOST_POINTS:
            raise ValueError(f"{2 * sum(self.counts)} points")

    @classmethod
    def octahedral(cls, number: int) -> GaussianGrid:
        """The octahedral grid of so many rings to a hemisphere: O320 has 320."""
        return cls(tuple(range(20, 20 + 4 * number, 4)))

    @classmethod
    def recognise(cls, latitude: Doubles, longitude: Doubles) -> GaussianGrid | None:
        """The grid whose points these are, in degrees; None if there is none."""
        edges = np.flatnonzero(np.diff(latitude)) + 1
        counts = np.diff(np.concatenate([[0], edges, [latitude.size]]))
        half = counts.size // 2
        if counts.size % 2 or not np.array_equal(counts, counts[::-1]):
            return None
        try:
            grid = cls(tuple(counts[:half].tolist()))
        except ValueError:
            return None
        expected_latitude, expected_longitude = grid.points
        apart = np.abs(latitude - expected_latitude).max() * half / 90
        turns = np.abs((longitude - expected_longitude + 180) % 360 - 180)
        around = (turns / 360 * np.repeat(counts, counts)).max()
        return grid if max(apart, around) < _TOLERANCE else None

    @property
    def _counts(self) -> npt.NDArray[np.int64]:
        return np.array([*self.counts, *self.counts[::-1]], np.int64)

    @property
    def shape(self) -> tuple[int]:
        """How many points."""
        return (2 * sum(self.counts),)

    @property
    def points(self) -> tuple[Doubles, Doubles]:
        """Latitude and longitude of each point in degrees."""
        counts = self._counts
        return np.repeat(_rings(len(self.counts))[0], counts), 360 * self._turns

    @property
    def _turns(self) -> Doubles:
        counts = self._counts
        column = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.asarray(column / np.repeat(counts, counts))

    @property
    def area_weights(self) -> Doubles:
        """Area of each point, mean 1: the Gaussian weight of its ring, shared by its points."""
        counts = self._counts
        weights = np.repeat(_rings(len(self.counts))[1] / counts, counts)
        return np.asarray(weights / weights.mean())

    @property
    def natural_level(self) -> int:
        """HEALPix level with at least three quarters as many cells: O320 gives 8."""
        return level_for(self.shape[0])

    @property
    def rings(self) -> Rings:
        """All rings, north to south."""
        counts = self._counts
        theta = np.deg2rad(90 - _rings(len(self.counts))[0])
        return Rings(theta, np.zeros(counts.size), counts, np.cumsum(counts) - counts)

    @property
    def sheet_order(self) -> npt.NDArray[np.int64]:
        """Rows of equally many points; by quotients of whole numbers, the same everywhere."""
        return row_order(np.repeat(np.arange(self._counts.size), self._counts), self._turns)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the name of an octahedral grid, or points of rings down to the equator."""
        number = len(self.counts)
        named = self == GaussianGrid.octahedral(number)
        return {"gaussian": f"o{number}" if named else list(self.counts)}

    @staticmethod
    def schema() -> dict[str, Any]:
        """JSON schema of :meth:`to_dict`."""
        ring = {"type": "integer", "minimum": _LEAST_RING, "maximum": _MOST_RING}
        listed = {"type": "array", "items": ring, "minItems": _LEAST, "maxItems": _MOST}
        named = {"type": "string", "pattern": "^o[1-9][0-9]{0,3}$"}
        return {
            "type": "object",
            "properties": {"gaussian": {"anyOf": [named, listed]}},
            "required": ["gaussian"],
            "additionalProperties": False,
        }

    @classmethod
    def from_dict(cls, data: Any) -> GaussianGrid:  # noqa: ANN401  (anything may stand in a store)
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If ``data`` is not of that form.
        """
        try:
            if set(data) != {"gaussian"}:
                raise ValueError(f"keys {sorted(data)}")
            told = data["gaussian"]
            if isinstance(told, str):
                if told[:1] != "o" or not told[1:].isdecimal() or len(told) > 5:
                    raise ValueError("a name that is none")
                if not _LEAST <= int(told[1:]) <= _MOST:
                    raise ValueError("an unknown name")
                return cls.octahedral(int(told[1:]))
            return cls(tuple(told))
        except (TypeError, ValueError) as error:
            raise FormatError(
                f"expected a Gaussian grid as {{gaussian}}, a name such as 'o320' or points of "
                f"rings; got {reprlib.repr(data)} ({error}). The store is damaged."
            ) from error


def gaussian_latitudes(number: int) -> Doubles:
    """Of all rings of a Gaussian grid with so many to a hemisphere: north to south, degrees."""
    return _rings(number)[0]


@lru_cache(maxsize=4)
def _rings(number: int) -> tuple[Doubles, Doubles]:
    """Latitudes of all rings, in degrees to nine digits, and their shares of the sphere."""
    nodes, weights = roots_legendre(2 * number)
    return np.round(np.rad2deg(np.arcsin(nodes[::-1])), 9), np.asarray(weights[::-1])
