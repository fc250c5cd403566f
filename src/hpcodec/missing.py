"""Missing values: refused, or filled, never fed to a network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from hpcodec.errors import MissingValueError, UsageError

__all__ = ["fill_missing", "fill_nearest"]

Floats = npt.NDArray[np.float32]


def fill_missing(values: Floats, fill: str, what: str) -> Floats:
    """Fields without missing or infinite values.

    Parameters
    ----------
    values : ndarray of float32
        ``(n, rows, columns)``.
    fill : str
        ``nearest``: the nearest valid value of the field; a number: that number, in the
        variable's unit; empty: refuse.
    what : str
        Name of the variable, for the message.

    Raises
    ------
    MissingValueError
        If values are missing and ``fill`` is empty.
    UsageError
        If ``fill`` is neither.
    """
    missing = ~np.isfinite(values)
    if not missing.any():
        return values
    if not fill:
        raise MissingValueError(
            f"expected finite values; '{what}' has {int(missing.sum()):,} missing or infinite. "
            "Give --fill nearest or --fill NUMBER; they do not come back as missing."
        )
    if fill == "nearest":
        return np.stack([fill_nearest(field) for field in values])
    try:
        number = float(fill)
    except ValueError:
        number = np.nan
    if not abs(number) <= float(np.finfo(np.float32).max):
        raise UsageError(f"expected 'nearest' or a number of float32 as fill; got '{fill}'.")
    return np.where(missing, np.float32(number), values)


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
