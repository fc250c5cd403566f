"""Which symbol a surprise deserves: the error it saves, weighed against the bits it costs.

surprises in steps, Plan, tables --choose--> symbols
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.tables import LARGEST, TOTAL, Plan, Tables

__all__ = ["choose", "worth_of_a_bit"]

# Squared error, in steps, that a bit has to save at step 1, what an octave of the step adds, and
# the limits: measured on the validation fields, docs/design/rate.md.
_AT_ONE, _OCTAVE = 0.12, 0.04
_LEAST, _MOST = 0.06, 0.26

_MOST_SIZE = 2.0**31 - 256  # the largest float32 that an int32 holds with room to spare


def worth_of_a_bit(step: float) -> float:
    """Squared error, in steps, that a bit has to save: more where the step leaves few symbols."""
    return float(np.clip(_AT_ONE + _OCTAVE * np.log2(step), _LEAST, _MOST))


def choose(
    scaled: npt.NDArray[np.float32], plan: Plan, tables: Tables, worth: float
) -> npt.NDArray[np.int32]:
    """Symbols of surprises, the nearest or the next one down, whichever is worth its bits.

    Parameters
    ----------
    scaled : ndarray of float32
        ``(symbols,)``, surprises over the step.
    plan : Plan
        How these symbols will be coded.
    tables : ndarray of integers
        ``(BINS, 2 * LARGEST + 1)``, those of the component.
    worth : float
        Squared error, in steps, that a bit has to save.
    """
    size = np.minimum(np.abs(scaled), _MOST_SIZE)
    symbols = np.rint(size)
    # Where low bits go plainly, all near symbols cost the same.
    at = np.flatnonzero((symbols > 0) & (symbols <= LARGEST) & (plan.plain == 0))
    near, table = symbols[at].astype(np.int64), plan.table[at]
    bits = _bits(tables.tobytes(), tables.dtype.str)
    sign = np.where(scaled[at] < 0, -1, 1)
    price = bits[table, LARGEST + sign * near] - bits[table, LARGEST + sign * (near - 1)]
    saving = np.square(size[at] - (near - 1)) - np.square(size[at] - near)
    symbols[at] -= saving < worth * price
    return np.asarray(np.copysign(symbols, scaled), np.int32)


@lru_cache(maxsize=32)
def _bits(tables: bytes, dtype: str) -> npt.NDArray[np.float32]:
    """Bits of the symbols in each table."""
    counts = np.frombuffer(tables, dtype).reshape(-1, 2 * LARGEST + 1)
    return np.asarray(-np.log2(counts / TOTAL), np.float32)
