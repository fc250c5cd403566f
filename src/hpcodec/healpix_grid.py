"""HEALPix cells as a source grid: whole spheres of any level, in ring or nested order."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import healpy
import numpy as np
import numpy.typing as npt

from hpcodec.any_grid import MOST_POINTS, Grid
from hpcodec.errors import FormatError
from hpcodec.grid import cell_count

__all__ = ["ORDERS", "HealpixGrid"]

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

ORDERS = ("nested", "ring")

_FINEST = 10  # 2**25 points, less a half

# Faces side by side: four of the north, four around the equator, four of the south.
_BANDS = 3


@dataclass(frozen=True)
class HealpixGrid(Grid, key="healpix"):
    """All cells of a HEALPix level.

    Parameters
    ----------
    level : int
        0 to 10.
    order : str
        ``nested`` or ``ring``.

    Examples
    --------
    >>> HealpixGrid(6, "ring").shape
    (49152,)
    """

    level: int
    order: str = "nested"

    def __post_init__(self) -> None:
        if type(self.level) is not int or not 0 <= self.level <= _FINEST:
            raise ValueError(f"level {self.level!r}")
        if self.order not in ORDERS:
            raise ValueError(f"order {self.order!r}")
        assert cell_count(_FINEST) <= MOST_POINTS

    @property
    def shape(self) -> tuple[int]:
        """How many cells."""
        return (cell_count(self.level),)

    @property
    def nested(self) -> Places:
        """Number of each cell in nested order."""
        cells = np.arange(cell_count(self.level))
        if self.order == "nested":
            return cells
        return np.asarray(healpy.ring2nest(2**self.level, cells), np.int64)

    @property
    def points(self) -> tuple[Doubles, Doubles]:
        """Latitude and longitude of each centre in degrees."""
        longitude, latitude = healpy.pix2ang(2**self.level, self.nested, nest=True, lonlat=True)
        return np.asarray(latitude), np.asarray(longitude)

    @property
    def area_weights(self) -> Doubles:
        """Ones: cells have equal areas."""
        return np.ones(self.shape)

    @property
    def natural_level(self) -> int:
        """The cells' own level."""
        return self.level

    @property
    def fine_level(self) -> int:
        """The cells' own level, too: there is no remap."""
        return self.level

    @property
    def sheet_order(self) -> Places:
        """Faces in three bands of four."""
        side = 2**self.level
        x, y, face = healpy.pix2xyf(side, self.nested, nest=True)
        sheet = np.empty((_BANDS * side, 4 * side), np.int64)
        # Across runs east (x rises to the north-east, y to the north-west), down runs south.
        sheet[face // 4 * side + side - 1 - y, face % 4 * side + x] = np.arange(x.size)
        return sheet

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"healpix": self.level, "order": self.order}

    @staticmethod
    def schema() -> dict[str, Any]:
        """JSON schema of :meth:`to_dict`."""
        return {
            "type": "object",
            "properties": {
                "healpix": {"type": "integer", "minimum": 0, "maximum": _FINEST},
                "order": {"enum": list(ORDERS)},
            },
            "required": ["healpix", "order"],
            "additionalProperties": False,
        }

    @classmethod
    def from_dict(cls, data: Any) -> HealpixGrid:  # noqa: ANN401  (anything may stand in a store)
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If ``data`` is not of that form.
        """
        try:
            if set(data) != {"healpix", "order"}:
                raise ValueError(f"keys {sorted(data)}")
            return cls(data["healpix"], data["order"])
        except (TypeError, ValueError) as error:
            raise FormatError(
                f"expected a grid as {{healpix, order}}; got {reprlib.repr(data)} ({error}). The "
                "store is damaged."
            ) from error
