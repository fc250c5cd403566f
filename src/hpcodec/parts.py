"""Parts of a variable: boxes of fields, each of which is coded without regard to the others.

    leading axes, fields in a part --box_of--> its shape --parts_of--> Part, ...

A part is what a worker takes on, and where a store has shards, what a shard holds. What a field
leaves for the next (a step, a field to follow) it leaves within its part: so the bytes do not
depend on who codes the other parts, nor when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hpcodec.output_formats import hyperslabs

__all__ = ["FEW", "Part", "box_of", "fields_of_part", "parts_of", "whole"]

FEW = 100
"""Fields of a variable up to which each has a file of its own, if nothing else is asked for."""

_PART_BYTES = 64 * 2**20  # of payloads: held until a shard is written
_FEWEST, _MOST = 24, 384  # whole days of hours and of six hours


@dataclass(frozen=True)
class Part:
    """A box of fields.

    Parameters
    ----------
    number : int
        Of all parts, in C order.
    start, shape : tuple of int
        Where it begins along each leading axis, and how many fields it has there.
    leading : tuple of int
        Sizes of the leading axes.
    """

    number: int
    start: tuple[int, ...]
    shape: tuple[int, ...]
    leading: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Number of fields."""
        return prod(self.shape)

    def step(self, own: int) -> int:
        """Flattened leading index in the variable of the part's own ``own``-th field.

        Examples
        --------
        >>> Part(1, (2, 0), (2, 3), (4, 3)).step(4)
        10
        """
        place = np.unravel_index(own, self.shape) if self.shape else ()
        axes = [int(i) + first for i, first in zip(place, self.start, strict=True)]
        return int(np.ravel_multi_index(axes, self.leading)) if axes else 0

    def slabs(self, start: int, stop: int) -> Iterator[tuple[slice, ...]]:
        """Blocks of the leading axes that cover its own fields ``start`` to ``stop``."""
        for slab in hyperslabs(self.shape, start, stop):
            yield tuple(
                slice(first + along.start, first + along.stop)
                for first, along in zip(self.start, slab, strict=True)
            )


def whole(leading: Sequence[int]) -> Part:
    """All fields as one part."""
    return Part(0, (0,) * len(leading), tuple(leading), tuple(leading))


def fields_of_part(field_bytes: float) -> int:
    """Fields of a part, if nothing else is asked for, where each takes so many bytes or less."""
    return int(np.clip(_PART_BYTES // max(1, field_bytes), _FEWEST, _MOST)) // _FEWEST * _FEWEST


def box_of(leading: Sequence[int], key_every: int, fields: int) -> tuple[int, ...]:
    """Shape of a part of about so many fields, whole chunks of them: last axes first.

    Examples
    --------
    >>> box_of((8760,), 1, 384), box_of((8760, 13), 1, 384), box_of((50, 8760), 8, 384)
    ((384,), (29, 13), (8, 48))
    """
    room, box = max(1, fields // key_every), list[int]()
    for axis in reversed(range(len(leading))):
        unit = key_every if axis == 0 else 1
        taken = max(1, min(-(-leading[axis] // unit), room))
        box.insert(0, taken * unit)
        room //= taken
    return tuple(box)


def parts_of(leading: Sequence[int], box: Sequence[int]) -> list[Part]:
    """All parts, in C order; those at the end of an axis may be smaller."""
    counts = tuple(-(-size // along) for size, along in zip(leading, box, strict=True))
    parts = []
    for number, place in enumerate(np.ndindex(*counts)):
        start = tuple(at * along for at, along in zip(place, box, strict=True))
        ends = zip(leading, start, box, strict=True)
        shape = tuple(min(along, size - first) for size, first, along in ends)
        parts.append(Part(number, start, shape, tuple(leading)))
    return parts
