"""Wavelets: a field on latitudes and longitudes <-> bands of coefficients, coarse to fine.

(rows, columns) --to_bands--> [coarse means, then three bands for each halving] --from_bands-->

The 9/7 wavelet of JPEG 2000 (Cohen, Daubechies and Feauveau 1992; ISO/IEC 15444-1, annex F), round
the globe along rows, mirrored beyond the poles, scaled to be nearly orthonormal: an error of the
coefficients is an error of the field of about the same size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["band_rows", "band_shapes", "from_bands", "halvings", "to_bands"]

Doubles = npt.NDArray[np.float64]

# Lifting: predict, update, predict, update; then the scale of the means, and one over it.
_PREDICT = (-1.586134342059924, 0.882911075530934)
_UPDATE = (-0.052980118572961, 0.443506852043971)
_SCALE = 1.149604398860241

_MOST, _LEAST = 5, 16  # halvings, and rows or columns that are worth one


def halvings(shape: tuple[int, int]) -> int:
    """How often both axes of a field are halved.

    Examples
    --------
    >>> halvings((721, 1440)), halvings((19, 36)), halvings((8, 8))
    (5, 1, 0)
    """
    count, least = 0, min(shape)
    while count < _MOST and least >= _LEAST:
        count, least = count + 1, (least + 1) // 2
    return count


def to_bands(field: Doubles) -> list[Doubles]:
    """Bands of a field ``(rows, columns)``, any unit, float64.

    The means first, then for each halving, the coarsest first, details along columns, along rows,
    and along both.
    """
    finer: list[Doubles] = []
    for _ in range(halvings((field.shape[0], field.shape[1]))):
        means, details = _split(field, periodic=False)
        (field, along), (across, both) = (_split(one.T, periodic=True) for one in (means, details))
        field = field.T
        finer[:0] = [along.T, across.T, both.T]
    return [field, *finer]


def from_bands(bands: list[Doubles]) -> Doubles:
    """Inverse of :func:`to_bands`."""
    field, *finer = bands
    for at in range(0, len(finer), 3):
        along, across, both = finer[at : at + 3]
        means = _join(field.T, along.T, periodic=True).T
        details = _join(across.T, both.T, periodic=True).T
        field = _join(means, details, periodic=False)
    return field


def band_rows(shape: tuple[int, int]) -> list[npt.NDArray[np.int64]]:
    """For each band of a field of ``shape``, the row of the field where each of its rows lies."""
    rows, finer = np.arange(shape[0]), list[npt.NDArray[np.int64]]()
    for _ in range(halvings(shape)):
        rows, odd = rows[::2], rows[1::2]
        finer[:0] = [rows, odd, odd]
    return [rows, *finer]


def band_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns of each band of a field of ``shape``.

    Examples
    --------
    >>> band_shapes((19, 36))
    [(10, 18), (10, 18), (9, 18), (9, 18)]
    """
    (rows, columns), finer = shape, list[tuple[int, int]]()
    for _ in range(halvings(shape)):
        (rows, low), (columns, left) = divmod(rows, 2), divmod(columns, 2)
        finer[:0] = [(rows + low, columns), (rows, columns + left), (rows, columns)]
        rows, columns = rows + low, columns + left
    return [(rows, columns), *finer]


def _split(field: Doubles, *, periodic: bool) -> tuple[Doubles, Doubles]:
    """Means and details along the first axis."""
    means, details = field[0::2].copy(), field[1::2].copy()
    for predict, update in zip(_PREDICT, _UPDATE, strict=True):
        details += predict * _around_odd(means, len(details), periodic)
        means += update * _around_even(details, len(means), periodic)
    return means * _SCALE, details / _SCALE


def _join(means: Doubles, details: Doubles, *, periodic: bool) -> Doubles:
    """Inverse of :func:`_split`."""
    means, details = means / _SCALE, details * _SCALE
    for predict, update in zip(_PREDICT[::-1], _UPDATE[::-1], strict=True):
        means -= update * _around_even(details, len(means), periodic)
        details -= predict * _around_odd(means, len(details), periodic)
    field = np.empty((len(means) + len(details), *means.shape[1:]))
    field[0::2], field[1::2] = means, details
    return field


def _around_odd(means: Doubles, count: int, periodic: bool) -> Doubles:
    """Sum of the two even neighbours of each odd place."""
    last = means[:1] if periodic and len(means) == count else means[-1:]
    return np.asarray(means[:count] + np.concatenate([means[1:], last])[:count])


def _around_even(details: Doubles, count: int, periodic: bool) -> Doubles:
    """Sum of the two odd neighbours of each even place."""
    first = details[-1:] if periodic and len(details) == count else details[:1]
    after = np.concatenate([details, details[-1:]])[:count]
    return np.asarray(np.concatenate([first, details])[:count] + after)
