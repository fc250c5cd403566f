"""How often symbols of bands were found: what tables follow, symbol by symbol.

symbols, Plan --learn--> counts --tables--> integer tables
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.tables import LARGEST, TOTAL, Plan, Tables, high_part

__all__ = ["COUNT", "Counts", "geometric"]

Integers = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

COUNT = 512
"""What a symbol found counts."""

_FORGET = 3000 * COUNT


class Counts:
    """How often each symbol was found, by table.

    Parameters
    ----------
    expected : ndarray of float64
        ``(tables, 2 * LARGEST + 1)``, chances before any is found.
    sure : int
        Symbols that this counts as.
    """

    def __init__(self, expected: npt.NDArray[np.float64], sure: int) -> None:
        self._found: Longs = 1 + (sure * COUNT * expected).astype(np.int64)

    def tables(self) -> Tables:
        """Tables as :mod:`hpcodec.entropy.coding` takes them."""
        entries = self._found.shape[1]
        tables: Longs = 1 + self._found * (TOTAL - entries) // self._found.sum(1, keepdims=True)
        tables[:, LARGEST] += TOTAL - tables.sum(1)
        return tables

    def learn(self, symbols: Integers, plan: Plan) -> None:
        """Count symbols; and halve what is large, for finer bands are not like coarse ones."""
        high = np.clip(high_part(symbols, plan), -LARGEST, LARGEST) + LARGEST
        entries = self._found.shape[1]
        seen = np.bincount(plan.table * entries + high, minlength=self._found.size)
        self._found += COUNT * seen.reshape(self._found.shape)
        large = self._found.sum(1) > _FORGET
        self._found[large] = (self._found[large] + 1) >> 1


def geometric(top: int) -> npt.NDArray[np.float64]:
    """Chances ``(top + 1, 2 * LARGEST + 1)`` by activity, of magnitudes that fall alike."""
    size = np.abs(np.arange(2 * LARGEST + 1) - LARGEST)
    mean = np.rint(2 ** (np.arange(top + 1) / 3))[:, None]
    share = mean / (mean + 256)
    expected: npt.NDArray[np.float64] = np.where(size == 0, 1 - share, share / 2 * (1 - share))
    for _ in range(LARGEST):  # products one by one: the same on every machine
        expected = np.where(size > 1, expected * share, expected)
        size = np.maximum(size - 1, 0)
    return expected
