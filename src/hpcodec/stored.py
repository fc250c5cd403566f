"""Variables of a store as zarr has them: what is compressed, what is carried, where chunks are.

zarr group --stored_variables--> StoredVariable, ..., all that is in the group being checked
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import zarr
from zarr.core.sync import sync

from hpcodec.containment import check_carried, check_name
from hpcodec.errors import FormatError
from hpcodec.fields import Coding

__all__ = [
    "ATTRIBUTE",
    "CODEC",
    "StoredVariable",
    "chunk_counts",
    "chunk_key",
    "chunk_shape",
    "stored_variables",
]

CODEC = "hpcodec.field_space"
"""Name of the codec, in zarr and in numcodecs."""

ATTRIBUTE = "hpcodec"
"""Attribute of the root that makes a group a store, written when all else is."""

_MOST_FIELDS = 2**31


def chunk_key(shape: Sequence[int], step: int, key_every: int = 1) -> str:
    """Key of the chunk with the field of flattened leading index ``step``, below its array."""
    leading = [int(i) for i in np.unravel_index(step, shape[:-2])] if len(shape) > 2 else []
    leading[:1] = [i // key_every for i in leading[:1]]
    return "/".join(["c", *map(str, leading), "0", "0"])


def chunk_counts(shape: Sequence[int], key_every: int) -> tuple[int, ...]:
    """How many chunks there are along each axis."""
    chunk = chunk_shape(shape, key_every)
    return tuple(-(-size // part) for size, part in zip(shape, chunk, strict=True))


def chunk_shape(shape: Sequence[int], key_every: int) -> tuple[int, ...]:
    """Shape of a chunk: one field, or ``key_every`` along the first axis."""
    leading = len(shape) - 2
    return (*(key_every,) * min(leading, 1), *(1,) * (leading - 1), *shape[leading:])


@dataclass(frozen=True, eq=False)
class StoredVariable:
    """A compressed variable of a store.

    Parameters
    ----------
    name : str
        Of the variable.
    dims : tuple of str
        Leading dimensions, then latitude and longitude.
    shape : tuple of int
        Their sizes.
    attributes : dict
        As in the source.
    coding : Coding
        Of its payloads.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    attributes: dict[str, Any]
    coding: Coding

    @property
    def steps(self) -> int:
        """Number of fields."""
        return prod(self.shape[:-2])


def stored_variables(group: zarr.Group) -> dict[str, StoredVariable]:
    """Compressed variables of a group, finished or not, by name.

    Raises
    ------
    FormatError
        If one is not of this format, or another is not what a store may carry.
    """
    variables, sizes = {}, dict[str, tuple[str, int]]()
    for name, array in _arrays(group):
        check_name(name)
        metadata: Any = array.metadata
        for dim, size in zip(metadata.dimension_names or (), array.shape, strict=False):
            first, known = sizes.setdefault(str(dim), (name, size))
            if known != size:
                raise FormatError(
                    f"expected dimension '{dim}' of '{name}' to have {known} values, as in "
                    f"'{first}'; got {size}. The store is damaged."
                )
        codecs = metadata.to_dict()["codecs"]
        if any(codec["name"] == CODEC for codec in codecs):
            variables[name] = _stored(name, array, codecs)
        else:
            check_carried(name, array)
    return variables


def _arrays(group: zarr.Group) -> Iterator[tuple[str, zarr.Array[Any]]]:
    """Arrays of a group by name, one after the other.

    Of arrays that it reads at once, zarr writes to the log whatever is wrong with the others.
    """
    place = group.store_path

    async def listed() -> list[str]:
        return [name async for name in place.store.list_dir(place.path)]

    for name in sorted(sync(listed())):  # a folder lists its files in any order
        member = group.get(name) if name != "zarr.json" else None
        if isinstance(member, zarr.Array):
            yield name, member


def _stored(name: str, array: zarr.Array[Any], codecs: Sequence[Any]) -> StoredVariable:
    metadata: Any = array.metadata
    coding = Coding.from_dict(codecs[0].get("configuration"))
    if array.ndim < 2 or array.shape[-2:] != coding.grid.shape:
        raise FormatError(
            f"expected '{name}' of shape (..., {coding.grid.shape}); got {array.shape}. "
            "The store is damaged."
        )
    if array.chunks != (wanted := chunk_shape(array.shape, coding.key_every)):
        raise FormatError(f"expected chunks {wanted} of '{name}'; got {array.chunks}.")
    leading = array.shape[:-2]
    if not 0 < prod(leading) <= _MOST_FIELDS or coding.key_every > max((1, *leading[:1])):
        raise FormatError(
            f"expected '{name}' of 1 to {_MOST_FIELDS:,} fields, of which a chunk has no more than "
            f"there are; got {leading}, {coding.key_every} in a chunk. The store is damaged."
        )
    keys = metadata.chunk_key_encoding.to_dict()
    plain = keys == {"name": "default", "configuration": {"separator": "/"}}
    if len(codecs) != 1 or array.dtype != np.float32 or not plain:
        raise FormatError(
            f"expected '{name}' as float32 with '{CODEC}' alone and chunk keys such as c/0/0; got "
            "others. The store is damaged, or made by another program."
        )
    dims = tuple(map(str, metadata.dimension_names or ()))
    if len(set(dims)) != array.ndim:
        raise FormatError(f"expected {array.ndim} names of dimensions of '{name}'; got {dims}.")
    return StoredVariable(name, dims, array.shape, array.attrs.asdict(), coding)
