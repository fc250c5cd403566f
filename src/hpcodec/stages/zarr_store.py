"""Store: a zarr v3 group that xarray opens <-> payloads.

    group --open_store--> Store --read(level)--> payloads, or the prefixes that a level needs

A store has the source's coordinates and attributes; a compressed variable is an array whose
chunks are payloads. :mod:`hpcodec.output_store` writes it.

An array of the store names the codec ``hpcodec.field_space``, so zarr decodes it to the source
grid; reading here goes past zarr's decoder, to read no more of a chunk than is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.core.sync import sync

from hpcodec.containment import damaged, open_contained, quiet, size_of
from hpcodec.errors import FormatError, UsageError, nearest
from hpcodec.fetching import Fetcher, gone
from hpcodec.layout import Layout
from hpcodec.places import chunk_key, chunk_shape
from hpcodec.records import Record
from hpcodec.stages.wire import HEADER_MOST, prefix_size, split_payloads
from hpcodec.stored import (
    ATTRIBUTE,
    BASE,
    CODEC,
    StoredVariable,
    arrays,
    grid_size,
    stored_variables,
)
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

_SLACK = 2**12  # bytes that a payload may have beyond its field as float32
_BLOCK = 2**24  # values of a carried variable that are read at a time


@dataclass(frozen=True, eq=False)
class Store:
    """A store open for reading.

    Parameters
    ----------
    path, record : str, Record
        Where it is; the root's attribute: version, command line, errors of each variable.
    variables, layout : dict, Layout
        Compressed variables by name; what the source's file said beyond what zarr can hold.
    """

    path: str
    record: Record
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
        every, place = variable.coding.key_every, variable.place(step)
        # A correction, too, takes no more than its field.
        each = 8 if variable.coding.bounded else 4
        most = every * (_SLACK + each * prod(variable.coding.grid.shape))
        if every > 1:
            length, *others = (*variable.leading_shape, 1)
            first = step // prod(others)
            count, own = min(every, length - first // every * every), first % every
            payloads = split_payloads(self._chunks.fetch(place, most))
            if len(payloads) != count:
                raise FormatError(
                    f"expected {count} fields in chunk '{place.key}'; got {len(payloads)}. The "
                    "store is damaged."
                )
            return b"".join(payloads[: own + 1])
        coding = variable.coding
        if level is None or (level >= coding.bottleneck and not coding.bounded):
            return self._chunks.fetch(place, most)
        head = self._chunks.fetch(place, HEADER_MOST)
        size = min(prefix_size(head, level), most)
        return head[:size] + (
            self._chunks.fetch(place, size, HEADER_MOST) if size > len(head) else b""
        )

    def files(self) -> list[str]:
        """Keys of all its files, sorted."""

        async def listed() -> list[str]:
            place = self._group.store_path
            return [key async for key in place.store.list_prefix(place.path)]

        with damaged(f"a list of the files in '{self.path}'"):
            return sorted(sync(listed()))

    def accounts_for(self, key: str) -> bool:
        """Whether a file belongs to the store, as its name says."""
        prefix = f"{self._group.path}/" if self._group.path else ""
        name, _, rest = key.removeprefix(prefix).partition("/")
        if not rest:
            return name == "zarr.json"
        if name not in self.variables:
            return name in self.carried or (name == BASE and BASE in self._group)
        if rest == "zarr.json":
            return True
        places = rest.split("/")
        counts = self.variables[name].file_counts
        return (
            places[0] == "c"
            and len(places) == len(counts) + 1
            and all(p.isdecimal() and int(p) < n for p, n in zip(places[1:], counts, strict=True))
        )

    @cached_property
    def _chunks(self) -> Fetcher:
        return Fetcher(self.path, self._group)

    @cached_property
    def carried(self) -> list[str]:
        """Names of the arrays that are not compressed."""
        return [name for name, _ in arrays(self._group) if name not in self.variables]

    def check(self, name: str, *, sums: bool = False) -> None:
        """Refuse what is carried if a chunk is not there, which zarr would take for fill values.

        With ``sums`` also if it cannot be read, which fails where a checksum is another.

        Raises
        ------
        FormatError
            If it is damaged.
        """
        with quiet(), damaged(f"readable values of '{name}' in '{self.path}'"):
            array: Any = self._group[name]
            grid = zip(array.shape, array.metadata.chunk_grid.chunk_shape, strict=True)
            for place in np.ndindex(*(-(-size // chunk) for size, chunk in grid)):
                key = f"{name}/{array.metadata.encode_chunk_key(place)}"
                if not sync((self._group.store_path / key).exists()):
                    raise gone(key, self.path)
            if sums:
                for block in _blocks(array.shape):
                    _ = array[block]

    def skeleton(self) -> xr.Dataset:
        """Raw dataset of all that the store carries besides its compressed variables, lazy.

        Raises
        ------
        FormatError
            If it is damaged, or a chunk of it is not there.
        """
        for name in self.carried:
            self.check(name)
        with quiet(), damaged(f"readable variables in '{self.path}'"):
            dataset = xr.open_dataset(
                self._group.store,  # type: ignore[arg-type]  # xarray takes it
                engine="zarr",
                decode_cf=False,
                cache=False,
                chunks=None,
                drop_variables=list(self.variables),
                backend_kwargs={
                    "consolidated": False,
                    "zarr_format": 3,
                    "group": self._group.path or None,
                },
            )
            del dataset.attrs[ATTRIBUTE]
            result = self.layout.apply(dataset)
        used = {dim for variable in self.variables.values() for dim in variable.dims}
        unused = result.encoding["unused_dims"]
        result.encoding["unused_dims"] = {k: n for k, n in unused.items() if k not in used}
        return result

    @property
    def size(self) -> int:
        """Bytes of all its files; 0 where the file system does not list them."""
        return size_of(self.path)

    @property
    def grid_size(self) -> int:
        """Of them those that say where each point of a grid lies, which a ratio does not count."""
        return grid_size(self._group, self.variables)

    @property
    def ratio(self) -> float:
        """Bytes of its fields as float32 over its own; 0 where they are not known."""
        fields = sum(4 * prod(variable.shape) for variable in self.variables.values())
        return fields / (self.size - self.grid_size) if self.size else 0.0


def open_store(path: str) -> Store:
    """Store at ``path``, a folder or any fsspec URL.

    Raises
    ------
    FormatError
        If there is none, or it is unfinished, damaged, or of another version.
    """
    try:
        group = open_contained(path)
        record = group.attrs.asdict().get(ATTRIBUTE)
    except FormatError:
        raise
    except Exception as error:  # every file system behind fsspec raises its own kinds
        if (left := partial_folder(Path(path))).is_dir():
            raise FormatError(
                f"expected an hpcodec store; '{path}' is not finished, and stands in '{left}'. "
                "Finish it with: hpcodec compress --resume."
            ) from error
        raise FormatError(
            f"expected an hpcodec store; got '{path}' ({_said(error)}). Check the path."
        ) from error
    if record is None:
        raise FormatError(
            f"expected an hpcodec store; got '{path}', a zarr group that hpcodec did not write or "
            "did not finish. Make one with: hpcodec compress."
        )
    known = Record.from_dict(record)
    layout = Layout.from_record(known.source)
    with damaged(f"readable metadata in '{path}'"):
        variables = stored_variables(group, layout)
    if not variables:
        raise FormatError(f"expected compressed variables in '{path}'; got none.")
    return Store(path, known, variables, layout, group)


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Parts of an array that are read at a time, by its first axis."""
    rows = shape[0] if shape else 1
    block = max(1, _BLOCK * rows // max(1, prod(shape)))
    for row in range(0, rows, block):
        yield (slice(row, row + block),) if shape else ()


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
