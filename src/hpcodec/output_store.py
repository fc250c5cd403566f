"""How a store is written: a zarr group whose fields are arrays of payloads.

skeleton, codings --create_store--> StoreOutput.add, .put, ..., .finish
what an interrupted run left --create_store(resume)--> the same, from where that was
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
import zarr
from xarray.backends.zarr import FillValueCoder
from zarr.abc.store import Store as Place
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from hpcodec.containment import check_name
from hpcodec.errors import OutputError, UsageError
from hpcodec.even import EVEN, spacing
from hpcodec.fields import Coding
from hpcodec.layout import Layout
from hpcodec.output import OutputVariable, check_target, local_target
from hpcodec.output_formats import KEEP_ALL, ZarrOutput, json_value, reported, written
from hpcodec.stored import ATTRIBUTE, CODEC, chunk_key, chunk_shape, stored_variables
from hpcodec.unfinished import Note, flush, growing, ignored

__all__ = ["StoreOutput", "create_store"]

_SHORT = 2**16  # bytes of a coordinate that is worth a codec of its own


class StoreOutput(ZarrOutput):
    """A store being written; made by :func:`create_store`."""

    def __init__(self, where: Path | Place, target: Path | str) -> None:
        super().__init__(where, target, ())
        self._codings: dict[str, Coding] = {}
        self.journal: Path | None = None
        """Where a journal makes it worth keeping when it is interrupted."""

    @classmethod
    def resumed(cls, where: Path | Place, target: Path | str) -> Self:
        """The output that an interrupted run left, with its arrays.

        Raises
        ------
        OutputError
            If it is damaged.
        """
        output = cls(where, target)
        try:
            if isinstance(where, Path):  # what zarr was about to give its name
                for torn in where.rglob("*.partial"):
                    torn.unlink()
            output._group = zarr.open_group(where, mode="r+", zarr_format=3)
            found = stored_variables(output._group, Layout())
        except Exception as error:  # zarr raises many kinds
            raise OutputError(
                f"expected an unfinished store in '{where}'; got {type(error).__name__}: it is "
                "damaged. Begin anew with --overwrite."
            ) from error
        for item in found.values():
            output._codings[item.name] = item.coding
            output._variables[item.name] = OutputVariable(
                item.name, item.dims, item.shape, order=item.order
            )
        return output

    @property
    def codings(self) -> dict[str, Coding]:
        """Of the compressed variables, by name."""
        return dict(self._codings)

    def add(self, variable: OutputVariable, coding: Coding) -> None:
        """Create the array of a compressed variable, or replace it by one of another coding.

        Parameters
        ----------
        variable : OutputVariable
            Its shape: leading axes, then those of the coding's grid.
        coding : Coding
            Of its payloads.
        """
        self._variables[check_name(variable.name)] = variable
        self._codings[variable.name] = coding
        dtype = coding.packing.native
        attributes = {k: json_value(v) for k, v in variable.attributes.items()}
        fill = variable.attributes.get("_FillValue")
        if fill is not None:
            attributes["_FillValue"] = FillValueCoder.encode(fill, dtype)
        chunks = chunk_shape(variable.shape, coding.key_every, len(coding.grid.shape))
        turned = variable.order not in ((), tuple(range(len(variable.dims))))
        with reported(self._target):
            self._group.create_array(
                variable.name,
                shape=variable.stored(variable.shape),
                dtype=dtype,
                chunks=variable.stored(chunks),
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
        with written(self._target):
            self._set(self._key(name, step), chunk)

    def chunk(self, name: str, step: int) -> bytes:
        """The chunk that :meth:`put` stored; empty if there is none."""
        with written(self._target):
            return self._get(self._key(name, step))

    def _key(self, name: str, step: int) -> str:
        variable, coding = self._variables[name], self._codings[name]
        every, axes = coding.key_every, len(coding.grid.shape)
        return f"{name}/{chunk_key(variable.shape, step, every, variable.order, axes)}"

    def _get(self, key: str) -> bytes:
        found = sync((self._group.store_path / key).get(default_buffer_prototype()))
        return b"" if found is None else bytes(found.to_bytes())

    def _set(self, key: str, value: bytes) -> None:
        """Store a value whole: on a disk, zarr gives it its name when it is written."""
        buffer = default_buffer_prototype().buffer.from_bytes(value)
        sync((self._group.store_path / key).set(buffer))

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write the attribute that makes it a store, and drop what zarr's JSON can do without."""
        with reported(self._target):
            self._group.attrs[ATTRIBUTE] = dict(record)
        self.shrink()

    def settle(self) -> None:
        """Have on disk what is not written again by who goes on with it."""
        if self.journal is not None:
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
                self._set(key, json.dumps(kept, separators=(",", ":")).encode("utf-8"))

    @property
    def group(self) -> zarr.Group:
        """The root."""
        return self._group

    @property
    def path(self) -> Path:
        """Where it is while it is written."""
        assert isinstance(self._where, Path)
        return self._where

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


@contextmanager
def create_store(
    path: str,
    skeleton: xr.Dataset,
    *,
    overwrite: bool,
    resume: bool = False,
    note: Note = ignored,
) -> Iterator[StoreOutput]:
    """Open a store for writing; it appears under its name only when the block ends well.

    Parameters
    ----------
    path : str
        Local, ending in ``.zarr``.
    skeleton : xr.Dataset
        Raw dataset of all but the compressed variables.
    overwrite : bool
        Replace an existing store, at the end; and begin anew, unless ``resume``.
    resume : bool
        Go on with what an interrupted run left, if it did.
    note : callable
        Called with a line on an unfinished store that is replaced, or kept.

    Yields
    ------
    StoreOutput
        With all that is carried; with codings too, if it is gone on with. As long as there is no
        journal, nothing is kept of a run that is interrupted.

    Raises
    ------
    UsageError
        If the path has another suffix.
    OutputError
        If the target exists and ``overwrite`` is false, there is an unfinished store and it is
        not said what to do with it, another process writes it, or it cannot be written.
    """
    target = local_target(path)
    if target is None or not path.rstrip("/").endswith(".zarr"):
        raise UsageError(f"expected a store's local path to end in .zarr; got '{path}'.")
    check = partial(check_target, target, StoreOutput, overwrite)
    with growing(target, check, overwrite=overwrite, resume=resume, note=note) as growth:
        if growth.resumable:
            output = StoreOutput.resumed(growth.new, target)
        else:
            output = StoreOutput(growth.new, target)
            with reported(target):
                output.fill(skeleton)
                output.even_out()
        output.journal = growth.journal
        yield output
