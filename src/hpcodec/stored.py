"""Variables of a store as zarr has them: what is compressed, what is carried, where chunks are.

zarr group, layout --stored_variables--> StoredVariable, ..., all in the group being checked
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import zarr
from xarray.backends.zarr import FillValueCoder
from zarr.core.sync import sync

from hpcodec.containment import check_carried, check_name, quiet
from hpcodec.errors import FormatError, GridError
from hpcodec.fields import Coding
from hpcodec.grids import LatLonGrid
from hpcodec.layout import Layout
from hpcodec.places import Place, chunk_place, chunk_shape, in_array
from hpcodec.shards import CODEC as SHARDS
from hpcodec.shards import MOST_CHUNKS, shard_codec

__all__ = [
    "ATTRIBUTE",
    "BASE",
    "CODEC",
    "StoredVariable",
    "arrays",
    "grid_size",
    "stored_variables",
]

CODEC = "hpcodec.field_space"
"""Name of the codec, in zarr and in numcodecs."""

ATTRIBUTE = "hpcodec"
"""Attribute of the root that makes a group a store, written when all else is."""

BASE = "base"
"""Group below the root with the base fields, for readers without hpcodec."""

_MOST_FIELDS = 2**31


@dataclass(frozen=True, eq=False)
class StoredVariable:
    """A compressed variable of a store.

    Parameters
    ----------
    name : str
        Of the variable.
    dims : tuple of str
        Leading dimensions, then the horizontal ones.
    shape : tuple of int
        Their sizes.
    attributes : dict
        As in the source.
    coding : Coding
        Of its payloads.
    order : tuple of int
        Place of each of ``dims`` among those of the array.
    shard : tuple of int
        Fields of a shard along each leading dimension; empty where each chunk is a file.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    attributes: dict[str, Any]
    coding: Coding
    order: tuple[int, ...] = ()
    shard: tuple[int, ...] = ()

    def place(self, step: int) -> Place:
        """Where the chunk is that has the field at flattened leading index ``step``."""
        every, axes = self.coding.key_every, self.axes
        return chunk_place(self.name, self.shape, step, every, self.order, self.shard, axes)

    @property
    def file_counts(self) -> tuple[int, ...]:
        """How many files with chunks there are along each axis of the array."""
        chunk = chunk_shape(self.shape, self.coding.key_every, self.axes)
        held = (*self.shard, *chunk[len(self.shard) :])
        counts = [-(-size // along) for size, along in zip(self.shape, held, strict=True)]
        return in_array(counts, self.order)

    @property
    def steps(self) -> int:
        """Number of fields."""
        return prod(self.leading_shape)

    @property
    def axes(self) -> int:
        """Number of horizontal dimensions: 1 of a list of points, else 2."""
        return len(self.coding.grid.shape)

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Sizes of the leading dimensions."""
        return self.shape[: -self.axes]


def _ours(codecs: Sequence[Any]) -> bool:
    """Whether an array is a compressed variable, in shards or not."""
    inner = codecs[0]["configuration"]["codecs"] if codecs[0]["name"] == SHARDS else ()
    return any(codec["name"] == CODEC for codec in (*codecs, *inner))


@quiet()
def stored_variables(group: zarr.Group, layout: Layout) -> dict[str, StoredVariable]:
    """Compressed variables of a group, finished or not, by name.

    Parameters
    ----------
    group : zarr.Group
        Root of the store.
    layout : Layout
        Of the source.

    Raises
    ------
    FormatError
        If one is not of this format, or another is not what a store may carry.
    """
    variables, sizes = {}, dict[str, tuple[str, int]]()
    for name, array in arrays(group):
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
        if _ours(codecs):
            variables[name] = _stored(name, array, codecs, layout)
        else:
            check_carried(name, array)
    return variables


def arrays(group: zarr.Group) -> Iterator[tuple[str, zarr.Array[Any]]]:
    """Arrays of a group by name, one after the other.

    Of arrays that it reads at once, zarr writes to the log whatever is wrong with the others.
    """
    place = group.store_path

    async def listed() -> list[str]:
        return [name async for name in place.store.list_dir(place.path)]

    for name in sorted(sync(listed())):  # a folder lists its files in any order
        try:
            with quiet():
                member = group.get(name) if name != "zarr.json" else None
        except GridError as error:  # our codec, of an array that it is not for
            raise FormatError(f"'{name}': {error} The store is damaged.") from error
        if isinstance(member, zarr.Array):
            yield name, member


def grid_size(group: zarr.Group, variables: Mapping[str, StoredVariable]) -> int:
    """Bytes that say where each point of a grid lies: coordinates, bounds, grids in codings.

    None of a grid whose two axes say it. A ratio does not count the others: a list of points may
    have more bytes of coordinates than of a field.
    """
    listed = [one for one in variables.values() if not isinstance(one.coding.grid, LatLonGrid)]
    size = sum(len(json.dumps(one.coding.grid.to_dict())) for one in listed)
    dims = {dim for one in listed for dim in one.dims[-one.axes :]}
    for name, array in arrays(group) if listed else ():
        metadata: Any = array.metadata
        if name not in variables and dims & set(metadata.dimension_names or ()):
            place = array.store_path
            size += sync(place.store.getsize_prefix(place.path))
    return size


def _stored(
    name: str, array: zarr.Array[Any], codecs: Sequence[Any], layout: Layout
) -> StoredVariable:
    metadata: Any = array.metadata
    sharded = codecs[0]["name"] == SHARDS
    if sharded:
        codecs = shard_codec(codecs[0]["configuration"], name)
    coding = Coding.from_dict(codecs[-1].get("configuration"))
    order = _order(name, array.ndim, codecs)
    shape, chunks = (tuple(told[at] for at in order) for told in (array.shape, array.chunks))
    axes = len(coding.grid.shape)
    if shape[-axes:] != coding.grid.shape:
        raise FormatError(
            f"expected '{name}' of shape (..., {coding.grid.shape}); got {shape}. "
            "The store is damaged."
        )
    if chunks != (wanted := chunk_shape(shape, coding.key_every, axes)):
        raise FormatError(f"expected chunks {wanted} of '{name}'; got {chunks}.")
    leading = shape[:-axes]
    if not 0 < prod(leading) <= _MOST_FIELDS or coding.key_every > max((1, *leading[:1])):
        raise FormatError(
            f"expected '{name}' of 1 to {_MOST_FIELDS:,} fields, of which a chunk has no more than "
            f"there are; got {leading}, {coding.key_every} in a chunk. The store is damaged."
        )
    keys = metadata.chunk_key_encoding.to_dict()
    plain = keys == {"name": "default", "configuration": {"separator": "/"}}
    if array.dtype != coding.packing.native or not plain:
        raise FormatError(
            f"expected '{name}' as {coding.packing.native}, as its coding says, with chunk keys "
            f"such as c/0/0; got {array.dtype} or other keys. The store is damaged, or made by "
            "another program."
        )
    names = tuple(map(str, metadata.dimension_names or ()))
    if len(set(names)) != array.ndim:
        raise FormatError(f"expected {array.ndim} names of dimensions of '{name}'; got {names}.")
    attributes = array.attrs.asdict()
    if "_FillValue" in attributes:
        fill: Any = attributes["_FillValue"]
        attributes["_FillValue"] = FillValueCoder.decode(fill, array.dtype.str)
    dims = tuple(names[at] for at in order)
    shard = (
        _shard(name, [(array.shards or ())[at] for at in order], chunks, axes) if sharded else ()
    )
    told = layout.attributes(name, attributes)
    return StoredVariable(name, dims, shape, told, coding, order, shard)


def _shard(name: str, shard: Sequence[int], chunks: Sequence[int], axes: int) -> tuple[int, ...]:
    """Fields of a shard along each leading dimension."""
    held = [whole // chunk for whole, chunk in zip(shard, chunks, strict=True)]
    if any(count != 1 for count in held[-axes:]) or not 0 < prod(held) <= MOST_CHUNKS:
        raise FormatError(
            f"expected shards of '{name}' of whole fields, {MOST_CHUNKS:,} chunks at most; got "
            f"{tuple(shard)}. The store is damaged."
        )
    return tuple(shard[:-axes])


def _order(name: str, ndim: int, codecs: Sequence[Any]) -> tuple[int, ...]:
    """Places of leading and horizontal dimensions, by zarr's codec ``transpose``."""
    names = [str(codec["name"]) for codec in codecs]
    if names not in ([CODEC], ["transpose", CODEC]):
        raise FormatError(
            f"expected '{name}' with '{CODEC}' alone, or after 'transpose'; got "
            f"{', '.join(names)[:60]}. The store is damaged, or made by another program."
        )
    told = codecs[0]["configuration"]["order"] if len(codecs) > 1 else range(ndim)
    order = tuple(map(int, told))
    if sorted(order) != list(range(ndim)):
        raise FormatError(f"expected an order of the {ndim} dimensions of '{name}'; got {order}.")
    return order
