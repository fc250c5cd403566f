"""Where symbols of bands are: the passes that code them, what is around them, sums over it.

Bands come as :func:`hpcodec.stages.wavelets.to_bands` gives them: the means, then three of each
halving, the coarsest first. Columns go round the globe; rows beyond the last repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["BANDS", "PASSES", "around", "boxes", "fitted", "known", "siblings"]

Kind = TypeVar("Kind", bound=np.integer)

BANDS = 3
"""Of a halving."""

PASSES = ((0, 0), (1, 1), (0, 1), (1, 0))
"""First row and column of each pass."""


def known(phase: int, far: int) -> Iterator[tuple[int, int]]:
    """Places around one of a pass, of the passes before, up to a squared distance; rows first.

    At most two rows and columns away.
    """
    row, column = PASSES[phase]
    for y, x in product(range(-2, 3), repeat=2):
        before = PASSES.index(((row + y) % 2, (column + x) % 2)) < phase
        if before and y**2 + x**2 <= far:
            yield y, x


def siblings(number: int) -> range:
    """Bands of the halving of a band that come before it."""
    return range(number - (number - 1) % BANDS, number)


def around(band: npt.NDArray[Kind], ring: int) -> npt.NDArray[Kind]:
    """With a ring."""
    wide = np.pad(band, ((0, 0), (ring, ring)), mode="wrap")
    return np.pad(wide, ((ring, ring), (0, 0)), mode="edge")


def fitted(band: npt.NDArray[Kind], shape: tuple[int, ...]) -> npt.NDArray[Kind]:
    """A band with so many rows and columns: one more repeats the last."""
    if band.shape == shape:
        return band
    more = [(0, max(0, wanted - got)) for wanted, got in zip(shape, band.shape, strict=True)]
    return np.pad(band, more, mode="edge")[: shape[0], : shape[1]]


def boxes(band: npt.NDArray[np.int32], *reaches: int) -> list[npt.NDArray[np.int32]]:
    """Sums over the squares up to so many rows and columns away: each less than 2**31."""
    ring = max(reaches)
    wide = around(band, ring)
    sums = np.zeros((wide.shape[0] + 1, wide.shape[1] + 1), np.int32)
    np.cumsum(wide, 0, out=sums[1:, 1:])  # may go round 2**32: differences do not notice
    np.cumsum(sums[1:, 1:], 1, out=sums[1:, 1:])
    found = []
    for reach in reaches:
        side, margin = 2 * reach + 1, ring - reach
        inner = sums[margin : sums.shape[0] - margin, margin : sums.shape[1] - margin]
        rows = inner[side:] - inner[:-side]
        found.append(rows[:, side:] - rows[:, :-side])
    return found
