"""Symbols of a compressed field <-> bytes, by a range coder with a model's integer tables.

    symbols of a level --encode_level--> bytes --decode_level--> symbols

A level is six passes: its three components, each first on the black and then on the white squares
of the faces. Each pass knows all that was decoded before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from hpcodec.entropy.activity import (
    COMPONENTS,
    Surroundings,
    on_faces,
    on_nested,
    places,
)
from hpcodec.entropy.choice import choose, worth_of_a_bit
from hpcodec.entropy.tables import (
    LARGEST,
    LARGEST_SIZE,
    TOTAL,
    EntropyModel,
    Plan,
    Tables,
    base_plan,
    base_size,
    groups,
    high_part,
    plan_for,
    table_row,
)
from hpcodec.errors import FormatError
from hpcodec.grid import BASE_LEVEL, cell_count

__all__ = [
    "Decoder",
    "LevelEncoder",
    "RangeEncoder",
    "decode_base",
    "decode_level",
    "decode_planned",
    "encode_base",
    "encode_level",
    "encode_planned",
]

# A compiled module: its parts are attributes, not importable names, and have no types.
Categorical, Uniform = constriction.stream.model.Categorical, constriction.stream.model.Uniform
RangeEncoder = constriction.stream.queue.RangeEncoder
RangeDecoder = constriction.stream.queue.RangeDecoder

Integers = npt.NDArray[np.int32]


class _Plans:
    """Plans for the passes of a level, each from what is decoded before it."""

    def __init__(
        self, model: EntropyModel, base: Integers, coarser: Sequence[Integers], step: float
    ) -> None:
        level = BASE_LEVEL + 1 + len(coarser)
        if level not in model.known:
            raise FormatError(f"expected a level that the model has; got {level}. It is damaged.")
        self._network = model.network
        self._surroundings = Surroundings(level, base, coarser, step, model.known[level])
        self.nside = 2 ** (level - 1)

    def plan(self, component: int, phase: int, symbols: Integers) -> Plan:
        """Plan for a pass; ``symbols`` ``(3, 12, nside, nside)`` as far as they are decoded."""
        features = self._surroundings.features(component, phase, symbols)
        return plan_for(self._network(component, features))


class LevelEncoder:
    """Chooses and codes the symbols of a level, component by component.

    Parameters
    ----------
    model : EntropyModel
        Of the field's model.
    base : ndarray of int32
        Base symbols, ``(768,)``.
    coarser : sequence of ndarray of int32
        Symbols of the levels before, ``(3, cells)`` each, nested.
    step : float
        Of the field.
    """

    def __init__(
        self, model: EntropyModel, base: Integers, coarser: Sequence[Integers], step: float
    ) -> None:
        self._tables = model.tables
        self._plans = _Plans(model, base, coarser, step)
        nside = self._plans.nside
        self._symbols = np.zeros((COMPONENTS, 12, nside, nside), np.int32)
        self._coder = RangeEncoder()
        self._worth = worth_of_a_bit(step)

    def take(self, component: int, scaled: npt.NDArray[Any]) -> Integers:
        """Symbols of a component, both ``(12, nside, nside)``.

        ``scaled`` are surprises over the step, or the symbols themselves where they are given.
        """
        row = self._tables[table_row(component)]
        symbols = self._symbols[component].reshape(-1)
        flat = scaled.reshape(-1)
        for phase, where in enumerate(places(self._plans.nside)):
            plan = self._plans.plan(component, phase, self._symbols)
            given = flat.dtype.kind == "i"
            symbols[where] = flat[where] if given else choose(flat[where], plan, row, self._worth)
            encode_planned(self._coder, symbols[where], plan, row)
        taken: Integers = self._symbols[component]
        return taken

    @property
    def symbols(self) -> Integers:
        """All that was taken, ``(3, cells)``, nested."""
        return np.ascontiguousarray(on_nested(self._symbols))

    @property
    def code(self) -> bytes:
        """The level's code, once all components are taken; nothing says that all are zero."""
        if not self._symbols.any():
            return b""
        return bytes(self._coder.get_compressed().astype("<u4").tobytes())


def encode_level(
    model: EntropyModel,
    symbols: Integers,
    base: Integers,
    coarser: Sequence[Integers],
    step: float,
) -> bytes:
    """Code of one level's symbols ``(3, cells)``; the rest as for :class:`LevelEncoder`."""
    encoder = LevelEncoder(model, base, coarser, step)
    for component, faces in enumerate(on_faces(symbols)):
        encoder.take(component, faces)
    return encoder.code


def decode_level(
    model: EntropyModel, code: bytes, base: Integers, coarser: Sequence[Integers], step: float
) -> Integers:
    """Inverse of :func:`encode_level`.

    Raises
    ------
    FormatError
        If the code is not one of this model's.
    """
    if not code:
        return np.zeros((COMPONENTS, cell_count(BASE_LEVEL + len(coarser))), np.int32)
    decoder = Decoder(code)
    decoder.check(COMPONENTS * base.size * 4 ** len(coarser), model.tables)
    plans = _Plans(model, base, coarser, step)
    faces = np.zeros((COMPONENTS, 12, plans.nside, plans.nside), np.int32)
    for component in range(COMPONENTS):
        for phase, where in enumerate(places(plans.nside)):
            plan = plans.plan(component, phase, faces)
            faces[component].reshape(-1)[where] = decode_planned(
                decoder, plan, model.tables[table_row(component)]
            )
    decoder.finish()
    return np.ascontiguousarray(on_nested(faces))


