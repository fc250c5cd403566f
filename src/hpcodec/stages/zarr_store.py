"""Store: a zarr v3 group that xarray opens <-> payloads.

    group --open_store--> Store --read(level)--> payloads, or the prefixes that a level needs

A store has the source's coordinates and attributes; a compressed variable is an array whose
chunks are payloads. :mod:`hpcodec.output_store` writes it.

An array of the store names the codec ``hpcodec.field_space``, so zarr decodes it to the source
grid; reading here goes past zarr's decoder, to read no more of a chunk than is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import zarr
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from hpcodec.errors import FormatError, UsageError, nearest
from hpcodec.fields import FORMAT_VERSION, Coding
from hpcodec.stages.wire import HEADER_MOST, prefix_size, split_payloads

__all__ = [
    "ATTRIBUTE",
    "CODEC",
    "Store",
    "StoredVariable",
    "chunk_key",
    "chunk_shape",
    "folder_size",
    "open_store",
]

CODEC = "hpcodec.field_space"
"""Name of the codec, in zarr and in numcodecs."""

ATTRIBUTE = "hpcodec"
"""Attribute of the root that makes a group a store, written when all else is."""


def folder_size(path: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def chunk_key(shape: Sequence[int], step: int, key_every: int = 1) -> str:
    """Key of the chunk with the field of flattened leading index ``step``, below its array."""
    leading = [int(i) for i in np.unravel_index(step, shape[:-2])] if len(shape) > 2 else []
    leading[:1] = [i // key_every for i in leading[:1]]
    return "/".join(["c", *map(str, leading), "0", "0"])


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
    """

    path: str
    record: dict[str, Any]
    variables: dict[str, StoredVariable]
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
        """Payload of one field, or the prefix that ``level`` needs, without a correction.

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
        key = f"{variable.name}/{chunk_key(variable.shape, step, every)}"
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
        coding = variable.coding
        if level is None or (level >= coding.bottleneck and not coding.bounded):
            return self._fetch(key, None)
        head = self._fetch(key, HEADER_MOST)
        return self._fetch(key, prefix_size(head, level))

    def _fetch(self, key: str, size: int | None) -> bytes:
        place = self._group.store_path / key
        request = None if size is None else RangeByteRequest(0, size)
        found = sync(place.get(default_buffer_prototype(), request))
        if found is None:
            raise FormatError(
                f"expected chunk '{key}' in '{self.path}'; got none. The store is damaged: "
                "compress again."
            )
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
        raise FormatError(
            f"expected an hpcodec store; got '{path}' ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:120]}). Check the path."
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
        arrays = dict(sorted(group.arrays()))  # a folder lists its files in any order
        variables = {name: _stored(name, array) for name, array in arrays.items() if _coded(array)}
    except FormatError:
        raise
    except Exception as error:
        raise FormatError(
            f"expected readable metadata in '{path}'; got {type(error).__name__}: "
            f"{' '.join(str(error).split())[:120]}. The store is damaged."
        ) from error
    if not variables:
        raise FormatError(f"expected compressed variables in '{path}'; got none.")
    return Store(path, record, variables, group)


def _codec(array: zarr.Array[Any]) -> dict[str, Any]:
    codecs: Any = array.metadata.to_dict()["codecs"]
    return next((codec for codec in codecs if codec["name"] == CODEC), {})


def _coded(array: zarr.Array[Any]) -> bool:
    return bool(_codec(array))


def _stored(name: str, array: zarr.Array[Any]) -> StoredVariable:
    metadata: Any = array.metadata
    coding = Coding.from_dict(_codec(array)["configuration"])
    if array.ndim < 2 or array.shape[-2:] != coding.grid.shape:
        raise FormatError(
            f"expected '{name}' of shape (..., {coding.grid.shape}); got {array.shape}. "
            "The store is damaged."
        )
    if array.chunks != (wanted := chunk_shape(array.shape, coding.key_every)):
        raise FormatError(f"expected chunks {wanted} of '{name}'; got {array.chunks}.")
    dims = metadata.dimension_names or tuple(f"dim_{i}" for i in range(array.ndim))
    attributes = array.attrs.asdict()
    return StoredVariable(name, tuple(map(str, dims)), array.shape, attributes, coding)
