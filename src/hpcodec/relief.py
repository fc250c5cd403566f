"""What is known of the Earth, on a source grid: orography and land.

folder of a model, grid --relief_on--> (orography, land)
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from hpcodec.grid import LatLonGrid, cell_count, level_of
from hpcodec.model_folders import statics_of
from hpcodec.stages.healpix import remap_for

__all__ = ["relief_on"]


@lru_cache(maxsize=4)
def relief_on(folder: Path, grid: LatLonGrid) -> tuple[npt.NDArray[np.float64], ...]:
    """Orography in km and land in fractions, each ``(rows, columns)``, float64, not to be changed.

    Parameters
    ----------
    folder : Path
        Of a model that is loaded, which has checked the file of its static fields.
    grid : LatLonGrid
        Where.
    """
    fields = []
    with safe_open(statics_of(folder), "numpy") as file:
        for name, unit in (("orography", 1000), ("land", 255)):
            cells = np.asarray(file.get_tensor(name), np.float32) / np.float32(unit)
            level = min(grid.fine_level, level_of(cells.size))
            coarse = cells.reshape(cell_count(level), -1).mean(1, dtype=np.float64)
            fields.append(remap_for(grid, level).to_grid(coarse).astype(np.float64))
            fields[-1].setflags(write=False)
    return tuple(fields)
