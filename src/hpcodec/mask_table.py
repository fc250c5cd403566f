"""Masks of a variable: those that many of its fields have, once; others beside their field.

    Mask --MaskTable.find--> (number, code) --MaskTable.get--> Mask

A static coast is in the table, which is kept with the variable. A field says by a number which
mask of the table it has, or that it brings its own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.any_grid import Grid
from hpcodec.errors import FormatError
from hpcodec.grid import level_of
from hpcodec.masks import Mask, decode_mask, encode_mask, missing_cells
from hpcodec.packing import Packing

__all__ = ["NONE", "OWN", "MaskTable", "restored", "without_missing"]

NONE, OWN = 0, 63
"""Numbers of a field without missing values, and of one that brings its own mask."""


@dataclass(frozen=True)
class MaskTable:
    """Masks that fields refer to by number, 1 and up.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the fields, laid out as sheets.
    codes : tuple of str
        Each a mask's bytes in base 85; all but the first are coded from the first.
    """

    shape: tuple[int, int]
    codes: tuple[str, ...] = ()

    @classmethod
    def of(cls, shape: tuple[int, int], masks: Iterable[Mask]) -> MaskTable:
        """Table of what more than one of ``masks`` is; the most frequent first."""
        groups: list[list[Mask]] = []
        for mask in masks:
            like = next((group for group in groups if group[0].same(mask)), None)
            if like is not None:
                like.append(mask)
            else:
                groups.append([mask])
        groups.sort(key=len, reverse=True)
        chosen = [group[0] for group in groups if len(group) > 1 and group[0]][: OWN - 1]
        codes = [
            encode_mask(mask, chosen[0] if number else None) for number, mask in enumerate(chosen)
        ]
        return cls(shape, tuple(base64.b85encode(code).decode() for code in codes))

    def find(self, mask: Mask) -> tuple[int, bytes]:
        """Number of a mask, and its bytes if the table has it not."""
        if not mask:
            return NONE, b""
        for number in range(1, len(self.codes) + 1):
            if self.get(number).same(mask):
                return number, b""
        return OWN, encode_mask(mask, self._first)

    def get(self, number: int, code: bytes = b"") -> Mask:
        """Mask of a number, or in ``code`` for that of a field's own.

        Raises
        ------
        FormatError
            If the table has none of that number, or it is damaged.
        """
        if number == NONE:
            return Mask(np.zeros(self.shape, np.uint8))
        if number == OWN:
            return decode_mask(code, self.shape, self._first)
        if number > len(self.codes):
            raise FormatError(
                f"expected one of {len(self.codes)} masks; got number {number}. The store is "
                "damaged."
            )
        return _decoded(self.shape, self.codes[number - 1], self.codes[0] if number > 1 else "")

    @property
    def _first(self) -> Mask | None:
        return self.get(1) if self.codes else None


@lru_cache(maxsize=OWN)
def _decoded(shape: tuple[int, int], code: str, first: str) -> Mask:
    try:
        plain = base64.b85decode(code)
    except (ValueError, binascii.Error) as error:
        raise FormatError("expected masks in base 85; got others. The store is damaged.") from error
    return decode_mask(plain, shape, _decoded(shape, first, "") if first else None)


def restored(
    values: npt.NDArray[np.float32], masks: Sequence[Mask], packing: Packing
) -> npt.NDArray[Any]:
    """Stored numbers of whole fields ``(n, rows, columns)``, each without what its mask has."""
    stored = packing.pack(values)
    for place, mask in enumerate(masks):
        stored[place] = mask.restore(stored[place])
    return stored


def without_missing(
    cells: npt.NDArray[np.float32], masks: Sequence[Mask], grid: Grid, level: int
) -> npt.NDArray[np.float32]:
    """``cells`` of whole fields ``(n, cells)``, NaN where most of a cell has no value.

    ``level`` is the one that the grid was remapped to; that of ``cells`` may be another.
    """
    step = level - level_of(cells.shape[-1])
    result = cells.copy()
    for field, mask in zip(result, masks, strict=True):
        if mask:
            missing = missing_cells(grid, level, mask)
            share = missing.reshape(-1, 4 ** max(step, 0)).mean(1).repeat(4 ** max(-step, 0))
            field[share > 0.5] = np.nan
    return result
