"""A variable on its way into a store: what one field leaves for the next.

fields --write_series--> chunks;  hints, the last field, sums of errors: a Series
its state <--> the journal: who goes on from there writes the same bytes
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from math import prod
from typing import Any

import numpy.typing as npt

from hpcodec.ahead import read_ahead
from hpcodec.errors import MissingValueError, OutputError, UsageError
from hpcodec.fields import Coding, FieldSpec
from hpcodec.figures import ErrorSum
from hpcodec.journal import Journal
from hpcodec.output_store import StoreOutput
from hpcodec.packing import Packing
from hpcodec.pipeline import Encoded, Followed, encode_fields
from hpcodec.step_search import AS_EXPECTED, Hint

__all__ = ["Batches", "Series", "Told", "write_series"]

Stored = npt.NDArray[Any]

Batches = Callable[[int, int], Iterator[tuple[int, Stored]]]
"""First index and fields, as they are stored, of each batch between two leading indices."""

Told = Callable[[str, int, int], None]
"""Called with a variable's name, fields done, and fields in all."""


class Series:
    """What the fields of a variable, in the order of its flattened leading axes, leave so far.

    Parameters
    ----------
    leading : sequence of int
        Sizes of the leading axes.
    coding : Coding
        Of the variable.
    packing : Packing
        How its numbers are stored.
    """

    def __init__(self, leading: Sequence[int], coding: Coding, packing: Packing) -> None:
        weights = coding.grid.area_weights
        self.errors, self.floors = ErrorSum(weights), ErrorSum(weights)
        self.done = 0  # fields
        # Bytes of the payloads, and of these what tells where values are missing.
        self.size = self.masks = sum(map(len, coding.masks))
        self.corrections = 0  # of the payloads, what keeps a bound
        self._length, self._cycle = prod(leading[:1]), prod(leading[1:])
        self._key_every, self._packing = coding.key_every, packing
        # Fields that follow another have hints of their own: they need other steps than key fields.
        self._hints: dict[tuple[int, bool], Hint] = {}
        self._open: dict[int, tuple[list[bytes], Followed | None]] = {}
        self._fields_sum = self._chunks_sum = 0  # CRC-32

    @property
    def settled(self) -> bool:
        """Whether all fields taken are in chunks that are whole: the only state worth keeping."""
        return not self._open

    def closes(self, step: int) -> bool:
        """Whether the field at ``step`` is the last of its chunk."""
        index = step // self._cycle + 1
        return index % self._key_every == 0 or index == self._length

    def before(self, step: int) -> tuple[Hint, Followed | None]:
        """What the field at ``step`` starts from.

        What was found at the same level or member a time before, or else at the last field: so
        that the bytes do not depend on the batch.
        """
        place = step % self._cycle
        is_key, known = place not in self._open, self._hints
        hint = known.get((place, is_key), known.get((-1, is_key), known.get((-1, True))))
        return hint or AS_EXPECTED, None if is_key else self._open[place][1]

    def take(self, step: int, field: Stored, encoded: Encoded) -> bytes:
        """Take in the field at ``step``, ``(rows, columns)``, after encoding.

        Returns
        -------
        bytes
            The chunk that it makes whole; else nothing.
        """
        place = step % self._cycle
        is_key = place not in self._open
        self._hints[-1, is_key] = self._hints[place, is_key] = encoded.hint
        payloads, _ = self._open.pop(place, ([], None))
        payloads += encoded.payloads
        chunk = b"".join(payloads) if self.closes(step) else b""
        if not chunk:
            self._open[place] = payloads, encoded.last
        truth = self._packing.unpack(field[None])
        self.errors.add(self._packing.unpack(encoded.decoded), truth)
        self.floors.add(self._packing.unpack(encoded.floor), truth)
        self.done = step + 1
        self.size += len(encoded.payloads[0])
        self.masks += encoded.mask_bytes
        self.corrections += encoded.correction_bytes
        self._fields_sum = zlib.crc32(field.tobytes(), self._fields_sum)
        self._chunks_sum = zlib.crc32(chunk, self._chunks_sum)
        return chunk

    @property
    def detailed(self) -> bool:
        """Whether the last field taken is a base field and a detail."""
        hint = self._hints.get((-1, True))
        return hint is not None and bool(hint.detailed)

    @property
    def state(self) -> dict[str, Any]:
        """All that the next field starts from, when it is settled, as JSON holds it."""
        assert self.settled
        return {
            "done": self.done,
            "size": self.size,
            "masks": self.masks,
            "corrections": self.corrections,
            "sums": [self._fields_sum, self._chunks_sum],
            "errors": self.errors.sums,
            "floors": self.floors.sums,
            "hints": [[*key, *astuple(hint)] for key, hint in self._hints.items()],
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Begin with the state of another time."""
        self.done, self.size, self.masks = (state[key] for key in ("done", "size", "masks"))
        self.corrections = state["corrections"]
        self._fields_sum, self._chunks_sum = state["sums"]
        self.errors.go_on(state["errors"])
        self.floors.go_on(state["floors"])
        self._hints = {(place, key): Hint(*hint) for place, key, *hint in state["hints"]}


def write_series(
    output: StoreOutput,
    journal: Journal,
    spec: FieldSpec,
    coding: Coding,
    batches: Batches,
    device: str,
    told: Told,
) -> Series:
    """Compress the fields of a variable into its array, from where the journal has it.

    Parameters
    ----------
    output, journal : StoreOutput, Journal
        Of the store.
    spec, coding : FieldSpec, Coding
        The variable, and how it is coded.
    batches : callable
        Gives the fields between two flattened leading indices.
    device : str
        Torch device, or ``auto``.
    told : callable
        Called after every batch.

    Raises
    ------
    UsageError
        If a field cannot be had as asked.
    OutputError
        If the store cannot be written, or is not what the journal says, nor the source.
    """
    series = Series(spec.leading_shape, coding, spec.packing)
    if state := journal.state(spec.name):
        _check_done(state, output, spec, series, batches)
        series.go_on(state)
    with closing(read_ahead(batches(series.done, spec.steps))) as coming:
        for start, values in coming:
            for step, field in enumerate(values, start):
                with _named(spec.name):
                    encoded = encode_fields(field[None], coding, device, *series.before(step))
                if chunk := series.take(step, field, encoded):
                    output.put(spec.name, step, chunk)
                if series.settled:
                    journal.tell(spec.name, series.state)
            told(spec.name, start + len(values), spec.steps)
    return series


def _check_done(
    state: dict[str, Any], output: StoreOutput, spec: FieldSpec, series: Series, batches: Batches
) -> None:
    """Refuse to go on with another source, or with chunks that are not those written."""
    fields = chunks = 0
    for _, values in batches(0, state["done"]):
        fields = zlib.crc32(values.tobytes(), fields)
    for step in filter(series.closes, range(state["done"])):
        chunks = zlib.crc32(output.chunk(spec.name, step), chunks)
    if fields != state["sums"][0]:
        raise OutputError(
            f"expected the fields of '{spec.name}' that the unfinished store was begun with; got "
            "others. The source has changed: begin anew with --overwrite."
        )
    if chunks != state["sums"][1]:
        raise OutputError(
            f"expected the chunks of '{spec.name}' as they were written; got others. The "
            "unfinished store is damaged: begin anew with --overwrite."
        )


@contextmanager
def _named(variable: str) -> Iterator[None]:
    """Name the variable in what is said of a field that cannot be had as asked."""
    try:
        yield
    except (UsageError, MissingValueError) as error:
        raise type(error)(f"'{variable}': {error}") from error
