"""The base fields of a store for readers without hpcodec: a zarr group of plain codecs.

payloads --base_cells--> (steps, 768) --base_dataset--> CF-packed integers --> group

``xr.open_zarr(store, group="base")`` opens it as it does any dataset on HEALPix cells.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from zarr.codecs import BloscCodec, Crc32cCodec

from hpcodec.conventions import healpix_attributes, healpix_skeleton
from hpcodec.decoding import decode_cells
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.layout import Layout
from hpcodec.output_store import StoreOutput
from hpcodec.records import Record
from hpcodec.stages.zarr_store import Store
from hpcodec.stored import BASE, StoredVariable, stored_variables

__all__ = [
    "BASE",
    "base_cells",
    "base_dataset",
    "fill_base",
    "reserve_base",
    "unfinished_store",
]

_SHARE = 0.02  # of a store that base fields may take without being asked for

_STEPS = 1023  # of which the range of the widest field is made
# Each number has 10 bits that are its own, and one that tells on which side of a power of two it
# is; those above are copies of that one. The rest is room for what Blosc and zarr add.
_BITS = 13

_TOGETHER = 32  # fields in a chunk, along the first axis
_CELLS = cell_count(BASE_LEVEL)
_NOT_LISTED = {"coordinates": None}  # crs belongs to the group

_UNTOLD = Record("", "", {})  # of a store that is being written

Floats = npt.NDArray[np.float32]


def reserve_base(output: StoreOutput, budget: int, wanted: bool | None) -> int:
    """Bytes of a store to leave for its base fields; 0 where it does without.

    Parameters
    ----------
    output : StoreOutput
        With the arrays of all compressed variables. Gets the group, as yet without values.
    budget : int
        Bytes of the whole store.
    wanted : bool, optional
        Whether; by default, if they take no more than a fiftieth of the budget.
    """
    variables = list(stored_variables(output.group, Layout()).values())
    numbers = sum(_CELLS * _BITS // 8 * variable.steps for variable in variables)
    if wanted is False or (wanted is None and numbers > _SHARE * budget):
        return 0
    before = output.size
    zeros = {one.name: np.zeros((one.steps, _CELLS), np.float32) for one in variables}
    _write(output, variables, zeros)
    size = output.size - before + numbers
    if wanted is None and size > _SHARE * budget:
        del output.group[BASE]
        return 0
    return size


def fill_base(output: StoreOutput, layout: Layout, device: str = "auto") -> None:
    """Write the base fields of a store whose payloads are all there, if they were reserved.

    Parameters
    ----------
    output : StoreOutput
        As for :func:`reserve_base`.
    layout : Layout
        Of the source.
    device : str
        Torch device, or ``auto``.
    """
    if BASE not in output.group:
        return
    store = unfinished_store(output, layout)
    chosen = list(store.variables.values())
    cells = {one.name: base_cells(store, one, device) for one in chosen}
    _write(output, chosen, cells)


def unfinished_store(output: StoreOutput, layout: Layout | None = None) -> Store:
    """What is written so far, for reading."""
    layout = layout or Layout()
    variables = stored_variables(output.group, layout)
    return Store(str(output.target), _UNTOLD, variables, layout, output.group)


def base_cells(store: Store, variable: StoredVariable, device: str = "auto") -> Floats:
    """Base fields of a variable, ``(steps, 768)``, nested order, its unit.

    Raises
    ------
    FormatError
        If a payload is damaged.
    """
    found = np.empty((variable.steps, _CELLS), np.float32)
    for start in range(0, variable.steps, _TOGETHER):
        steps = range(start, min(start + _TOGETHER, variable.steps))
        payloads = [store.read(variable, step, BASE_LEVEL) for step in steps]
        found[start : steps.stop] = decode_cells(payloads, variable.coding, BASE_LEVEL, device)
    return found


def base_dataset(
    skeleton: xr.Dataset, variables: Sequence[StoredVariable], cells: Mapping[str, Floats]
) -> xr.Dataset:
    """Raw dataset of base fields.

    Parameters
    ----------
    skeleton : xr.Dataset
        Raw dataset of all but the fields, of which coordinates are taken.
    variables : sequence of StoredVariable
        The fields.
    cells : mapping of str to ndarray
        What :func:`base_cells` gives for each.

    Returns
    -------
    xr.Dataset
        On HEALPix cells of level 3, packed to a thousandth of the range of a variable's widest
        field.
    """
    leading = {dim for variable in variables for dim in variable.dims[: -variable.axes]}
    kept = sorted(leading & set(map(str, skeleton.variables)))
    # The root says the rest.
    bare = skeleton[kept].drop_attrs(deep=False)
    described = healpix_skeleton(bare, BASE_LEVEL, "", zarr=True)
    del described.attrs["history"]
    for name in kept:
        described[name].attrs.pop("bounds", None)
    for coordinate in described.variables.values():
        coordinate.encoding = {}  # that of the source
    for variable in variables:
        packed, packing = _packed(cells[variable.name])
        attributes = {**healpix_attributes(variable.attributes, kept), **packing}
        shape = *variable.leading_shape, _CELLS
        dims = *variable.dims[: -variable.axes], "cell"
        described[variable.name] = xr.Variable(dims, packed.reshape(shape), attributes, _NOT_LISTED)
    return described


def _write(
    output: StoreOutput, variables: Sequence[StoredVariable], cells: Mapping[str, Floats]
) -> None:
    """Write the group, in place of one that is there."""
    root = output.group.store
    with warnings.catch_warnings():
        # About data types that zarr's specification has not settled.
        warnings.simplefilter("ignore")
        skeleton = xr.open_dataset(
            root,  # type: ignore[arg-type]  # zarr's stores can be opened, too
            engine="zarr",
            decode_cf=False,
            consolidated=False,
            chunks=None,
            cache=False,
        )
        dataset = base_dataset(skeleton, variables, cells)
        dataset.to_zarr(
            root,
            group=BASE,
            mode="w",
            zarr_format=3,
            consolidated=False,
            encoding={name: _encoding(dataset[name]) for name in ("cell", *dataset.data_vars)},
            write_empty_chunks=True,
        )
    output.shrink()


def _encoding(values: xr.DataArray) -> dict[str, Any]:
    size, leading = values.dtype.itemsize, values.shape[:-1]
    packed = BloscCodec(typesize=size, cname="zstd", clevel=9, shuffle="bitshuffle")
    together = [1 if axis else min(_TOGETHER, count) for axis, count in enumerate(leading)]
    return {"chunks": (*together, _CELLS), "compressors": (packed, Crc32cCodec())}


def _packed(cells: Floats) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """Integers and the attributes that CF gives them; missing cells get the fill value."""
    there = np.isfinite(cells)
    least, most = np.where(there, cells, np.inf).min(-1), np.where(there, cells, -np.inf).max(-1)
    full = there.any(-1)
    if not full.any():
        return np.full(cells.shape, -1, np.int16), {"_FillValue": -1}
    low, high = float(least[full].min()), float(most[full].max())
    step = (float((most - least)[full].max()) or high - low or 1.0) / _STEPS
    step = max(step, (high - low) / 2**30)
    span = 2**14 if (high - low) / step < 2**15 - 2 else 2**30
    dtype = np.int16 if span == 2**14 else np.int32
    middle = (low + high) / 2
    fill = int(np.iinfo(dtype).min)
    with np.errstate(invalid="ignore"):
        whole = np.rint((cells.astype(np.float64) - middle) / step)
    packed = np.where(there, whole, fill).astype(dtype)
    return packed, {"scale_factor": step, "add_offset": middle, "_FillValue": fill}
