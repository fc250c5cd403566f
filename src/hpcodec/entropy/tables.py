"""Which integer table codes a symbol, and how many of its low bits go plainly.

activity --plan_for--> Plan        size class of a base field --base_plan--> Plan
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.activity import COMPONENTS, Known
from hpcodec.entropy.integer_network import ActivityNetwork
from hpcodec.grid import BASE_LEVEL, cell_count

__all__ = [
    "BINS",
    "LARGEST",
    "LARGEST_SIZE",
    "TABLE_SHAPE",
    "TOTAL",
    "EntropyModel",
    "Plan",
    "Tables",
    "base_plan",
    "base_size",
    "groups",
    "high_part",
    "plan_for",
    "table_row",
]

Integers = npt.NDArray[np.int32]

LARGEST = 24
"""Largest symbol with an entry of its own; beyond it an escape tells the rest."""

TOTAL = 1 << 20
"""Sum of a table: so fine that millions of sure zeros cost next to nothing."""

BINS = 64
"""Tables of a component, from "surely zero" up in thirds of an octave."""

_OCTAVE = 3
_MOST_PLAIN = 15

TABLE_SHAPE = (1 + COMPONENTS, BINS, 2 * LARGEST + 1)
"""The base field, then the three components of every level; activity; symbols -24 to 24."""

Tables = npt.NDArray[np.integer]
"""Integer tables of ``TABLE_SHAPE``, each summing to ``TOTAL``."""


@dataclass(frozen=True, eq=False)
class EntropyModel:
    """All that codes symbols, whole numbers throughout.

    Parameters
    ----------
    tables : ndarray of integers
        Of ``TABLE_SHAPE``.
    network : ActivityNetwork
        Tells which of them.
    known : dict of int to ndarray of uint8
        From :func:`hpcodec.entropy.activity.known_features`.
    """

    tables: Tables
    network: ActivityNetwork
    known: Known


@dataclass(frozen=True, eq=False)
class Plan:
    """How some symbols are coded.

    Parameters
    ----------
    table : ndarray of int64
        ``(symbols,)``, which of the row's tables.
    plain : ndarray of int64
        ``(symbols,)``, how many low bits are sent as they are.
    """

    table: npt.NDArray[np.int64]
    plain: npt.NDArray[np.int64]


def plan_for(activity: npt.NDArray[np.int64], top: int = BINS - 1) -> Plan:
    """Plan for symbols of some activity: where much is going on, the low bits are noise.

    ``top`` is the activity of the last table.
    """
    beyond = np.maximum(activity - top, 0)
    plain = np.minimum((beyond + _OCTAVE - 1) // _OCTAVE, _MOST_PLAIN)
    return Plan(np.clip(activity - _OCTAVE * plain, 0, top), plain)


def table_row(component: int) -> int:
    """Row of the tables for a component of any level."""
    return 1 + component


_BASE_TOP = 4 * 3
LARGEST_SIZE = 120
"""Largest size class of base symbols."""


def base_plan(size: int) -> Plan:
    """Plan for base symbols whose mean magnitude is about ``2**(size / 4)``, all alike."""
    plain = min(max(size - _BASE_TOP + 3, 0) // 4, _MOST_PLAIN)
    shape = cell_count(BASE_LEVEL)
    table = min(size - 4 * plain, BINS - 1)
    return Plan(np.full(shape, table, np.int64), np.full(shape, plain, np.int64))


def base_size(symbols: Integers) -> int:
    """Size class of base symbols, for :func:`base_plan`."""
    mean = float(np.abs(symbols.astype(np.int64)).mean())
    return int(np.clip(round(4 * np.log2(max(mean, 1))), 0, LARGEST_SIZE))


def high_part(symbols: Integers, plan: Plan) -> npt.NDArray[np.int64]:
    """What the tables code of symbols: without the plain bits, not yet clipped."""
    return symbols.astype(np.int64) >> plan.plain


def groups(plan: Plan) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Each table in use, with the places of its symbols."""
    table = plan.table.astype(np.uint8)  # so short numbers are sorted by radix
    order = np.argsort(table, kind="stable")
    numbers = np.arange(int(table.max(initial=0)) + 1)
    starts = np.searchsorted(table[order], [*numbers, numbers.size])
    for number in numbers.tolist():
        places = order[starts[number] : starts[number + 1]]
        if places.size:
            yield number, places
