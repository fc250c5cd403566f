"""Fields that follow each other: the trails that decoding their payloads needs.

payloads, each after those it follows --unchain--> CompressedField, ...;  Trail or None, ...
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

__all__ = ["Followed", "last_of", "unchain"]


@dataclass(frozen=True, eq=False)
class Followed:
    """A field that another may follow: its scaling, which both have, and its trail."""

    scaling: Scaling
    trail: Trail


def last_of(payload: bytes, coding: Coding) -> bytes:
    """The field's own payload, which those of the fields that it follows stand before."""
    return chain_of(payload, coding)[-1]


def unchain(
    payloads: Sequence[bytes], coding: Coding, model: Model, level: int, device: str
) -> tuple[list[CompressedField], list[Trail | None]]:
    """Fields of payloads, with the trail of the field that each follows.

    Parameters
    ----------
    payloads : sequence of bytes
        Of one field each; where fields follow each other, after all those that it follows.
    coding, model : Coding, Model
        Theirs.
    level : int
        Finest level wanted.
    device : str
        Torch device, or ``auto``.

    Raises
    ------
    FormatError
        If a payload is damaged, or follows one that is not there.
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
