"""How a dataset is written in NetCDF-4 and in zarr v3, step by step.

    skeleton, variables --fill--> all but the fields;  name, start, values --write--> fields

What is carried goes through the libraries directly: xarray would re-encode it on the way.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from xarray.backends.locks import HDF5_LOCK
from xarray.backends.zarr import FillValueCoder
from zarr.abc.store import Store
from zarr.codecs import Crc32cCodec, ZstdCodec

from hpcodec.containment import check_name
from hpcodec.errors import FormatError, HpcodecError, OutputError

__all__ = [
    "KEEP_ALL",
    "NetcdfOutput",
    "Output",
    "OutputVariable",
    "ZarrOutput",
    "hyperslabs",
    "json_value",
    "reported",
    "written",
]

KEEP_ALL: Any = {"write_empty_chunks": True}
"""Of zarr arrays: a chunk that is not there is a loss, never a short way to say "all missing"."""

_ZARR_CHUNK = 8 * 2**20  # bytes of several small fields that may share one zarr chunk
_BLOCK = 64 * 2**20  # bytes of a carried variable that are held at a time


@dataclass(frozen=True)
class OutputVariable:
    """A variable that is written step by step.

    Parameters
    ----------
    name, dtype : str
        Variable name, and numpy name of the stored type.
    dims, shape : tuple
        Names and sizes of the dimensions: the leading ones first, then the horizontal ones.
    attributes, leading
        As they are stored; how many of ``dims`` are leading.
    order : tuple of int
        Place of each of ``dims`` among those of the stored variable; by default their own.
    encoding : mapping
        How NetCDF stores it, as :meth:`hpcodec.layout.Layout.encoding` says.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str = "float32"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    leading: int = 1
    order: tuple[int, ...] = ()
    encoding: Mapping[str, Any] = field(default_factory=dict)

    @property
    def axes(self) -> tuple[int, ...]:
        """For each dimension of the stored variable, its place among ``dims``."""
        return tuple(np.argsort(self.order).tolist()) or tuple(range(len(self.dims)))

    def stored(self, items: Sequence[Any]) -> tuple[Any, ...]:
        """One item for each of ``dims``, in the order of the stored variable."""
        return tuple(items[axis] for axis in self.axes)


