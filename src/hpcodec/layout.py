"""What a file says beyond names and numbers, and zarr has no place for.

    raw dataset --describe_layout--> JSON in the record of a store --Layout--> attributes, encoding

Types of attributes, byte order, how NetCDF chunks and packs, dimensions without a limit or a use.
Only what is not the default is said: a store of one field has room for little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import netCDF4
import numpy as np
import xarray as xr
import zarr
from xarray.backends.locks import HDF5_LOCK

from hpcodec.errors import FormatError
from hpcodec.metadata import OPTIONAL, Limits, read_object, schema_of

__all__ = ["Layout", "describe_layout", "look_behind", "stored_type"]

_DEFAULTS = ("<i8", "<f8")  # what numbers in JSON come back as
_STORAGE = {"complevel": 0, "shuffle": False, "fletcher32": False}

_Size = Annotated[int, Limits(0, 2**63 - 1)]
_Number = Annotated[str, Limits(pattern=r"[<>|][fiu][1248]", described="a type of numbers")]


@dataclass(frozen=True)
class _Stored:
    """Keys that say how NetCDF stores a variable."""

    endian: Literal["big"] = field(default="big", metadata=OPTIONAL)
    chunks: tuple[_Size, ...] = field(default=(), metadata=OPTIONAL)
    complevel: Annotated[int, Limits(0, 9)] = field(default=0, metadata=OPTIONAL)
    shuffle: bool = field(default=False, metadata=OPTIONAL)
    fletcher32: bool = field(default=False, metadata=OPTIONAL)
    fill: str = field(default="", metadata=OPTIONAL)


@dataclass(frozen=True)
class _Told:
    """Keys of a layout."""

    unlimited: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    unused: dict[str, _Size] = field(default_factory=dict, metadata=OPTIONAL)
    types: dict[str, dict[str, _Number]] = field(default_factory=dict, metadata=OPTIONAL)
    stored: dict[str, _Stored] = field(default_factory=dict, metadata=OPTIONAL)


def stored_type(variable: xr.Variable) -> np.dtype[Any]:
    """Type of a raw variable in its file, with the byte order that reading it undoes."""
    told, dtype = variable.encoding.get("dtype"), variable.dtype
    same = isinstance(told, np.dtype) and (told.kind, told.itemsize) == (dtype.kind, dtype.itemsize)
    return np.dtype(told) if same else dtype


def look_behind(path: str, engine: str, file: netCDF4.Dataset | None = None) -> dict[str, int]:
    """Dimensions that no variable has, of a file in which xarray shows all but these.

    Parameters
    ----------
    path, engine : str
        As xarray opens it: ``netcdf4``, ``zarr`` or ``cfgrib``.
    file : netCDF4.Dataset, optional
        The file, open, for ``netcdf4``.

    Raises
    ------
    FormatError
        If the file has groups, or types of its own, which would be lost.
    """
    if engine == "zarr":
        try:
            groups = sorted(zarr.open_group(path, mode="r").group_keys())
        except Exception:  # a server that lists nothing hides its groups, too
            groups = []
        _refuse(path, groups, "groups", f"Give one of them: {path.rstrip('/')}/GROUP")
        return {}
    if engine == "cfgrib":  # GRIB has neither
        return {}
    assert file is not None, path
    with HDF5_LOCK:
        _refuse(path, list(file.groups), "groups", "Take one out first: ncks -G : -g GROUP")
        own = [*file.enumtypes, *file.cmptypes, *file.vltypes]
        _refuse(path, own, "types of its own", "Leave out the variables that have them: ncks -x -v")
        used = {dim for variable in file.variables.values() for dim in variable.dimensions}
        return {name: dim.size for name, dim in file.dimensions.items() if name not in used}


def _refuse(path: str, found: list[str], what: str, remedy: str) -> None:
    if found:
        raise FormatError(
            f"expected a dataset without {what}; got '{path}' with {', '.join(found[:5])}, which "
            f"would be lost. {remedy}."
        )


def describe_layout(ds: xr.Dataset) -> dict[str, Any]:
    """JSON of the layout of a raw dataset; what is as usual is left out.

    Parameters
    ----------
    ds : xr.Dataset
        From :func:`hpcodec.stages.dataset.open_source`.
    """
    types = {"": _types(ds.attrs)}
    types |= {str(name): _types(variable.attrs) for name, variable in ds.variables.items()}
    stored = {str(name): _stored(variable) for name, variable in ds.variables.items()}
    told = {
        "unlimited": sorted(map(str, ds.encoding.get("unlimited_dims", ()))),
        "unused": dict(ds.encoding.get("unused_dims", {})),
        "types": {name: found for name, found in types.items() if found},
        "stored": {name: found for name, found in stored.items() if found},
    }
    return {key: value for key, value in told.items() if value}


def _types(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Types of those numbers that JSON would give back as others."""
    found = {
        key: value.dtype.str
        for key, value in attributes.items()
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiu"
    }
    return {key: dtype for key, dtype in found.items() if dtype not in _DEFAULTS}


