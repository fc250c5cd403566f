"""Entropy tables: counted from training fields, kept as integers beside the weights.

CompressedFields --count--> occurrences of symbols in every context --tables--> integers
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hpcodec.entropy import (
    LARGEST,
    TABLE_SHAPE,
    TOTAL,
    Plan,
    Tables,
    base_plan,
    base_size,
    contexts,
    groups,
    high_part,
    table_row,
    unevenness,
)
from hpcodec.fields import CompressedField
from hpcodec.grid import BASE_LEVEL
from hpcodec.stages.wire import predicted_base

__all__ = ["count_symbols", "fit_tables", "tables_from_counts"]

# A context seen as often as this is trusted as much as the smooth guess.
_TRUST = 30.0


def fit_tables(fields: Iterable[CompressedField]) -> Tables:
    """Tables of ``TABLE_SHAPE`` that code ``fields``, and others like them, well."""
    counts = np.zeros(TABLE_SHAPE, np.int64)
    for compressed in fields:
        count_symbols(compressed, counts)
    return tables_from_counts(counts)


def count_symbols(compressed: CompressedField, counts: npt.NDArray[np.int64]) -> None:
    """Add the symbols of ``compressed`` to ``counts``, of ``TABLE_SHAPE``."""
    base = predicted_base(compressed.base)
    _count(base, base_plan(base_size(base)), counts[0])
    parents = unevenness(compressed.base)
    for level, symbols in enumerate(compressed.residuals, BASE_LEVEL + 1):
        for component in range(len(symbols)):
            plan = contexts(parents, symbols[:component])
            _count(symbols[component], plan, counts[table_row(level, component)])
        parents = symbols


def _count(symbols: npt.NDArray[np.int32], plan: Plan, counts: npt.NDArray[np.int64]) -> None:
    high = np.clip(high_part(symbols, plan), -LARGEST, LARGEST) + LARGEST
    for number, places in groups(plan):
        counts[number] += np.bincount(high[places], minlength=2 * LARGEST + 1)


def tables_from_counts(counts: npt.NDArray[np.int64]) -> Tables:
    """Integer tables from counts: every symbol possible, every table summing to ``TOTAL``.

    Contexts seen rarely lean on a two-sided geometric distribution of the mean magnitude that
    their row shows in the contexts around.
    """
    tables = np.empty(TABLE_SHAPE, np.int64)
    for row, seen in enumerate(counts):
        means = _magnitudes(seen)
        for number, mean in enumerate(means):
            guess = _geometric(mean)
            share = (seen[number] + _TRUST * guess) / (seen[number].sum() + _TRUST)
            tables[row, number] = _integers((share + share[::-1]) / 2)
    return tables.astype(np.uint16)


def _magnitudes(seen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean magnitude in each context, filled in from the nearest that was seen."""
    size = np.abs(np.arange(-LARGEST, LARGEST + 1))
    total = seen.sum(1)
    known = np.flatnonzero(total > 0)
    if not known.size:
        return np.full(len(seen), 1.0)
    means = (seen[known] * size).sum(1) / total[known]
    return np.asarray(np.interp(np.arange(len(seen)), known, means))


def _geometric(mean: float) -> npt.NDArray[np.float64]:
    """Two-sided geometric distribution of a mean magnitude, on -24 to 24."""
    ratio = np.clip(mean / (1 + mean), 1e-3, 0.97)
    share = ratio ** np.abs(np.arange(-LARGEST, LARGEST + 1))
    return np.asarray(share / share.sum())


def _integers(share: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    whole = np.maximum(1, np.floor(share * (TOTAL - len(share)))).astype(np.int64)
    whole[LARGEST] += TOTAL - whole.sum()
    return whole