class Output(ABC):
    """A dataset being written; made by :func:`create_output`."""

    def __init__(self, target: Path | str, variables: Sequence[OutputVariable]) -> None:
        self._target = target  # what it will be
        self._variables = {variable.name: variable for variable in variables}

    def write(self, name: str, start: int, values: npt.NDArray[Any]) -> None:
        """Store ``values`` at flattened leading index ``start``.

        Parameters
        ----------
        name : str
            One of the variables given to :func:`create_output`.
        start : int
            Index of the first field in the flattened leading axes (C order).
        values : ndarray
            ``(k, *horizontal shape)``.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        variable = self._variables[name]
        leading, horizontal = variable.shape[: variable.leading], variable.shape[variable.leading :]
        assert values.shape[1:] == horizontal, (values.shape, horizontal)
        assert 0 <= start <= start + len(values) <= prod(leading), (start, len(values), leading)
        done = 0
        with written(self._target):
            for slab in hyperslabs(leading, start, start + len(values)):
                block = tuple(part.stop - part.start for part in slab)
                part = values[done : done + prod(block)].reshape(*block, *horizontal)
                place = (*slab, *(slice(0, size) for size in horizontal))
                self._store(name, variable.stored(place), part.transpose(variable.axes))
                done += prod(block)

    def fill(self, skeleton: xr.Dataset) -> None:
        """Store all that is carried, and create the variables to be written."""
        dims = {str(dim): size for dim, size in skeleton.sizes.items()}
        dims = {**skeleton.encoding.get("unused_dims", {}), **dims}
        for variable in self._variables.values():
            new = dict(zip(variable.dims, variable.shape, strict=True))
            assert all(dims.get(dim, size) == size for dim, size in new.items()), (dims, new)
            dims |= new
        attributes = dict(skeleton.attrs)
        # Not in each variable's "coordinates": as a scalar of the group, crs goes with all.
        loose = [str(n) for n in skeleton.coords if n not in skeleton.dims]
        if words := dict.fromkeys([*str(attributes.get("coordinates", "")).split(), *loose]):
            attributes["coordinates"] = " ".join(words)
        unlimited = set(skeleton.encoding.get("unlimited_dims", ()))
        self._begin({d: None if d in unlimited else n for d, n in dims.items()}, attributes)
        for key, carried in skeleton.variables.items():
            name = str(key)
            with _read(name):
                stored = self._storable(carried)
            like = (tuple(map(str, stored.dims)), stored.shape, stored.dtype.str, stored.attrs)
            told = carried.encoding
            self._create(OutputVariable(name, *like, leading=-1, encoding=told))
            rows = stored.shape[:1]  # none in a scalar
            block = max(1, _BLOCK * prod(rows) // max(1, stored.nbytes))
            for row in range(0, prod(rows), block):
                part = tuple(slice(row, min(row + block, size)) for size in rows)
                with _read(name):
                    values = stored[part].to_numpy()
                self._store(name, part, values)
        for variable in self._variables.values():
            self._create(variable)

    def _storable(self, variable: xr.Variable) -> xr.Variable:
        """``variable`` as both formats can hold it; numbers and characters are untouched."""
        kind, size = variable.dtype.kind, variable.dtype.itemsize
        if kind in "mM":
            return xr.conventions.encode_cf_variable(variable)
        if kind in "UTO" or (kind == "S" and size > 1):
            raw = variable.to_numpy()
            text = (raw.astype(str) if kind == "S" else raw).astype(object)
            return xr.Variable(variable.dims, text, variable.attrs)
        return variable

    @abstractmethod
    def _begin(self, dims: Mapping[str, int | None], attributes: Mapping[str, Any]) -> None:
        """Create dimensions (None: unlimited) and the attributes of the dataset."""

    @abstractmethod
    def _create(self, variable: OutputVariable) -> None:
        """Create a variable; ``leading`` is -1 for a carried one."""

    @abstractmethod
    def _store(self, name: str, index: tuple[slice, ...], values: npt.NDArray[Any]) -> None:
        """Store values, ``index`` being of the first dimensions."""

    def close(self) -> None:  # noqa: B027  (nothing to finish in zarr: a chunk is a file)
        """Finish the file; a second call does nothing."""


class NetcdfOutput(Output):
    """NetCDF-4: one field is one chunk."""

    def __init__(self, path: Path, target: Path, variables: Sequence[OutputVariable]) -> None:
        super().__init__(target, variables)
        with HDF5_LOCK:  # the HDF5 library is not thread-safe, and xarray may be reading with it
            self._file = netCDF4.Dataset(path, "w", format="NETCDF4", clobber=False)

    def _begin(self, dims: Mapping[str, int | None], attributes: Mapping[str, Any]) -> None:
        with HDF5_LOCK:
            for dim, size in dims.items():
                self._file.createDimension(dim, size)
            of_zarr = _of_zarr(attributes)
            plain = {k: _netcdf_value(v) for k, v in attributes.items() if k not in of_zarr}
            self._file.setncatts(plain)

    def _storable(self, variable: xr.Variable) -> xr.Variable:
        if variable.dtype.kind == "b":
            marked = {**variable.attrs, "dtype": "bool"}  # as xarray marks and reads it
            return xr.Variable(variable.dims, variable.to_numpy().astype("i1"), marked)
        return super()._storable(variable)

    def _create(self, variable: OutputVariable) -> None:
        dtype, told = np.dtype(variable.dtype), variable.encoding
        if dtype == np.float16:  # which NetCDF does not have
            dtype = np.dtype(np.float32)
        attributes = {k: _netcdf_value(v) for k, v in variable.attributes.items()}
        fill = attributes.pop("_FillValue", None)
        big = dtype.byteorder == ">" or told.get("endian") == "big"
        if big:
            dtype = dtype.newbyteorder(">")
        options: dict[str, Any] = {"endian": "big" if big else "native"}
        chunks = self._chunks(variable)
        if chunks and dtype.kind != "O":
            ours = variable.leading >= 0
            packed = int(told.get("complevel", 0)) or int(ours)
            options |= {
                "zlib": packed > 0,
                "complevel": packed,
                "shuffle": packed > 0 and bool(told.get("shuffle", ours)),
                "fletcher32": bool(told.get("fletcher32", False)),
                "chunksizes": chunks,
            }
        if fill is not None and dtype.kind != "O":
            options["fill_value"] = np.asarray(fill).astype(dtype)[()]
        dims = variable.stored(variable.dims)
        with HDF5_LOCK:
            created = self._file.createVariable(
                variable.name, str if dtype.kind == "O" else dtype, dims, **options
            )
            created.set_auto_maskandscale(False)
            created.set_auto_chartostring(False)
            created.setncatts(attributes)

    def _chunks(self, variable: OutputVariable) -> tuple[int, ...]:
        """The source's, as far as they fit; else a field to a chunk, or what the library likes."""
        told = variable.encoding.get("chunks")
        dims = [self._file.dimensions[dim] for dim in variable.stored(variable.dims)]
        if isinstance(told, list) and len(told) == len(dims):
            pairs = zip(map(int, told), dims, strict=True)
            return tuple(max(1, n if d.isunlimited() else min(n, d.size)) for n, d in pairs)
        if variable.leading < 0:
            return ()
        horizontal = variable.shape[variable.leading :]
        return variable.stored((1,) * variable.leading + horizontal)

    def _store(self, name: str, index: tuple[slice, ...], values: npt.NDArray[Any]) -> None:
        with HDF5_LOCK:
            self._file.variables[name][(*index, ...)] = values

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        with HDF5_LOCK:
            if self._file.isopen():
                self._file.close()


