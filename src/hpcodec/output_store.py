"""How a store is written: a zarr group whose fields are arrays of payloads.

skeleton, codings --StoreOutput.fill, .add, .put, ..., .finish--> store
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from xarray.backends.zarr import FillValueCoder
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from hpcodec.containment import check_name
from hpcodec.errors import FormatError, OutputError
from hpcodec.even import EVEN, spacing
from hpcodec.fetching import Fetcher
from hpcodec.fields import Coding
from hpcodec.layout import Layout
from hpcodec.output import OutputVariable
from hpcodec.output_formats import KEEP_ALL, ZarrOutput, json_value, reported, written
from hpcodec.places import Place, chunk_place, chunk_shape
from hpcodec.remote import RemoteFile
from hpcodec.shards import pack_shard
from hpcodec.stored import ATTRIBUTE, CODEC, stored_variables
from hpcodec.unfinished import flush

__all__ = ["StoreOutput"]

_SHORT = 2**16  # bytes of a coordinate that is worth a codec of its own


class StoreOutput(ZarrOutput):
    """A store being written; made by :func:`hpcodec.creation.create_store`."""

    def __init__(self, where: Path | Store, target: Path | str) -> None:
        super().__init__(where, target, ())
        self._codings: dict[str, Coding] = {}
        self._shards: dict[str, tuple[int, ...]] = {}
        self.journal: Path | RemoteFile | None = None
        """Where a journal makes it worth keeping when it is interrupted."""
        self.stage: Path | None = None
        """Where chunks of a shard may be kept until it is whole."""

    def attach(self) -> None:
        """Take over the group and the arrays that an interrupted run, or another process, made.

        Raises
        ------
        OutputError
            If they are damaged.
        """
        try:
            self._group = zarr.open_group(self._where, mode="r+", zarr_format=3)
            found = stored_variables(self._group, Layout())
        except Exception as error:  # zarr raises many kinds
            raise OutputError(
                f"expected an unfinished store in '{self._target}'; got {type(error).__name__}: "
                "it is damaged. Begin anew with --overwrite."
            ) from error
        for item in found.values():
            self._codings[item.name], self._shards[item.name] = item.coding, item.shard
            self._variables[item.name] = OutputVariable(
                item.name, item.dims, item.shape, order=item.order
            )

    def tidy(self) -> None:
        """Remove files that zarr was about to give their names when it was killed."""
        if isinstance(self._where, Path):
            for torn in self._where.rglob("*.partial"):
                torn.unlink()

    @property
    def codings(self) -> dict[str, Coding]:
        """Of the compressed variables, by name."""
        return dict(self._codings)

    @property
    def where(self) -> Path | Store:
        """Where it is while it is written."""
        return self._where

    @property
    def target(self) -> Path | str:
        """What it will be."""
        return self._target

    def shard(self, name: str) -> tuple[int, ...]:
        """Fields of a shard of a variable along each leading axis; empty where it has none."""
        return self._shards[name]

    def add(self, variable: OutputVariable, coding: Coding, shard: Sequence[int] = ()) -> None:
        """Create the array of a compressed variable, or replace it by one of another coding.

        Parameters
        ----------
        variable : OutputVariable
            Its shape: leading axes, then those of the coding's grid.
        coding : Coding
            Of its payloads.
        shard : sequence of int
            Fields of a shard along each leading axis, whole chunks; none for a file to each chunk.
        """
        self._variables[check_name(variable.name)] = variable
        self._codings[variable.name], self._shards[variable.name] = coding, tuple(shard)
        dtype = coding.packing.native
        attributes = {k: json_value(v) for k, v in variable.attributes.items()}
        fill = variable.attributes.get("_FillValue")
        if fill is not None:
            attributes["_FillValue"] = FillValueCoder.encode(fill, dtype)
        chunks = chunk_shape(variable.shape, coding.key_every, len(coding.grid.shape))
        held: Any = None
        if shard:
            whole = (*shard, *coding.grid.shape)
            held = {"shape": variable.stored(whole), "index_location": "start"}
        turned = variable.order not in ((), tuple(range(len(variable.dims))))
        with reported(self._target):
            self._group.create_array(
                variable.name,
                shape=variable.stored(variable.shape),
                dtype=dtype,
                chunks=variable.stored(chunks),
                shards=held,
                filters=[TransposeCodec(order=variable.order)] if turned else [],
                serializer={"name": CODEC, "configuration": coding.to_dict()},
                compressors=None,
                fill_value=float("nan") if dtype.kind == "f" else 0,
                attributes=attributes,
                dimension_names=variable.stored(variable.dims),
                overwrite=True,
            )

    def put(self, name: str, step: int, chunk: bytes) -> None:
        """Store the chunk with the field at flattened leading index ``step``.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        place = self._place(name, step)
        assert place.number is None, "a shard is written as a whole"
        with written(self._target):
            self._set(place.key, chunk)

    def put_shard(self, name: str, chunks: Mapping[int, bytes]) -> None:
        """Store the chunks of a shard, each with any of its fields' flattened leading indices."""
        places = {self._place(name, step): chunk for step, chunk in chunks.items()}
        ((key, count),) = {(place.key, place.count) for place in places}
        numbered = {place.number: chunk for place, chunk in places.items()}
        with written(self._target):
            self._set(key, pack_shard(numbered, count))  # type: ignore[arg-type]  # none is None

    def chunk(self, name: str, step: int) -> bytes:
        """The chunk with the field at ``step``, as it is stored; empty if there is none."""
        try:
            return Fetcher(str(self._target), self._group).fetch(self._place(name, step))
        except FormatError:
            return b""

    def _place(self, name: str, step: int) -> Place:
        variable, coding, shard = self._variables[name], self._codings[name], self._shards[name]
        every, axes = coding.key_every, len(coding.grid.shape)
        return chunk_place(name, variable.shape, step, every, variable.order, shard, axes)

    def _get(self, key: str) -> bytes:
        found = sync((self._group.store_path / key).get(default_buffer_prototype()))
        return b"" if found is None else bytes(found.to_bytes())

    def _set(self, key: str, value: bytes) -> None:
        """Store a value whole: on a disk, zarr gives it its name when it is written."""
        buffer = default_buffer_prototype().buffer.from_bytes(value)
        sync((self._group.store_path / key).set(buffer))

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write the attribute that makes it a store, when all else is as short as it can be."""
        self.shrink()
        with reported(self._target):
            root = json.loads(self._get("zarr.json"))
            root["attributes"] = {**root.get("attributes", {}), ATTRIBUTE: dict(record)}
            self._set("zarr.json", _compact(root))

    def settle(self) -> None:
        """Have on disk what is not written again by who goes on with it."""
        if isinstance(self.journal, Path):
            with reported(self._target):
                flush(self.journal.parent)

    def shrink(self) -> None:
        """Rewrite the metadata without white space and empty optional keys."""
        with reported(self._target):
            for key in ["zarr.json", *(f"{name}/zarr.json" for name in self._group.array_keys())]:
                data = json.loads(self._get(key))
                plain = {k: v for k, v in data.items() if v not in ([], {})}
                if plain.get("chunk_key_encoding", {}).get("name") == "default":
                    plain["chunk_key_encoding"] = {"name": "default"}
                kept = data if "shape" in data and data["shape"] == [] else plain
                self._set(key, _compact(kept))

    @property
    def group(self) -> zarr.Group:
        """The root."""
        return self._group

    @property
    def size(self) -> int:
        """Bytes of all files."""
        place = self._group.store_path
        return sync(place.store.getsize_prefix(place.path))

    def even_out(self) -> None:
        """Store evenly spaced coordinates as start and step, and shuffle other short ones."""
        for name, array in list(self._group.arrays()):
            values = np.asarray(array[...]) if array.ndim == 1 else None
            if values is None or values.dtype.kind not in "fiu" or values.size <= 8:
                continue
            options: dict[str, Any] = {"chunks": array.shape}
            if spacing(values) is not None:
                options |= {"serializer": {"name": EVEN}, "compressors": Crc32cCodec()}
            elif values.nbytes <= _SHORT:
                # Bits are shuffled in whole groups of eight values only.
                options["chunks"] = (-(-values.size // 8) * 8,)
                blosc = BloscCodec(
                    typesize=values.itemsize, cname="zstd", clevel=9, shuffle="bitshuffle"
                )
                options["compressors"] = (blosc, Crc32cCodec())
            else:
                continue
            metadata: Any = array.metadata
            with reported(self._target):
                self._group.create_array(
                    name,
                    shape=array.shape,
                    dtype=array.dtype,
                    fill_value=array.fill_value,
                    attributes=array.attrs.asdict(),
                    dimension_names=metadata.dimension_names,
                    overwrite=True,
                    config=KEEP_ALL,
                    **options,
                )[...] = values


def _compact(metadata: Any) -> bytes:  # noqa: ANN401
    return json.dumps(metadata, separators=(",", ":")).encode("utf-8")
