"""Entropy coding of residual symbols with integer tables, chosen by integer context.

    symbols of the parents, symbols coded before --context--> table number, bits to send plainly
    symbol --table--> range coder (constriction)

Whatever chooses a table is arithmetic on integers that the decoder already has, and the tables
are integers kept beside the weights: a stream decodes to the same symbols on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import constriction
import healpy
import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count, level_of

__all__ = [
    "LARGEST",
    "TABLE_SHAPE",
    "TOTAL",
    "Plan",
    "Tables",
    "base_plan",
    "base_size",
    "contexts",
    "decode_base",
    "decode_level",
    "encode_base",
    "encode_level",
    "groups",
    "high_part",
    "table_row",
    "unevenness",
]

# A compiled module: its parts are attributes, not importable names, and have no types.
Categorical, Uniform = constriction.stream.model.Categorical, constriction.stream.model.Uniform
RangeEncoder = constriction.stream.queue.RangeEncoder
RangeDecoder = constriction.stream.queue.RangeDecoder

Integers = npt.NDArray[np.int32]

LARGEST = 24
"""Largest symbol with an entry of its own; beyond it an escape tells the rest."""

TOTAL = 1 << 16
"""Sum of a table."""

# Upper edges of the contexts, in 64ths of a magnitude: three to each doubling. From 4 up, plain
# low bits halve the symbols until their magnitude is below 8 again.
_EDGES = np.array(
    [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 51, 64, 81, 102, 128, 161, 203, 256, 323, 406]
)
_UNIT = 64
_PLAIN_FROM = 8 * _UNIT

# Magnitudes above this say no more about what comes next; it also keeps sums small.
_CAP = 1 << 15
_MOST_PLAIN = 15

BINS = len(_EDGES) + 1
"""Contexts of one component of one level, from "all quiet" up."""

COMPONENTS = 3

TABLE_SHAPE = (1 + COMPONENTS * (FINEST_LEVEL - BASE_LEVEL), BINS, 2 * LARGEST + 1)
"""The base field, then levels 4 to 8 with three components each; contexts; symbols -24 to 24."""

Tables = npt.NDArray[np.integer]
"""Integer tables of ``TABLE_SHAPE``, each summing to ``TOTAL``."""


@lru_cache(maxsize=8)
def _neighbours(cells: int) -> npt.NDArray[np.int64]:
    """The eight neighbours of every cell, itself where one is lacking: ``(cells, 8)``."""
    nside = 2 ** level_of(cells)
    own = np.arange(cells)
    around = np.array(healpy.get_all_neighbours(nside, own, nest=True)).T
    return np.where(around < 0, own[:, None], around)


def _surroundings(magnitude: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Magnitude around each cell, the cell itself four times: weights sum to 12."""
    return np.asarray(4 * magnitude + magnitude[_neighbours(magnitude.size)].sum(-1))


@dataclass(frozen=True, eq=False)
class Plan:
    """How the symbols of one component are coded.

    Parameters
    ----------
    table : ndarray of int64
        ``(cells,)``, which of the component's tables.
    plain : ndarray of int64
        ``(cells,)``, how many low bits are sent as they are.
    """

    table: npt.NDArray[np.int64]
    plain: npt.NDArray[np.int64]


