"""How a store is written: a zarr group whose fields are arrays of payloads.

skeleton, codings --create_store--> StoreOutput.add, .put, ..., .finish
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from zarr.codecs import BloscCodec

from hpcodec.containment import check_name
from hpcodec.errors import UsageError
from hpcodec.even import EVEN, spacing
from hpcodec.fields import Coding
from hpcodec.output import OutputVariable, create_output
from hpcodec.output_formats import ZarrOutput, json_value, reported
from hpcodec.stages.zarr_store import ATTRIBUTE, CODEC, chunk_key, chunk_shape, folder_size

__all__ = ["StoreOutput", "create_store"]

_SHORT = 2**16  # bytes of a coordinate that is worth a codec of its own


class StoreOutput(ZarrOutput):
    """A store being written; made by :func:`create_store`."""

    def __init__(self, *made: Any) -> None:  # noqa: ANN401  (as the class above has them)
        super().__init__(*made)
        self._key_every: dict[str, int] = {}

    def add(self, variable: OutputVariable, coding: Coding) -> None:
        """Create the array of a compressed variable, or replace it by one of another coding.

        Parameters
        ----------
        variable : OutputVariable
            Its shape: leading axes, then rows and columns of the coding's grid.
        coding : Coding
            Of its payloads.
        """
        self._variables[check_name(variable.name)] = variable
        self._key_every[variable.name] = coding.key_every
        with reported(self._target):
            self._group.create_array(
                variable.name,
                shape=variable.shape,
                dtype="float32",
                chunks=chunk_shape(variable.shape, coding.key_every),
                serializer={"name": CODEC, "configuration": coding.to_dict()},
                compressors=None,
                fill_value=float("nan"),
                attributes={k: json_value(v) for k, v in variable.attributes.items()},
                dimension_names=variable.dims,
                overwrite=True,
            )

    def put(self, name: str, step: int, chunk: bytes) -> None:
        """Store the chunk with the field at flattened leading index ``step``.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        shape, every = self._variables[name].shape, self._key_every[name]
        path = self._path / name / chunk_key(shape, step, every)
        with reported(self._target):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(chunk)

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write the attribute that makes it a store, and drop what zarr's JSON can do without."""
        with reported(self._target):
            self._group.attrs[ATTRIBUTE] = dict(record)
        self.shrink()

    def shrink(self) -> None:
        """Rewrite the metadata without white space and empty optional keys."""
        for path in self._path.rglob("zarr.json"):
            data = json.loads(path.read_text("utf-8"))
            plain = {k: v for k, v in data.items() if v not in ([], {})}
            if plain.get("chunk_key_encoding", {}).get("name") == "default":
                plain["chunk_key_encoding"] = {"name": "default"}
            kept = data if "shape" in data and data["shape"] == [] else plain
            with reported(self._target):
                path.write_text(json.dumps(kept, separators=(",", ":")), "utf-8")

    @property
    def path(self) -> Path:
        """Where it is while it is written."""
        return Path(self._path)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return folder_size(self._path)

    def even_out(self) -> None:
        """Store evenly spaced coordinates as start and step, and shuffle other short ones."""
        for name, array in list(self._group.arrays()):
            values = np.asarray(array[...]) if array.ndim == 1 else None
            if values is None or values.dtype.kind not in "fiu" or values.size <= 8:
                continue
            options: dict[str, Any] = {"chunks": array.shape}
            if spacing(values) is not None:
                options |= {"serializer": {"name": EVEN}, "compressors": None}
            elif values.nbytes <= _SHORT:
                # Bits are shuffled in whole groups of eight values only.
                options["chunks"] = (-(-values.size // 8) * 8,)
                options["compressors"] = BloscCodec(
                    typesize=values.itemsize, cname="zstd", clevel=9, shuffle="bitshuffle"
                )
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
                    **options,
                )[...] = values


@contextmanager
def create_store(path: str, skeleton: xr.Dataset, *, overwrite: bool) -> Iterator[StoreOutput]:
    """Open a store for writing; it appears under its name only when the block ends well.

    Parameters
    ----------
    path : str
        Local, ending in ``.zarr``.
    skeleton : xr.Dataset
        Raw dataset of all but the compressed variables.
    overwrite : bool
        Replace an existing store, at the end.

    Raises
    ------
    UsageError
        If the path has another suffix.
    OutputError
        If the target exists and ``overwrite`` is false, or it cannot be written.
    """
    if not path.rstrip("/").endswith(".zarr"):
        raise UsageError(f"expected a store's path to end in .zarr; got '{path}'.")
    with create_output(path, skeleton, (), overwrite, StoreOutput) as output:
        output.even_out()
        yield output
