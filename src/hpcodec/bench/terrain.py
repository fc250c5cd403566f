"""JPEG2000 that knows the Earth as our decoder does: what relief and coasts explain is removed.

field --regress on orography and land mask--> two numbers, rest --JPEG2000--> bytes
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from hpcodec.bench.case import Case, Floats
from hpcodec.bench.codecs import Codec
from hpcodec.bench.peers import from_jpeg2000, jpeg2000, to_jpeg2000
from hpcodec.grid import LatLonGrid
from hpcodec.model_folders import find_models
from hpcodec.models import choose_model
from hpcodec.relief import relief_on

__all__ = ["jpeg2000_terrain"]

Doubles = npt.NDArray[np.float64]

# Degrees of latitude that "fine" stands for: relief explains the fine part of a field only.
_WIDTH = 4.0

_COEFFICIENTS = struct.Struct("<2f")


def jpeg2000_terrain(case: Case) -> Codec:
    """JPEG2000 of what orography and land mask do not explain; two coefficients are in the bytes.

    Static knowledge is free, as it is for a trained decoder; it is our own, from the weights.
    """
    grid, shape = case.grid, case.truth.shape
    relief = relief_on(find_models()[choose_model(case.spec)], grid)
    sources = [_fine(field, grid) for field in relief]
    weights = np.sqrt(np.broadcast_to(grid.area_weights, shape)).ravel()
    matrix = np.stack([source.ravel() * weights for source in sources], 1)

    def explained(coefficients: tuple[float, ...]) -> Doubles:
        return np.asarray(
            sum(number * source for number, source in zip(coefficients, sources, strict=True))
        )

    def encode(field: Floats, level: float) -> bytes:
        target = _fine(field.astype(np.float64), grid).ravel() * weights
        head = _COEFFICIENTS.pack(*np.linalg.lstsq(matrix, target, rcond=None)[0])
        return head + to_jpeg2000(field - explained(_COEFFICIENTS.unpack(head)), level)

    def decode(code: bytes) -> Floats:
        known = explained(_COEFFICIENTS.unpack(code[: _COEFFICIENTS.size]))
        rest = from_jpeg2000(code[_COEFFICIENTS.size :], shape)
        return np.asarray(rest + known, np.float32)

    return Codec(jpeg2000(case).sweep, encode, decode)


def _fine(field: Doubles, grid: LatLonGrid) -> Doubles:
    """What smoothing over a few degrees takes away."""
    width = _WIDTH * grid.shape[0] / 180
    return np.asarray(field - gaussian_filter(field, width, mode=("nearest", "wrap")))
