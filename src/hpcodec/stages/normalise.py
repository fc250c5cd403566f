"""Normalise: values in the field's unit <-> dimensionless values near one.

values --raised--> values ** exponent, sign kept     <--lowered--
values --normalise--> (values - offset) / scale      scale: spread of the weather in the field
decoded --within--> decoded, no value beyond those of the field
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hpcodec.fields import EVERYTHING, Range, Scaling
from hpcodec.grid import cell_count, level_of

__all__ = [
    "alike",
    "denormalise",
    "lowered",
    "measure_limits",
    "measure_scaling",
    "normalise",
    "raised",
    "within",
]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_COARSE = 5
_LEAST = float(np.finfo(np.float32).tiny)
_PERCENTILE = 99.0
_ALIKE, _NEAR = 4.0, 16.0
_SIGMAS = 2.5758  # a normal distribution's 99th percentile of |x|, in standard deviations


def measure_scaling(cells: Floats) -> Scaling:
    """Percentile scaling of one field.

    The offset is the median; the scale is the 99th percentile of what the means over level-5
    cells leave, as if it were normally distributed: what compression has to tell, not the large
    steady pattern under it.

    Parameters
    ----------
    cells : ndarray of float32
        ``(12 * 4**level,)``, nested order, the field's unit.

    Notes
    -----
    A field coarser than level 6 is judged by what its own grandparents leave. A constant field
    has the least scale that payloads keep, so that it comes back as it is.
    """
    level = level_of(cells.shape[-1])
    exact = cells.astype(np.float64)
    coarse = exact.reshape(cell_count(min(_COARSE, max(level - 2, 0))), -1)
    rest = np.abs(coarse - coarse.mean(1, keepdims=True))
    scale = float(np.percentile(rest, _PERCENTILE)) / _SIGMAS
    if scale <= 1e-30:  # rain over less than a hundredth of the globe, or nothing at all
        scale = float(rest.std())
    # Payloads keep the scale as float32: one that vanishes there would make them unreadable.
    return Scaling(float(np.median(exact)), max(scale, _LEAST))


def alike(mine: Scaling, theirs: Scaling) -> bool:
    """Whether a field with one scaling can do with the other: its values stay near one."""
    near = abs(mine.offset - theirs.offset) < _NEAR * theirs.scale
    return near and 1 / _ALIKE < mine.scale / theirs.scale < _ALIKE


def normalise(cells: Floats, scaling: Sequence[Scaling]) -> Floats:
    """Dimensionless fields ``(n, cells)`` of as many fields, float32, each by its scaling."""
    offset, scale = _columns(scaling)
    return np.asarray((cells.astype(np.float64) - offset) / scale, np.float32)


def denormalise(cells: Floats, scaling: Sequence[Scaling]) -> Floats:
    """Inverse of :func:`normalise`."""
    offset, scale = _columns(scaling)
    return np.asarray(cells.astype(np.float64) * scale + offset, np.float32)


def raised(fields: Floats, exponent: float) -> Floats:
    """Values to the power of ``exponent``, their signs kept.

    Below 1 it brings drizzle and downpour nearer to each other. What is coded with one error
    everywhere then has a smaller one where there is little rain, and invents less of it.
    """
    if exponent == 1:
        return fields
    size = np.abs(fields.astype(np.float64)) ** exponent
    return np.asarray(np.copysign(size, fields), np.float32)


def lowered(fields: Floats, exponent: float) -> Floats:
    """Inverse of :func:`raised`."""
    return raised(fields, 1 / exponent)


def measure_limits(fields: Floats) -> list[Range]:
    """Least and largest value of each of ``fields``, ``(n, ...)``; of none, ``EVERYTHING``."""
    return [(float(one.min()), float(one.max())) if one.size else EVERYTHING for one in fields]


def within(fields: Floats, limits: Sequence[Range]) -> Floats:
    """Decoded fields ``(n, ...)`` with what is beyond each one's limits moved to the limit.

    That is always nearer to the original, and rain is never negative.
    """
    low, high = (np.array(ends, np.float32) for ends in zip(*limits, strict=True))
    column = (-1, *[1] * (fields.ndim - 1))
    return np.clip(fields, low.reshape(column), high.reshape(column))


def _columns(scaling: Sequence[Scaling]) -> tuple[Doubles, Doubles]:
    offset = np.array([one.offset for one in scaling])[:, None]
    return offset, np.array([one.scale for one in scaling])[:, None]