def _stored(variable: xr.Variable) -> dict[str, Any]:
    encoding, told = variable.encoding, dict[str, Any]()
    if stored_type(variable).byteorder == ">":
        told["endian"] = "big"
    if encoding.get("chunksizes") and not encoding.get("contiguous"):
        told["chunks"] = [int(size) for size in encoding["chunksizes"]]
        kept = {key: encoding.get(key, off) for key, off in _STORAGE.items()}
        told |= {key: value for key, value in kept.items() if value}
    fill = variable.attrs.get("_FillValue")
    if variable.dtype.kind == "S" and isinstance(fill, bytes | str):  # zarr has none of these
        told["fill"] = fill.decode("latin-1") if isinstance(fill, bytes) else fill
    return told


@dataclass(frozen=True)
class Layout:
    """Layout that a store has kept.

    Parameters
    ----------
    told : dict
        From :func:`describe_layout`.
    """

    told: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_record(cls, told: Any) -> Layout:  # noqa: ANN401  (anything may stand in a store)
        """Layout in the record of a store.

        Raises
        ------
        FormatError
            If it is not of the form.
        """
        read_object(_Told, told, "the source's layout")
        return cls(told)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON schema of what :meth:`from_record` takes."""
        return schema_of(_Told)

    def attributes(self, name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of a variable (of the dataset: an empty name) in the types that they had."""
        result, types = dict(attributes), self.told.get("types", {}).get(name, {})
        try:
            for key in set(types) & set(result):
                dtype = np.dtype(types[key])
                if dtype.kind not in "fiu":
                    raise TypeError
                typed = np.asarray(result[key]).astype(dtype)
                result[key] = typed if typed.ndim else typed[()]
        except (TypeError, ValueError) as error:
            raise FormatError(
                f"expected attribute '{key}' of '{name}' as {types[key]}; got "
                f"{str(result[key])[:40]!r}. The store is damaged."
            ) from error
        fill = self.told.get("stored", {}).get(name, {}).get("fill")
        return result if fill is None else {**result, "_FillValue": np.bytes_(str(fill), "latin-1")}

    def encoding(self, name: str) -> dict[str, Any]:
        """How NetCDF is to store a variable: ``endian``, ``chunks``, ``complevel`` and so on."""
        return dict(self.told.get("stored", {}).get(name, {}))

    @property
    def dims(self) -> dict[str, Any]:
        """Encoding of a dataset: its ``unlimited_dims``, and ``unused_dims`` with their sizes."""
        unlimited = set(map(str, self.told.get("unlimited", ())))
        unused = {str(k): int(v) for k, v in self.told.get("unused", {}).items()}
        return {"unlimited_dims": unlimited, "unused_dims": unused}

    def apply(self, ds: xr.Dataset) -> xr.Dataset:
        """A raw dataset of a store with the attributes and the encoding of the source."""
        result = ds.copy()
        result.attrs, result.encoding = self.attributes("", ds.attrs), self.dims
        for key in result.variables:
            variable = result.variables[key]
            variable.attrs = self.attributes(str(key), variable.attrs)
            variable.encoding = self.encoding(str(key))
        return result