def encode_base(symbols: Integers, tables: Tables) -> bytes:
    """Code of the base symbols ``(768,)``: a byte for their size class, then their code."""
    size = base_size(symbols)
    coder = RangeEncoder()
    encode_planned(coder, symbols, base_plan(size), tables[0])
    return bytes([size]) + bytes(coder.get_compressed().astype("<u4").tobytes())


def decode_base(code: bytes, tables: Tables) -> Integers:
    """Inverse of :func:`encode_base`."""
    if not code or code[0] > LARGEST_SIZE:
        raise FormatError("expected the code of a base field; got none. The store is damaged.")
    decoder = Decoder(code[1:])
    symbols = decode_planned(decoder, base_plan(code[0]), tables[0])
    decoder.finish()
    return symbols


def _model(table: npt.NDArray[np.integer]) -> Any:  # noqa: ANN401  (constriction has no types)
    # Parts of 2**20 are exact in floating point, so every machine builds the same model.
    return Categorical(table.astype(np.float64) / TOTAL, perfect=False)


class Decoder:
    """Range decoder of untrusted code: it counts the bits that symbols take at least.

    The library's own reads zeros beyond the end, for as long as it is asked to.
    """

    def __init__(self, code: bytes) -> None:
        if len(code) % 4:
            raise FormatError(f"expected code of whole 4-byte words; got {len(code)} bytes.")
        self._decoder = RangeDecoder(np.frombuffer(code, "<u4").astype(np.uint32))
        self._left = 8.0 * len(code) + _SPARE

    def spend(self, bits: float) -> None:
        """Refuse to go on where the code has not so many bits left."""
        self._left -= bits
        if self._left < 0:
            raise FormatError("expected code of all symbols; got an end before. It is damaged.")

    def check(self, count: int, tables: Tables) -> None:
        """Refuse, before any work is done, what cannot hold so many symbols of any table."""
        left = self._left
        self.spend(count * float(np.log2(TOTAL / tables.max())))
        self._left = left

    def symbols(self, table: npt.NDArray[np.integer], count: int) -> Integers:
        """Next symbols of a table."""
        self.spend(count * float(np.log2(TOTAL / table.max())))
        return self._take(_model(table), count)

    def numbers(self, bits: int, count: int) -> Integers:
        """Next whole numbers of so many bits."""
        self.spend(count * bits)
        return self._take(Uniform(1 << bits), count)

    def finish(self) -> None:
        """Refuse code that goes on after its last symbol."""
        if not self._decoder.maybe_exhausted():
            raise FormatError("expected the end of the code; got more. It is damaged.")

    def _take(self, model: Any, count: int) -> Integers:  # noqa: ANN401
        try:
            taken: Integers = self._decoder.decode(model, count)
        except (AssertionError, ValueError) as error:
            raise FormatError(f"expected code of this model's tables; got {error}.") from error
        return taken


_SPARE = 128  # bits: what the coder itself holds back


def encode_planned(coder: Any, symbols: Integers, plan: Plan, tables: Tables) -> None:  # noqa: ANN401
    """Put symbols into a range coder: by tables, those of the same one together."""
    high, plain = high_part(symbols, plan), plan.plain
    clipped = (np.clip(high, -LARGEST, LARGEST) + LARGEST).astype(np.int32)
    for number, chosen in groups(plan):
        coder.encode(clipped[chosen], _model(tables[number]))
    low = symbols & ((1 << plain) - 1)
    for bits in np.unique(plain[plain > 0]).tolist():
        coder.encode(low[plain == bits].astype(np.int32), Uniform(1 << bits))
    for value in np.abs(high[np.abs(high) >= LARGEST]).tolist():
        _encode_number(coder, value - LARGEST)


def decode_planned(decoder: Decoder, plan: Plan, tables: Tables) -> Integers:
    """Inverse of :func:`encode_planned`."""
    plain = plan.plain
    high, low = np.zeros(plain.size, np.int64), np.zeros(plain.size, np.int64)
    for number, chosen in groups(plan):
        high[chosen] = decoder.symbols(tables[number], chosen.size) - LARGEST
    for bits in np.unique(plain[plain > 0]).tolist():
        chosen = np.flatnonzero(plain == bits)
        low[chosen] = decoder.numbers(bits, chosen.size)
    for place in np.flatnonzero(np.abs(high) >= LARGEST):
        high[place] += np.sign(high[place]) * _decode_number(decoder)
    symbols = (high << plain) + low
    return np.asarray(np.clip(symbols, -(2**31), 2**31 - 1), np.int32)


_LENGTH_BITS = 5
_LENGTHS = Uniform(1 << _LENGTH_BITS)
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


def _decode_number(decoder: Decoder) -> int:
    length = int(decoder.numbers(_LENGTH_BITS, 1)[0])
    rest = 0
    for start in range(0, length, _WORD):
        bits = min(_WORD, length - start)
        rest |= int(decoder.numbers(bits, 1)[0]) << start
    return (1 << length) + rest - 1
