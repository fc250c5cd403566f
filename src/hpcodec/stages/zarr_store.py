"""Store: a zarr v3 group that xarray opens <-> payloads.

    group --open_store--> Store --read(level)--> payloads, or the prefixes that a level needs

A store has the source's coordinates and attributes; a compressed variable is an array whose
chunks are payloads. :mod:`hpcodec.output_store` writes it.

An array of the store names the codec ``hpcodec.field_space``, so zarr decodes it to the source
grid; reading here goes past zarr's decoder, to read no more of a chunk than is needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import zarr
from xarray.backends.zarr import FillValueCoder
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from hpcodec.errors import FormatError, UsageError, nearest
from hpcodec.fields import FORMAT_VERSION, Coding
from hpcodec.layout import Layout
from hpcodec.stages.wire import HEADER_MOST, prefix_size, split_payloads
from hpcodec.unfinished import partial_folder

__all__ = [
    "ATTRIBUTE",
    "CODEC",
    "Store",
    "StoredVariable",
    "chunk_key",
    "chunk_shape",
    "open_store",
    "stored_variables",
]

CODEC = "hpcodec.field_space"
"""Name of the codec, in zarr and in numcodecs."""

ATTRIBUTE = "hpcodec"
"""Attribute of the root that makes a group a store, written when all else is."""


def chunk_key(
    shape: Sequence[int], step: int, key_every: int = 1, order: Sequence[int] = ()
) -> str:
    """Key of the chunk with the field of flattened leading index ``step``, below its array.

    ``order`` is that of :class:`StoredVariable`.
    """
    leading = [int(i) for i in np.unravel_index(step, shape[:-2])] if len(shape) > 2 else []
    leading[:1] = [i // key_every for i in leading[:1]]
    places = [*leading, 0, 0]
    return "/".join(["c", *(str(places[axis]) for axis in np.argsort(order or range(len(places))))])


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
    order : tuple of int
        Place of each of ``dims`` among those of the array.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    attributes: dict[str, Any]
    coding: Coding
    order: tuple[int, ...] = ()

    @property
    def steps(self) -> int:
        """Number of fields."""
        return prod(self.shape[:-2])


@dataclass(frozen=True, eq=False)
class Store:
    """A store open for reading.

    Parameters
    ----------
    path : str
        Where it is.
    record : dict
        The root's attribute: version, command line, figures for each variable.
    variables : dict
        The compressed variables by name.
    layout : Layout
        What the source's file said beyond what zarr can hold.
    """

    path: str
    record: dict[str, Any]
    variables: dict[str, StoredVariable]
    layout: Layout
    _group: zarr.Group

    def chosen(self, names: Sequence[str] | None) -> list[StoredVariable]:
        """Variables of the given names, or all.

        Raises
        ------
        UsageError
            If the store has no such variable.
        """
        for name in names or ():
            if name not in self.variables:
                raise UsageError(
                    f"expected a compressed variable of '{self.path}'; got '{name}'. "
                    f"{nearest(name, self.variables)}"
                )
        return [self.variables[name] for name in (names or self.variables)]

    def read(self, variable: StoredVariable, step: int, level: int | None = None) -> bytes:
        """Payload of one field, or the prefix that ``level`` needs.

        Where fields follow each other, those of the chunk up to this one.

        Parameters
        ----------
        variable : StoredVariable
            Of this store.
        step : int
            Flattened leading index.
        level : int, optional
            Finest level wanted; the whole payload without.

        Raises
        ------
        FormatError
            If the chunk is not there.
        """
        every = variable.coding.key_every
        key = f"{variable.name}/{chunk_key(variable.shape, step, every, variable.order)}"
        if every > 1:
            first, length = step // prod(variable.shape[1:-2]), prod(variable.shape[:-2][:1])
            count, place = min(every, length - first // every * every), first % every
            payloads = split_payloads(self._fetch(key, None))
            if len(payloads) != count:
                raise FormatError(
                    f"expected {count} fields in chunk '{key}'; got {len(payloads)}. The store is "
                    "damaged."
                )
            return b"".join(payloads[: place + 1])
        if level is None or level >= variable.coding.bottleneck:
            return self._fetch(key, None)
        head = self._fetch(key, HEADER_MOST)
        return self._fetch(key, prefix_size(head, level))

    @property
    def carried(self) -> list[str]:
        """Names of the arrays that are not compressed."""
        return sorted(set(self._group.array_keys()) - set(self.variables))

    def check(self, name: str, *, sums: bool = False) -> None:
        """Refuse what is carried if a chunk is not there, which zarr would take for fill values.

        With ``sums`` also if it cannot be read, which fails where a checksum is another.

        Raises
        ------
        FormatError
            If it is damaged.
        """
        array: Any = self._group[name]
        for place in np.ndindex(array.cdata_shape):
            key = f"{name}/{array.metadata.encode_chunk_key(place)}"
            if not sync((self._group.store_path / key).exists()):
                raise self._gone(key)
        try:
            _ = array[...] if sums else None
        except Exception as error:  # every codec raises its own kinds
            raise FormatError(
                f"expected readable values of '{name}' in '{self.path}'; got {_said(error)}. "
                "The store is damaged: compress again."
            ) from error

    def _gone(self, key: str) -> FormatError:
        return FormatError(
            f"expected chunk '{key}' in '{self.path}'; got none. The store is damaged: "
            "compress again."
        )

    def _fetch(self, key: str, size: int | None) -> bytes:
        place = self._group.store_path / key
        request = None if size is None else RangeByteRequest(0, size)
        found = sync(place.get(default_buffer_prototype(), request))
        if found is None:
            raise self._gone(key)
        return bytes(found.to_bytes())

    @property
    def size(self) -> int:
        """Bytes of all its files; 0 where the file system does not list them."""
        files, inner = fsspec.url_to_fs(self.path)
        try:
            return int(files.du(inner))
        except (OSError, NotImplementedError):
            return 0


def open_store(path: str) -> Store:
    """Store at ``path``, a folder or any fsspec URL.

    Raises
    ------
    FormatError
        If there is none, or it is unfinished, damaged, or of another version.
    """
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
        record = group.attrs.asdict().get(ATTRIBUTE)
    except Exception as error:  # every file system behind fsspec raises its own kinds
        if (left := partial_folder(Path(path))).is_dir():
            raise FormatError(
                f"expected an hpcodec store; '{path}' is not finished, and stands in '{left}'. "
                "Finish it with: hpcodec compress --resume."
            ) from error
        raise FormatError(
            f"expected an hpcodec store; got '{path}' ({_said(error)}). Check the path."
        ) from error
    if not isinstance(record, dict) or "format" not in record:
        raise FormatError(
            f"expected an hpcodec store; got '{path}', a zarr group that hpcodec did not write or "
            "did not finish. Make one with: hpcodec compress."
        )
    version = str(record["format"])
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise FormatError(
            f"'{path}' was written with format {version}; this hpcodec reads {FORMAT_VERSION}. "
            "Install a release that reads it."
        )
    try:
        layout = Layout.from_record(record.get("source", {}))
        variables = stored_variables(group, layout)
    except FormatError:
        raise
    except Exception as error:
        raise FormatError(
            f"expected readable metadata in '{path}'; got {_said(error)}. The store is damaged."
        ) from error
    if not variables:
        raise FormatError(f"expected compressed variables in '{path}'; got none.")
    return Store(path, record, variables, layout, group)


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
        If one is not of this format.
    """
    with warnings.catch_warnings():
        # About types that zarr's specification has not settled, such as characters.
        warnings.simplefilter("ignore")
        arrays = dict(sorted(group.arrays()))  # a folder lists its files in any order
        return {
            name: _stored(name, array, layout) for name, array in arrays.items() if _coded(array)
        }


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _codec(array: zarr.Array[Any]) -> dict[str, Any]:
    codecs: Any = array.metadata.to_dict()["codecs"]
    return next((codec for codec in codecs if codec["name"] == CODEC), {})