class ZarrOutput(Output):
    """zarr v3: a chunk is one field, or several small ones."""

    def __init__(
        self, where: Path | Store, target: Path | str, variables: Sequence[OutputVariable]
    ) -> None:
        super().__init__(target, variables)
        self._where = where
        self._arrays: dict[str, Any] = {}

    def _begin(self, dims: Mapping[str, int | None], attributes: Mapping[str, Any]) -> None:
        plain = {k: json_value(v) for k, v in attributes.items()}
        self._group = zarr.open_group(self._where, mode="w-", zarr_format=3, attributes=plain)

    def _create(self, variable: OutputVariable) -> None:
        check_name(variable.name)
        dtype = np.dtype(variable.dtype)
        attributes = {k: json_value(v) for k, v in variable.attributes.items()}
        fill = attributes.pop("_FillValue", None)
        if fill is not None and dtype.kind == "O":
            attributes["_FillValue"] = str(fill)
        elif fill is not None and dtype.kind != "S":  # xarray cannot read that of characters
            # As xarray spells it in zarr v3, where JSON has no NaN.
            attributes["_FillValue"] = FillValueCoder.encode(fill, dtype)
        itemsize = max(1, dtype.itemsize)
        ours = dtype.kind == "f" and variable.leading >= 0
        options: Any = {"fill_value": np.nan} if ours else {}
        dtype = dtype.newbyteorder("=")  # zarr has the order of bytes in a codec
        chunks = [max(1, size) for size in variable.shape]
        if variable.leading > 0:
            field_bytes = max(1, prod(variable.shape[variable.leading :]) * itemsize)
            chunks[: variable.leading - 1] = [1] * (variable.leading - 1)
            last = variable.leading - 1
            chunks[last] = max(1, min(chunks[last], _ZARR_CHUNK // field_bytes))
        elif chunks:
            chunks[0] = max(1, min(chunks[0], _BLOCK * chunks[0] // (prod(chunks) * itemsize)))
        self._arrays[variable.name] = self._group.create_array(
            variable.name,
            shape=variable.stored(variable.shape),
            dtype=str if dtype.kind == "O" else dtype,
            chunks=variable.stored(chunks),
            compressors=(ZstdCodec(), Crc32cCodec()),
            config=KEEP_ALL,
            **options,
            attributes=attributes,
            dimension_names=variable.stored(variable.dims),
        )

    def _store(self, name: str, index: tuple[slice, ...], values: npt.NDArray[Any]) -> None:
        self._arrays[name][(*index, ...)] = values


def hyperslabs(shape: tuple[int, ...], start: int, stop: int) -> Iterator[tuple[slice, ...]]:
    """Blocks that cover ``start`` to ``stop`` of the flattened ``shape``, in order (C).

    Examples
    --------
    >>> [[(s.start, s.stop) for s in slab] for slab in hyperslabs((3, 4), 3, 9)]
    [[(0, 1), (3, 4)], [(1, 2), (0, 4)], [(2, 3), (0, 1)]]
    """
    if start >= stop:
        return
    if len(shape) <= 1:
        yield tuple(slice(start, stop) for _ in shape)
        return
    inner = prod(shape[1:])
    while start < stop:
        row, first = divmod(start, inner)
        if first or stop - start < inner:  # part of a row
            last = min(stop - row * inner, inner)
            for rest in hyperslabs(shape[1:], first, last):
                yield slice(row, row + 1), *rest
            start = row * inner + last
        else:
            yield slice(row, stop // inner), *(slice(0, size) for size in shape[1:])
            start = stop // inner * inner


@contextlib.contextmanager
def _read(name: str) -> Iterator[None]:
    """Tell what cannot be read from what cannot be written."""
    try:
        yield
    except Exception as error:  # every file system, and every codec, raises its own kinds
        raise FormatError(
            f"expected readable values of '{name}'; got {type(error).__name__}: "
            f"{' '.join(str(error).split())[:120]}. The source is damaged or gone."
        ) from error


def _of_zarr(attributes: Mapping[str, Any]) -> set[str]:
    """Names of attributes by conventions for zarr groups, which NetCDF cannot nest."""
    declared = attributes.get("zarr_conventions")
    known = declared if isinstance(declared, list | tuple) else ()
    named = {str(item.get("name")) for item in known if isinstance(item, dict)}
    return {"zarr_conventions", *named} if named else set()


def _netcdf_value(value: Any) -> Any:  # noqa: ANN401  (attributes are of any type)
    nested = isinstance(value, list | tuple) and any(isinstance(v, list | dict) for v in value)
    if value is None or nested or isinstance(value, bool | dict):
        return json.dumps(value)
    return value


def json_value(value: Any) -> Any:  # noqa: ANN401
    """An attribute's value as zarr's JSON holds it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return value.decode(errors="replace") if isinstance(value, bytes) else value


@contextlib.contextmanager
def reported(target: Path | str) -> Iterator[None]:
    """Turn what the libraries raise into one line; let no warning of theirs out."""
    with warnings.catch_warnings(), written(target):
        # Data types that zarr v3's specification has not settled: our own reader has them.
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def written(target: Path | str) -> Iterator[None]:
    """Turn what the libraries raise into one line; unlike :func:`reported` in any thread."""
    try:
        yield
    except (HpcodecError, AssertionError):
        raise
    except Exception as error:  # HDF5 says RuntimeError, netCDF4 and zarr also Type- and ValueError
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        with contextlib.suppress(OSError):
            if shutil.disk_usage(Path(target).parent).free < _ZARR_CHUNK:
                reason += " (the disk is full)"
        raise OutputError(
            f"expected to write '{target}'; got: {reason}. Check the folder, its rights and space."
        ) from error