def contexts(parents: Integers, before: Integers) -> Plan:
    """Plan for the next component of a level.

    Parameters
    ----------
    parents : ndarray of int32
        ``(k, cells / 4)``, symbols of the level above; for level 4 :func:`unevenness`,
        ``(1, cells)``.
    before : ndarray of int32
        ``(j, cells)``, the j components of this level that are decoded already.

    Notes
    -----
    The activity is a weighted mean of magnitudes: of the parents and the cells around them, and,
    from the second component on, of this level's cells around. Steps halve from a level to its
    parents', so theirs count half.
    """
    activity = _around(parents, _UNIT, 2)
    activity = activity.repeat(before.shape[1] // activity.size)
    if len(before):
        activity = (activity + 2 * _around(before, _UNIT, 1)) // 3
    return _plan(activity)


def unevenness(base: Integers) -> Integers:
    """How far each base cell is from the mean of those around it: ``(1, 768)``."""
    around = base[_neighbours(base.size)].astype(np.int64).sum(-1)
    return np.asarray((8 * base.astype(np.int64) - around) // 8, np.int32)[None]


def _around(symbols: Integers, unit: int, share: int) -> npt.NDArray[np.int64]:
    """Mean magnitude around each cell in parts of ``unit``, over ``share``: ``(cells,)``."""
    magnitude = np.minimum(np.abs(symbols.astype(np.int64)), _CAP).sum(0)
    return _surroundings(magnitude) * unit // (12 * len(symbols) * share)


def _plan(activity: npt.NDArray[np.int64]) -> Plan:
    """Where much is going on, the low bits are noise and go as they are."""
    plain = np.zeros_like(activity)
    for bits in range(_MOST_PLAIN):
        plain += activity >= _PLAIN_FROM << bits
    return Plan(np.searchsorted(_EDGES, activity >> plain, side="right"), plain)


def table_row(level: int, component: int) -> int:
    """Row of the tables for a component of a level."""
    return 1 + COMPONENTS * (level - BASE_LEVEL - 1) + component


def high_part(symbols: Integers, plan: Plan) -> npt.NDArray[np.int64]:
    """What the tables code of symbols: without the plain bits, not yet clipped."""
    return symbols.astype(np.int64) >> plan.plain


def groups(plan: Plan) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Each context in use, with the places of its symbols."""
    order = np.argsort(plan.table, kind="stable")
    starts = np.searchsorted(plan.table[order], np.arange(BINS + 1))
    for number in range(BINS):
        places = order[starts[number] : starts[number + 1]]
        if places.size:
            yield number, places


def encode_level(level: int, symbols: Integers, parents: Integers, tables: Tables) -> bytes:
    """Code of one level's symbols ``(3, cells)``; ``parents`` as for :func:`contexts`."""
    coder = RangeEncoder()
    for component in range(COMPONENTS):
        plan = contexts(parents, symbols[:component])
        _encode(coder, symbols[component], plan, tables[table_row(level, component)])
    return bytes(coder.get_compressed().astype("<u4").tobytes())


def decode_level(level: int, code: bytes, parents: Integers, tables: Tables) -> Integers:
    """Inverse of :func:`encode_level`.

    Raises
    ------
    FormatError
        If the code is not one of these tables'.
    """
    decoder = _decoder(code)
    symbols = np.zeros((COMPONENTS, cell_count(level - 1)), np.int32)
    for component in range(COMPONENTS):
        plan = contexts(parents, symbols[:component])
        symbols[component] = _decode(decoder, plan, tables[table_row(level, component)])
    return symbols


def base_plan(size: int) -> Plan:
    """Plan for base symbols whose mean magnitude is about ``2**(size / 4)``, all alike."""
    activity = _UNIT * _QUARTERS[size % 4] * 2 ** (size // 4) // _QUARTERS[0]
    return _plan(np.full(cell_count(BASE_LEVEL), activity, np.int64))


_QUARTERS = (4096, 4871, 5793, 6889)  # 2**12 times 2**(0, 1/4, 1/2, 3/4)
_LARGEST_SIZE = 120


def base_size(symbols: Integers) -> int:
    """Size class of base symbols, for :func:`base_plan`."""
    mean = float(np.abs(symbols.astype(np.int64)).mean())
    return int(np.clip(round(4 * np.log2(max(mean, 1))), 0, _LARGEST_SIZE))


def encode_base(symbols: Integers, tables: Tables) -> bytes:
    """Code of the base symbols ``(768,)``: a byte for their size class, then their code."""
    size = base_size(symbols)
    coder = RangeEncoder()
    _encode(coder, symbols, base_plan(size), tables[0])
    return bytes([size]) + bytes(coder.get_compressed().astype("<u4").tobytes())


def decode_base(code: bytes, tables: Tables) -> Integers:
    """Inverse of :func:`encode_base`."""
    if not code or code[0] > _LARGEST_SIZE:
        raise FormatError("expected the code of a base field; got none. The store is damaged.")
    return _decode(_decoder(code[1:]), base_plan(code[0]), tables[0])


def _model(table: npt.NDArray[np.integer]) -> Any:  # noqa: ANN401  (constriction has no types)
    # Parts of 2**16 are exact in floating point, so every machine builds the same model.
    return Categorical(table.astype(np.float64) / TOTAL, perfect=False)


def _decoder(code: bytes) -> Any:  # noqa: ANN401
    if len(code) % 4:
        raise FormatError(f"expected code of whole 4-byte words; got {len(code)} bytes.")
    return RangeDecoder(np.frombuffer(code, "<u4").astype(np.uint32))


def _encode(coder: Any, symbols: Integers, plan: Plan, tables: Tables) -> None:  # noqa: ANN401
    high, plain = high_part(symbols, plan), plan.plain
    for number, places in groups(plan):
        clipped = np.clip(high[places], -LARGEST, LARGEST) + LARGEST
        coder.encode(clipped.astype(np.int32), _model(tables[number]))
    low = symbols & ((1 << plain) - 1)
    for bits in np.unique(plain[plain > 0]).tolist():
        coder.encode(low[plain == bits].astype(np.int32), Uniform(1 << bits))
    for value in np.abs(high[np.abs(high) >= LARGEST]).tolist():
        _encode_number(coder, value - LARGEST)


def _decode(decoder: Any, plan: Plan, tables: Tables) -> Integers:  # noqa: ANN401
    plain = plan.plain
    high, low = np.zeros(plain.size, np.int64), np.zeros(plain.size, np.int64)
    try:
        for number, places in groups(plan):
            high[places] = decoder.decode(_model(tables[number]), places.size) - LARGEST
        for bits in np.unique(plain[plain > 0]).tolist():
            places = np.flatnonzero(plain == bits)
            low[places] = decoder.decode(Uniform(1 << bits), places.size)
        for place in np.flatnonzero(np.abs(high) >= LARGEST):
            high[place] += np.sign(high[place]) * _decode_number(decoder)
    except (AssertionError, ValueError) as error:
        raise FormatError(f"expected code of this model's tables; got {error}.") from error
    symbols = (high << plain) + low
    return np.asarray(np.clip(symbols, -(2**31), 2**31 - 1), np.int32)


_LENGTHS = Uniform(32)
_WORD = 16


def _encode_number(coder: Any, value: int) -> None:  # noqa: ANN401
    """What an escape leaves: the length of a number, then its bits, 16 at a time."""
    length = (value + 1).bit_length() - 1
    coder.encode(np.array([length], np.int32), _LENGTHS)
    rest = value + 1 - (1 << length)
    for start in range(0, length, _WORD):
        bits = min(_WORD, length - start)
        part = rest >> start & ((1 << bits) - 1)
        coder.encode(np.array([part], np.int32), Uniform(1 << bits))


def _decode_number(decoder: Any) -> int:  # noqa: ANN401
    length = int(decoder.decode(_LENGTHS, 1)[0])
    rest = 0
    for start in range(0, length, _WORD):
        bits = min(_WORD, length - start)
        rest |= int(decoder.decode(Uniform(1 << bits), 1)[0]) << start
    return (1 << length) + rest - 1
