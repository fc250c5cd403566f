"""Static knowledge of the Earth for the networks: orography and land-sea mask on HEALPix.

surface geopotential, land fraction (lat-lon) --make_statics--> weights/statics.safetensors
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from hpcodec.grid import FINEST_LEVEL
from hpcodec.stages import dataset
from hpcodec.stages.healpix import remap_for

__all__ = ["make_statics"]

_GRAVITY = 9.80665


def make_statics(orography: Path, land: Path, target: Path) -> None:
    """Write the static fields that every model's decoder knows.

    Parameters
    ----------
    orography : Path
        File with the surface geopotential, m2 s-2.
    land : Path
        File with the land-sea mask, 0 to 1.
    target : Path
        Safetensors file to write: ``orography`` ``(12 * 4**9,)`` int16, metres, nested order;
        ``land`` uint8, 255 is all land.
    """
    metres, fraction = _cells(orography) / _GRAVITY, _cells(land)
    fields = {
        "orography": np.rint(metres.clip(-500, 9000)).astype(np.int16),
        "land": np.rint(255 * fraction.clip(0, 1)).astype(np.uint8),
    }
    save_file(fields, target, {"order": "nested", "level": str(FINEST_LEVEL)})


def _cells(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    source = dataset.open_source(str(path))
    (spec,) = dataset.find_fields(source)
    remap = remap_for(spec.grid, FINEST_LEVEL)
    return remap.to_healpix(dataset.read_steps(source, spec, 0, 1)[0])