def _coded(array: zarr.Array[Any]) -> bool:
    return bool(_codec(array))


def _stored(name: str, array: zarr.Array[Any], layout: Layout) -> StoredVariable:
    metadata: Any = array.metadata
    coding = Coding.from_dict(_codec(array)["configuration"])
    order = _order(array)
    shape = tuple(array.shape[place] for place in order)
    chunks = tuple(array.chunks[place] for place in order)
    if len(shape) < 2 or shape[-2:] != coding.grid.shape:
        raise FormatError(
            f"expected '{name}' of shape (..., {coding.grid.shape}); got {shape}. "
            "The store is damaged."
        )
    if chunks != (wanted := chunk_shape(shape, coding.key_every)):
        raise FormatError(f"expected chunks {wanted} of '{name}'; got {chunks}.")
    if array.dtype != coding.packing.native:
        raise FormatError(
            f"expected '{name}' of type {coding.packing.native}, as its coding says; got "
            f"{array.dtype}. The store is damaged."
        )
    names = metadata.dimension_names or tuple(f"dim_{i}" for i in range(array.ndim))
    dims = tuple(str(names[place]) for place in order)
    attributes = array.attrs.asdict()
    if "_FillValue" in attributes:
        fill: Any = attributes["_FillValue"]
        attributes["_FillValue"] = FillValueCoder.decode(fill, array.dtype.str)
    return StoredVariable(name, dims, shape, layout.attributes(name, attributes), coding, order)


def _order(array: zarr.Array[Any]) -> tuple[int, ...]:
    """Places of leading dimensions, latitude and longitude, by zarr's codec ``transpose``."""
    codecs: Any = array.metadata.to_dict()["codecs"]
    told = next((c["configuration"]["order"] for c in codecs if c["name"] == "transpose"), None)
    order = tuple(range(array.ndim) if told is None else map(int, told))
    if sorted(order) != list(range(array.ndim)):
        raise FormatError(f"expected an order of {array.ndim} dimensions; got {order}.")
    return order
