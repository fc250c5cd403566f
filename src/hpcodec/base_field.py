"""The base field, which needs no model: symbols <-> code, and symbols -> cells of level 3.

    symbols --guess from the cells before--> differences --encode_base_symbols--> code

Its tables are part of the format, so that any store gives its coarse view, whatever models are
installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import healpy
import numpy as np
import numpy.typing as npt

from hpcodec.entropy.coding import decode_base, encode_base
from hpcodec.entropy.tables import BINS, LARGEST, TOTAL, Tables
from hpcodec.errors import FormatError
from hpcodec.fields import CompressedField
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count

__all__ = [
    "base_cells",
    "base_tables",
    "decode_base_symbols",
    "encode_base_symbols",
    "predicted_base",
]

Integers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

# Of table s, in 65536ths: how much less likely each next larger magnitude is, so that their mean is
# 2**(s / 4); in the first, 0.6.
_FALL = (18152, 30518, 33924, 37278, 40503, 43539, 46341, 48887, 51169, 53191, 54967, 56514, 57854)


@lru_cache(maxsize=1)
def base_tables() -> Tables:
    """Tables of the base field, ``(1, 64, 49)``, two-sided geometric, whole numbers throughout.

    Those beyond the thirteenth, for symbols above 2**18, are like that.
    """
    tables = np.empty((1, BINS, 2 * LARGEST + 1), np.int64)
    for number in range(BINS):
        fall, weights = _FALL[min(number, len(_FALL) - 1)], [1 << 32]
        for _ in range(LARGEST):
            weights.append(weights[-1] * fall >> 16)
        both = weights[:0:-1] + weights
        room = TOTAL - len(both)
        tables[0, number] = [1 + weight * room // sum(both) for weight in both]
        tables[0, number, LARGEST] += TOTAL - tables[0, number].sum()
    return tables


def encode_base_symbols(base: Integers, follows: bool) -> bytes:
    """Code of base symbols ``(768,)``, of a field on its own or of one that follows another."""
    # What a base field that follows another still has to tell is too uneven to be guessed at.
    return encode_base(base if follows else predicted_base(base), base_tables())


def decode_base_symbols(code: bytes, follows: bool) -> Integers:
    """Inverse of :func:`encode_base_symbols`.

    Raises
    ------
    FormatError
        If the code is none.
    """
    rest = decode_base(code, base_tables())
    return rest if follows else _restored(rest)


def base_cells(chain: Sequence[CompressedField]) -> Floats:
    """Base field of the last of a chain of fields, each following the one before it.

    Parameters
    ----------
    chain : sequence of CompressedField
        The first on its own.

    Returns
    -------
    ndarray of float32
        ``(768,)``, nested order, normalised; what the network gives at level 3, bit for bit.

    Raises
    ------
    FormatError
        If the first follows another, or a later one does not.
    """
    cells = np.zeros(cell_count(BASE_LEVEL), np.float32)
    for number, field in enumerate(chain):
        if bool(field.carry) != (number > 0):
            raise FormatError(
                "expected the field that another follows; the chunk begins with the other. The "
                "store is damaged."
            )
        with np.errstate(over="ignore"):
            step = np.float32(field.step) * np.float32(2.0 ** (BASE_LEVEL + 1 - FINEST_LEVEL))
            own = field.base.astype(np.float32) * step
            cells = cells + own if number else own
    return cells


def _earlier() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Neighbours of each base cell that come before it, padded with the cell before it."""
    cells = cell_count(BASE_LEVEL)
    near = np.array(healpy.get_all_neighbours(2**BASE_LEVEL, np.arange(cells), nest=True)).T
    known = (near >= 0) & (near < np.arange(cells)[:, None])
    return near, known


_NEAR, _KNOWN = _earlier()


def _guess(base: Integers, cell: int) -> int:
    """Rounded mean of the neighbours before ``cell``; integers, so the same everywhere."""
    known = base[_NEAR[cell][_KNOWN[cell]]]
    if known.size == 0:
        return int(base[cell - 1]) if cell else 0
    return int((2 * known.sum(dtype=np.int64) + known.size) // (2 * known.size))


def predicted_base(base: Integers) -> Integers:
    """Base field minus the guess from what is decoded before each cell, ``(768,)``."""
    guesses = [_guess(base, cell) for cell in range(base.size)]
    return np.asarray(base - np.array(guesses), np.int32)


def _restored(rest: Integers) -> Integers:
    """Inverse of :func:`predicted_base`."""
    base = np.zeros_like(rest)
    for cell in range(rest.size):
        # Python's integers: damaged bytes may sum to more than 32 bits, which then wrap.
        value = int(rest[cell]) + _guess(base, cell)
        base[cell] = (value + 2**31) % 2**32 - 2**31
    return base
