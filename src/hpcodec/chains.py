"""Fields that follow each other: the payloads of a chunk, and the trails that decoding needs.

payload, ... --Chunk.taken--> chunk    payloads, each after those it follows --unchain--> fields
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcodec.coarse import chain_of, unpacked
from hpcodec.errors import FormatError
from hpcodec.fields import Coding, CompressedField, Scaling
from hpcodec.models import Model

if TYPE_CHECKING:
    from hpcodec.stages.trail import Trail

__all__ = ["Chunk", "Followed", "last_of", "unchain"]


@dataclass(frozen=True, eq=False)
class Followed:
    """A field that another may follow: its scaling, which both have, and its trail."""

    scaling: Scaling
    trail: Trail


class Chunk:
    """Payloads of one chunk, of so many fields, until it is whole."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._payloads: list[bytes] = []
        self.last: Followed | None = None

    def taken(self, payload: bytes, last: Followed | None, final: bool) -> bytes:
        """The chunk, if this field or the end of the axis makes it whole; else nothing."""
        self._payloads.append(payload)
        self.last = last
        if len(self._payloads) < self._count and not final:
            return b""
        chunk, self._payloads, self.last = b"".join(self._payloads), [], None
        return chunk


def last_of(payload: bytes, coding: Coding) -> bytes:
    """The field's own payload, which those of the fields that it follows stand before."""
    return chain_of(payload, coding)[-1]


def unchain(
    payloads: Sequence[bytes], coding: Coding, model: Model, level: int, device: str
) -> tuple[list[CompressedField], list[Trail | None]]:
    """Fields of payloads, with the trail of the field that each follows.

    Raises
    ------
    FormatError
        If a payload is damaged, or follows none.
    """
    fields: list[CompressedField] = []
    trails: list[Trail | None] = []
    known, trail = list[bytes](), None
    for payload in payloads:
        *before, own = chain_of(payload, coding)
        if before[: len(known)] != known:
            known, trail = [], None
        for earlier in before[len(known) :]:
            field = unpacked(earlier, coding, model.entropy, level)
            trail = model.coder(device).trail(field, _after(field, trail))
        known = before
        fields.append(unpacked(own, coding, model.entropy, level))
        trails.append(_after(fields[-1], trail))
    return fields, trails


def _after(field: CompressedField, trail: Trail | None) -> Trail | None:
    if not field.carry:
        return None
    if trail is None:
        raise FormatError(
            "expected the field that another follows; the chunk begins with the other. The store "
            "is damaged."
        )
    return trail
