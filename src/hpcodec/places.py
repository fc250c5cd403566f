"""Where the chunks of a compressed variable are: in files of their own, or many in a shard.

step of a variable --chunk_place--> Place: the file, and which chunk of it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

__all__ = ["Place", "chunk_key", "chunk_place", "chunk_shape", "in_array"]


def chunk_key(
    shape: Sequence[int], step: int, key_every: int = 1, order: Sequence[int] = (), axes: int = 2
) -> str:
    """Key of the chunk with the field of flattened leading index ``step``, below its array.

    ``axes`` and ``order`` are those of :class:`hpcodec.stored.StoredVariable`.
    """
    leading = [int(i) for i in np.unravel_index(step, shape[:-axes])] if len(shape) > axes else []
    leading[:1] = [i // key_every for i in leading[:1]]
    places = [*leading, *(0,) * axes]
    return "/".join(["c", *(str(places[axis]) for axis in np.argsort(order or range(len(places))))])


def chunk_shape(shape: Sequence[int], key_every: int, axes: int = 2) -> tuple[int, ...]:
    """Shape of a chunk: one field of so many axes, or ``key_every`` along the first of others."""
    leading = len(shape) - axes
    return (*(key_every,) * min(leading, 1), *(1,) * (leading - 1), *shape[leading:])


@dataclass(frozen=True)
class Place:
    """Where a chunk is: a file, and if that is a shard, which of its chunks.

    Parameters
    ----------
    key : str
        Of the file, below the root.
    number : int, optional
        Of the chunk in the shard; None where the file is the chunk.
    count : int
        Chunks of a whole shard.
    """

    key: str
    number: int | None = None
    count: int = 1


def chunk_place(
    name: str,
    shape: Sequence[int],
    step: int,
    key_every: int = 1,
    order: Sequence[int] = (),
    shard: Sequence[int] = (),
    axes: int = 2,
) -> Place:
    """Place of the chunk with the field of flattened leading index ``step``.

    All but ``step`` are those of a :class:`hpcodec.stored.StoredVariable`.
    """
    if not shard:
        return Place(f"{name}/{chunk_key(shape, step, key_every, order, axes)}")
    fields = [int(at) for at in np.unravel_index(step, tuple(shape[:-axes]))]
    chunk = chunk_shape(shape, key_every, axes)[:-axes]
    within = [held // along for held, along in zip(shard, chunk, strict=True)]
    chunks = [at // along for at, along in zip(fields, chunk, strict=True)]
    file = [at // held for at, held in zip(chunks, within, strict=True)]
    inner = [at % held for at, held in zip(chunks, within, strict=True)]
    flat, one = [0] * axes, [1] * axes
    key = "/".join(["c", *map(str, in_array([*file, *flat], order))])
    counts = in_array([*within, *one], order)
    number = np.ravel_multi_index(in_array([*inner, *flat], order), counts)
    return Place(f"{name}/{key}", int(number), prod(counts))


def in_array(items: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """One item for each dimension, leading ones first, in the order of the array's axes."""
    return tuple(items[axis] for axis in np.argsort(order or range(len(items))))
