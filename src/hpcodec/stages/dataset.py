"""Open NetCDF, zarr and GRIB datasets, and write NetCDF and zarr.

    path        --open_source-->   raw dataset, lazy     --find_fields--> FieldSpec, ...
    FieldSpec   --read_stored-->   (steps, *grid.shape) as the file has them
                --read_steps-->    (steps, *grid.shape) float32, missing values NaN
    skeleton + OutputVariable, ... --create_output-->    Output.write(name, start, values)

Everything stays raw (undecoded) except the fields themselves, so that what is not a field
reaches the output as it was.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import NetCDF4DataStore

from hpcodec.conventions import supporting, unsuitable
from hpcodec.errors import FormatError, GridError, UsageError, nearest
from hpcodec.fields import FieldSpec
from hpcodec.georeference import locate
from hpcodec.layout import look_behind, stored_type
from hpcodec.output import Output, OutputVariable, create_output
from hpcodec.packing import Packing, decoded
from hpcodec.parts import Part, whole
from hpcodec.stages.recognise import recognise

__all__ = [
    "Output",
    "OutputVariable",
    "carried",
    "create_output",
    "fields_together",
    "find_fields",
    "open_source",
    "read_steps",
    "read_stored",
]

_OPTIONS: dict[str, dict[str, Any]] = {
    "zarr": {"consolidated": None},
    # No index beside the user's file, and no message left out that is unlike the first.
    "cfgrib": {"indexpath": "", "errors": "raise"},
}


def open_source(path: str) -> xr.Dataset:
    """Dataset at ``path``, lazy and raw (``decode_cf=False``).

    Parameters
    ----------
    path : str
        NetCDF-3, NetCDF-4, zarr v2 or v3 (a folder or a ``.zip``) or, with cfgrib, GRIB; local or
        any fsspec URL. NetCDF and GRIB behind a URL are copied to a temporary file first.

    Raises
    ------
    FormatError
        If there is nothing, nothing readable, no dataset, an hpcodec store, or more in it than
        one group of plain variables.
    """
    with warnings.catch_warnings():
        # About consolidated metadata and data types that zarr's specification has not settled.
        warnings.simplefilter("ignore")
        try:
            engine, target = recognise(path)
            with _opened(target, engine) as (opened, how, file):
                unused = look_behind(target, engine, file)
                dataset = xr.open_dataset(
                    opened,
                    engine=how,
                    decode_cf=False,
                    cache=False,
                    chunks=None,
                    backend_kwargs=_OPTIONS.get(engine),
                )
        except FormatError:
            raise
        except Exception as error:  # every file system behind fsspec raises its own kinds
            raise FormatError(
                f"expected a readable NetCDF, zarr or GRIB dataset; got '{path}' "
                f"({type(error).__name__}: {_one_line(error)}). {_remedy(error)}"
            ) from error
    dataset.encoding["unused_dims"] = unused
    if engine == "zarr" and "hpcodec" in dataset.attrs:
        dataset.close()
        raise FormatError(
            f"expected a NetCDF or zarr dataset; got '{path}', which is an hpcodec store. "
            "Use: hpcodec decompress."
        )
    return dataset


def find_fields(ds: xr.Dataset, names: Sequence[str] | None = None) -> tuple[FieldSpec, ...]:
    """Variables of a raw dataset that are fields on a global grid.

    Parameters
    ----------
    ds : xr.Dataset
        From :func:`open_source`.
    names : sequence of str, optional
        Only these, in this order; otherwise all, in the dataset's order.

    Raises
    ------
    UsageError
        If the dataset has no variable of a given name.
    GridError
        If a named variable is not such a field, or if there is none at all.
    """
    roles = supporting(ds)
    found: list[FieldSpec] = []
    refused: list[str] = []
    for name in dict.fromkeys(map(str, ds.variables) if names is None else names):
        if name not in ds.variables:
            known = nearest(name, map(str, ds.data_vars))
            raise UsageError(f"expected a variable of the dataset; got '{name}'. {known}")
        if name in ds.dims or (names is None and name in roles):
            reason = f"it is {roles.get(name, 'a coordinate')}"
        else:
            try:
                found.append(_spec(ds, name))
                continue
            except GridError as error:
                reason = str(error).rstrip(".")
        if names is not None:
            raise GridError(f"'{name}' cannot be compressed: {reason}.")
        if name not in ds.dims and name not in roles:
            refused.append(f"'{name}': {reason}")
    if not found:
        listed = "; ".join(refused[:8]) + ("; ..." if len(refused) > 8 else "")
        raise GridError(
            "expected fields on a global grid; got none "
            f"({listed or 'the dataset has no variables but coordinates'}). "
            "Give a dataset with such a variable."
        )
    return tuple(found)


def read_steps(ds: xr.Dataset, spec: FieldSpec, start: int, stop: int) -> npt.NDArray[np.float32]:
    """Fields ``start`` to ``stop`` in the variable's units, as :func:`read_stored` reads them.

    Returns
    -------
    ndarray
        ``(stop - start, *grid.shape)``, float32, in the grid's own order, missing values NaN.
    """
    stored = read_stored(ds, spec, start, stop)
    result = np.empty(stored.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        result[:] = decoded(stored, ds.variables[spec.name].attrs)
    return result


def fields_together(ds: xr.Dataset, spec: FieldSpec) -> int:
    """Fields in a chunk of the file, which are read together whether they are wanted or not."""
    told = ds.variables[spec.name].encoding.get("preferred_chunks") or {}
    return prod(min(size, int(told.get(dim) or 1)) for dim, size in spec.leading)


def read_stored(
    ds: xr.Dataset, spec: FieldSpec, start: int, stop: int, part: Part | None = None
) -> npt.NDArray[Any]:
    """Fields ``start`` to ``stop`` of the flattened leading axes, and nothing else of the file.

    With ``part``, they are counted in it.

    Returns
    -------
    ndarray
        ``(stop - start, *grid.shape)`` in the grid's own order: numbers as they are stored, in
        this machine's byte order.

    Raises
    ------
    FormatError
        If the data cannot be read.
    """
    part = part or whole(spec.leading_shape)
    assert 0 <= start <= stop <= part.steps, (start, stop, part)
    variable = ds.variables[spec.name]
    order = (*(name for name, _ in spec.leading), *spec.horizontal)
    native = variable.dtype.newbyteorder("=")
    result = np.empty((stop - start, *spec.grid.shape), native)
    done = 0
    for slab in part.slabs(start, stop):
        wanted = variable.isel(dict(zip(order, slab, strict=False)))
        try:
            raw = wanted.transpose(*order).to_numpy()
        except Exception as error:  # every file system behind fsspec raises its own kinds
            raise FormatError(
                f"expected readable data; got an error in '{spec.name}', step "
                f"{part.step(start + done)} ({_one_line(error)}). The file is damaged or gone."
            ) from error
        fields = raw.astype(native, copy=False).reshape(-1, *spec.grid.shape)
        result[done : done + len(fields)] = fields
        done += len(fields)
    return result


def carried(
    ds: xr.Dataset, specs: Sequence[FieldSpec], *, drop_horizontal: bool = False
) -> xr.Dataset:
    """``ds`` without the fields: everything that goes to the output as it is.

    With ``drop_horizontal`` also without every variable that uses a horizontal dimension of a
    field: for output on another grid.
    """
    gone = {spec.name for spec in specs}
    if drop_horizontal:
        axes = {axis for spec in specs for axis in spec.horizontal}
        gone |= {str(n) for n, v in ds.variables.items() if axes & set(map(str, v.dims))}
    result = ds.drop_vars(sorted(gone))
    result.encoding = dict(ds.encoding)
    return result


@contextlib.contextmanager
def _opened(target: Any, engine: str) -> Iterator[tuple[Any, str, Any]]:  # noqa: ANN401
    """What xarray is to open, with which engine, and a NetCDF file itself; closed on an error.

    A NetCDF file is opened once: with netCDF4 1.7.5, opening one of text twice that its user has
    open, too (in a notebook, say), ends the process at the next time.
    """
    if engine != "netcdf4":
        yield target, engine, None
        return
    store = NetCDF4DataStore.open(target)  # type: ignore[no-untyped-call]  # xarray
    try:
        yield store, "store", store.ds
    except BaseException:
        store.close()
        raise


def _spec(ds: xr.Dataset, name: str) -> FieldSpec:
    """Describe the field in variable ``name``; GridError with the reason where it is none."""
    variable = ds.variables[name]
    if reason := unsuitable(variable.dtype, variable.attrs):
        raise GridError(reason)
    grid, horizontal = locate(ds, name, variable)
    leading = tuple((str(d), n) for d, n in variable.sizes.items() if d not in horizontal)
    if empty := [dim for dim, size in leading if size == 0]:
        raise GridError(f"its dimension '{empty[0]}' has no steps")
    return FieldSpec(
        name=name,
        grid=grid,
        leading=leading,
        horizontal=horizontal,
        standard_name=str(variable.attrs.get("standard_name", "")),
        long_name=str(variable.attrs.get("long_name", "")),
        units=str(variable.attrs.get("units", "")),
        dims=tuple(map(str, variable.dims)),
        packing=Packing.of(stored_type(variable), variable.attrs),
    )


def _remedy(error: Exception) -> str:
    if type(error).__name__ == "DatasetBuildError":  # of cfgrib, which need not be there
        return "Take out messages that go together: grib_copy -w typeOfLevel=surface IN OUT."
    return "Check the path and the file."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
