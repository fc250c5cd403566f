"""A part of a variable on its way into a store: what one field leaves for the next.

encoded fields --Series.take--> chunks;  hints, the last field, sums of errors
its state <--> the journal: who goes on from there writes the same bytes
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import astuple
from math import prod
from typing import Any

import numpy.typing as npt

from hpcodec.fields import Coding
from hpcodec.figures import ErrorSum
from hpcodec.packing import Packing
from hpcodec.pipeline import Encoded, Followed
from hpcodec.step_search import AS_EXPECTED, Hint

__all__ = ["Series", "State"]

Stored = npt.NDArray[Any]

State = dict[str, Any]
"""What the next field of a part starts from, and sums over those before, as JSON holds it."""


class Series:
    """What the fields of a variable, in the order of its flattened leading axes, leave so far.

    Parameters
    ----------
    leading : sequence of int
        Sizes of the leading axes; those of a part, which begins with a key field.
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
        self.size = self.masks = 0
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
            "detailed": self.detailed,
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
