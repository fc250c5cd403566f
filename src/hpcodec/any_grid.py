"""What all grids have in common, whatever their kind: shape, points, areas, JSON.

    (..., *shape) --sheet--> (..., rows, columns) --unsheet--> (..., *shape)

Masks, corrections and the filling of gaps look at neighbours in rows and columns. A grid that is
a list of points is laid out for them on a *sheet*, where neighbours on the sphere are close.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError
from hpcodec.rings import Rings

__all__ = ["MOST_POINTS", "Grid", "level_for", "row_order"]

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

MOST_POINTS = 2**25
"""A crafted store must not make us allocate from an unchecked count."""


class Grid(ABC):
    """Where the values of a source field lie on the sphere.

    Subclasses are frozen dataclasses; each names with ``key`` the key that its JSON form, and no
    other's, has.
    """

    kinds: ClassVar[dict[str, type[Grid]]] = {}

    def __init_subclass__(cls, *, key: str = "", **options: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**options)
        Grid.kinds[key] = cls

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Sizes of the horizontal axes of a field: one, or rows and columns."""

    @property
    @abstractmethod
    def points(self) -> tuple[Doubles, Doubles]:
        """Latitude and longitude of each point in degrees, flat, in the source's order."""

    @property
    @abstractmethod
    def area_weights(self) -> Doubles:
        """Area of each point, broadcast over a field, mean 1."""

    @property
    @abstractmethod
    def natural_level(self) -> int:
        """HEALPix level that matches the grid's resolution."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON form."""

    @staticmethod
    def schema() -> dict[str, Any]:
        """JSON schema of :meth:`to_dict`, here of a grid of any kind."""
        return {"oneOf": [kind.schema() for kind in Grid.kinds.values()]}

    @property
    def fine_level(self) -> int:
        """Level that a remap loses little at: one finer than the grid's own."""
        return self.natural_level + 1

    @property
    def rings(self) -> Rings | None:
        """The grid as circles of latitude, if it is such a stack."""
        return None

    @property
    def digest(self) -> str:
        """Sha256 of the JSON form, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_dict()).encode("utf-8")).hexdigest()[:16]

    @property
    def sheet_order(self) -> Places | None:
        """Point at each place of the sheet, ``(rows, columns)``; None where it is the field."""
        return None

    @property
    def sheet_shape(self) -> tuple[int, int]:
        """Rows and columns of the sheet."""
        rows, columns = self.shape if self._order is None else self._order.shape
        return rows, columns

    @cached_property
    def _order(self) -> Places | None:
        return self.sheet_order

    @cached_property
    def _places(self) -> Places:
        """Place of each point on the sheet: the first, where the last point fills a row."""
        assert self._order is not None
        flat, places = self._order.ravel(), np.empty(self.shape, np.int64)
        places[flat[::-1]] = np.arange(flat.size)[::-1]
        return places

    def sheet(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Fields ``(..., *shape)`` as sheets, ``(..., rows, columns)``."""
        return values if self._order is None else values[..., self._order]

    def unsheet(self, sheets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Inverse of :meth:`sheet`."""
        if self._order is None:
            return sheets
        return sheets.reshape(*sheets.shape[:-2], -1)[..., self._places]

    @property
    def sheet_weights(self) -> Doubles:
        """Area of each place of the sheet; 0 where the last point fills a row."""
        if self._order is None:
            return self.area_weights
        weights = np.zeros(self._order.size)
        weights[self._places] = self.area_weights
        return weights.reshape(self._order.shape)

    @classmethod
    def from_dict(cls, data: Any) -> Grid:  # noqa: ANN401  (anything may stand in a store)
        """Inverse of :meth:`to_dict`, for a grid of any kind.

        Raises
        ------
        FormatError
            If ``data`` is not of the form of any.
        """
        for key, kind in cls.kinds.items():
            if isinstance(data, dict) and key in data:
                return kind.from_dict(data)
        raise FormatError(
            f"expected a grid with one of the keys {', '.join(cls.kinds)}; got "
            f"{reprlib.repr(data)}. Install an hpcodec release that reads it, or the store is "
            "damaged."
        )


def level_for(points: float) -> int:
    """Coarsest HEALPix level with at least three quarters as many cells as ``points``."""
    level = 0
    while 12 * 4**level < 0.75 * points:
        level += 1
    return level


def row_order(down: npt.ArrayLike, east: npt.ArrayLike) -> Places:
    """Sheet of points: rows of equally many from north to south, each from west to east.

    So columns, too, hold points of about the same longitude: the sheet is about the cylindrical
    equal-area projection.

    Parameters
    ----------
    down, east : array_like
        Whole numbers, or others that are the same on every machine, by which points are sorted.

    Returns
    -------
    ndarray of int64
        ``(rows, columns)``; the last point fills the last row.
    """
    south, along = np.asarray(down), np.asarray(east)
    columns = max(1, round(math.sqrt(math.pi * south.size)))
    rows = -(-south.size // columns)
    order = np.lexsort((along, south))
    row = np.arange(south.size) // columns
    order = order[np.lexsort((along[order], row))]
    return np.pad(order, (0, rows * columns - south.size), mode="edge").reshape(rows, columns)
