"""What a network is shown where a field has no values: never a gap, and nothing that costs bytes.

(rows, columns), NaN where missing --fill_smoothly--> the same, whole
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from hpcodec.errors import MissingValueError

__all__ = ["fill_nearest", "fill_smoothly"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_SWEEPS, _SMALLEST = 16, 4


def fill_smoothly(values: Floats) -> Floats:
    """A field with a surface in place of what is missing, as if stretched over the gaps.

    Each missing point is about the mean of its neighbours: a surface without bumps of its own,
    which meets the values at the coasts. It is relaxed from coarse to fine.

    Parameters
    ----------
    values : ndarray of float32
        ``(rows, columns)``, the columns closing the circle; NaN or infinite where missing.

    Returns
    -------
    ndarray of float32
        The same where there are values; 0 everywhere if there is none.
    """
    missing = ~np.isfinite(values)
    if not missing.any():
        return values
    if missing.all():
        return np.zeros_like(values)
    offset = np.mean(values[~missing], dtype=np.float64)
    surface = _stretched(np.where(missing, 0, values - offset), missing) + offset
    # Rounding must not lead beyond the values: one valid point makes a constant field.
    kept = values[~missing]
    return np.where(missing, surface.astype(np.float32).clip(kept.min(), kept.max()), values)


def _stretched(field: Doubles, missing: npt.NDArray[np.bool_]) -> Doubles:
    """``field``, its mean 0, with missing points relaxed from those of half the resolution."""
    if min(field.shape) <= _SMALLEST or not missing.any():
        return field
    sums, counts = _halved(np.where(missing, 0, field)), _halved((~missing).astype(np.float64))
    coarse = _stretched(sums / np.maximum(counts, 1), counts == 0)
    rows, columns = field.shape
    surface = np.where(missing, coarse.repeat(2, 0).repeat(2, 1)[:rows, :columns], field)
    at = np.nonzero(missing)
    around = [(np.clip(at[0] + step, 0, rows - 1), at[1]) for step in (-1, 1)]
    around += [(at[0], (at[1] + step) % columns) for step in (-1, 1)]
    for _ in range(_SWEEPS):
        surface[at] = sum(surface[place] for place in around) / len(around)
    return surface


def _halved(field: Doubles) -> Doubles:
    """Sums of two by two points; an odd row or column stands alone."""
    rows, columns = (size + size % 2 for size in field.shape)
    whole = np.pad(field, ((0, rows - field.shape[0]), (0, columns - field.shape[1])))
    return np.asarray(whole.reshape(rows // 2, 2, columns // 2, 2).sum((1, 3)))


def fill_nearest(values: Floats) -> Floats:
    """A field ``(rows, columns)`` with each missing value replaced by its nearest valid one.

    Raises
    ------
    MissingValueError
        If no value is valid.
    """
    missing = ~np.isfinite(values)
    if not missing.any():
        return values
    if missing.all():
        raise MissingValueError(
            "expected a field with valid values; got one without. Leave it out."
        )
    # Three copies side by side close the circle of longitudes.
    width = values.shape[1]
    places = distance_transform_edt(
        np.tile(missing, 3), return_distances=False, return_indices=True
    )[:, :, width : 2 * width]
    return np.asarray(values[places[0], places[1] % width], np.float32)
