"""Fields on another grid than their own.

payloads --decode_on--> values on any grid, by way of the cells of the level that suits it
"""

from __future__ import annotations

from collections.abc import Sequence

import healpy
import numpy as np

from hpcodec.coarse import masks_of
from hpcodec.decoding import Floats, decode_smooth
from hpcodec.fields import Coding
from hpcodec.grid import BASE_LEVEL
from hpcodec.grids import Grid
from hpcodec.mask_table import without_missing
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import within

__all__ = ["decode_on", "level_for_grid"]


def level_for_grid(coding: Coding, grid: Grid) -> int:
    """Level whose cells are interpolated: means over them keep what is finer from aliasing."""
    return min(coding.level, max(BASE_LEVEL + 1, grid.fine_level))


def decode_on(
    payloads: Sequence[bytes], coding: Coding, grid: Grid, device: str = "auto", *, sharp: bool
) -> Floats:
    """Fields on any grid.

    Parameters
    ----------
    payloads, coding, device, sharp
        As for :func:`hpcodec.decoding.decode_cells`, at the level of :func:`level_for_grid`.
    grid : Grid
        Where they are wanted.

    Returns
    -------
    ndarray of float32
        ``(n, *grid.shape)``, the variable's unit; NaN where the cell has no value.
    """
    level = level_for_grid(coding, grid)
    cells, fields = decode_smooth(payloads, coding, level, device, sharp=sharp)
    values = remap_for(grid, level).to_grid(cells)
    values = within(values, [field.limits for field in fields]).reshape(len(cells), -1)
    known = without_missing(cells, masks_of(fields, coding), coding.grid, coding.level)
    latitude, longitude = grid.points
    around = healpy.ang2pix(2**level, longitude, latitude, nest=True, lonlat=True)
    values[np.isnan(known)[:, around]] = np.nan
    return values.reshape(len(cells), *grid.shape)
