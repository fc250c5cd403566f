"""A small map of a base field in colours of a terminal.

cells of level 3 --draw--> lines of half blocks, two pixels in a character
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import healpy
import numpy as np
import numpy.typing as npt

from hpcodec.coarse import decode_base
from hpcodec.globe import points
from hpcodec.grid import BASE_LEVEL
from hpcodec.stages.zarr_store import StoredVariable, open_store

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["COLUMNS", "ROWS", "draw", "show_maps"]

COLUMNS, ROWS = 60, 15
"""Characters of a map."""

_HALF = "\N{UPPER HALF BLOCK}"
_MISSING = 150, 150, 150

# Every thirty-second colour of viridis, which the colour-blind can read: no matplotlib is needed.
_VIRIDIS = (
    "440154",
    "472d7b",
    "3b528b",
    "2c728e",
    "21918c",
    "28ae80",
    "5ec962",
    "addc30",
    "fde725",
)


def show_maps(path: str, wanted: bool | None) -> bool:
    """Print the base field of the first field of each variable, where the terminal can.

    Parameters
    ----------
    path : str
        The store. None of its models need be installed.
    wanted : bool, optional
        Whether to; by default, if they fit on the screen.

    Returns
    -------
    bool
        Whether the terminal can: it must be one of 24-bit colours, and wide enough.
    """
    from rich.console import Console

    console = Console()
    able = sys.stdout.isatty() and console.color_system == "truecolor" and not console.no_color
    if wanted is False or not able or console.width < COLUMNS:
        return able and console.width >= COLUMNS
    store = open_store(path)
    if wanted or len(store.variables) * (ROWS + 2) <= console.height:
        for item in store.variables.values():
            (cells,) = decode_base([store.read(item, 0, BASE_LEVEL)], item.coding)
            console.print(_told(item, cells), markup=False, highlight=False)
            console.print(draw(cells))
    return True


def _told(item: StoredVariable, cells: npt.NDArray[np.float32]) -> str:
    there, units = cells[np.isfinite(cells)], str(item.attributes.get("units", ""))
    ends = f"{there.min():.6g} to {there.max():.6g} {units}" if there.size else "no values"
    which = "" if item.steps == 1 else ", first field"
    return f"{item.name}{which}, level {BASE_LEVEL}: {ends}"


def draw(cells: npt.NDArray[np.float32]) -> Text:
    """Map of cells ``(768,)``, nested order, NaN where there is no value."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    north, east = points(COLUMNS, 2 * ROWS)
    there = np.isfinite(east)
    nside = 2**BASE_LEVEL
    values = cells[healpy.ang2pix(nside, east[there], north[there], nest=True, lonlat=True)]
    pixels = np.full((*there.shape, 3), -1)
    pixels[there] = _colours(values)
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for top, bottom in zip(upper, lower, strict=True):
            front, back = (
                Color.from_rgb(*part) if part[0] >= 0 else None for part in (top, bottom)
            )
            glyph = _HALF if front else "\N{LOWER HALF BLOCK}" if back else " "
            text.append(glyph, Style(color=front or back, bgcolor=back if front else None))
        text.append("\n")
    text.rstrip()
    return text


def _colours(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Red, green and blue of each value, ``(n, 3)``, from the least to the largest."""
    known = np.array([[int(code[at : at + 2], 16) for at in (0, 2, 4)] for code in _VIRIDIS])
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0, 1)
    places = np.nan_to_num((values - low) / ((high - low) or 1)) * (len(known) - 1)
    mixed = np.stack([np.interp(places, range(len(known)), part) for part in known.T], -1)
    return np.where(finite[:, None], np.rint(mixed), _MISSING).astype(np.int64)
