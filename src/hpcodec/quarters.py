"""The two finest halvings of a wavelet transform as channels at a quarter of the resolution.

bands --to_quarters--> (16, rows, columns) --from_quarters--> bands

Channels: the means of the two halvings, the three bands of the coarser one, and each of the three
bands of the finer one at its four places beside a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from hpcodec.stages.wavelets import from_bands

__all__ = ["LEAST", "from_quarters", "to_quarters"]

Doubles = npt.NDArray[np.float64]

LEAST = 7
"""Bands of a field that has two halvings."""

_PLACES = tuple(product((0, 1), (0, 1)))


def to_quarters(bands: Sequence[Doubles]) -> Doubles:
    """Channels ``(16, rows, columns)`` of bands; rows and columns that are short repeat the last.

    Parameters
    ----------
    bands : sequence of ndarray
        At least ``LEAST``, from :func:`hpcodec.stages.wavelets.to_bands`.
    """
    means = from_bands(list(bands[:-6]))
    rows, columns = means.shape
    channels = [means, *(_fitted(band, rows, columns) for band in bands[-6:-3])]
    for band in bands[-3:]:
        whole = _fitted(band, 2 * rows, 2 * columns)
        channels += [whole[y::2, x::2] for y, x in _PLACES]
    return np.stack(channels)


def from_quarters(channels: Doubles, shapes: Sequence[tuple[int, int]]) -> list[Doubles]:
    """Means of two halvings and their six bands, of the last six ``shapes``, of channels."""
    fine_rows, fine_columns = channels.shape[1:]
    found = [channels[0]]
    found += [channels[1 + n][:rows, :columns] for n, (rows, columns) in enumerate(shapes[-6:-3])]
    for number, (rows, columns) in enumerate(shapes[-3:]):
        whole = np.empty((2 * fine_rows, 2 * fine_columns), channels.dtype)
        for place, (y, x) in enumerate(_PLACES):
            whole[y::2, x::2] = channels[4 + 4 * number + place]
        found.append(whole[:rows, :columns])
    return found


def _fitted(band: Doubles, rows: int, columns: int) -> Doubles:
    more = (0, max(0, rows - band.shape[0])), (0, max(0, columns - band.shape[1]))
    return np.pad(band, more, mode="edge")[:rows, :columns]
