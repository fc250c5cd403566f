"""Decompress a store to a dataset, on the source grid or on HEALPix cells of any level.

store --read what the level needs--> payloads --decode, batch by batch--> dataset
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr

from hpcodec.conventions import healpix_attributes, healpix_skeleton
from hpcodec.errors import UsageError
from hpcodec.grid import cell_count
from hpcodec.pipeline import decode_cells, decode_fields
from hpcodec.stages.dataset import OutputVariable, create_output, open_source
from hpcodec.stages.zarr_store import Store, open_store

__all__ = ["decompress", "skeleton_of"]

Told = Callable[[str, int, int], None]
"""Called with a variable's name, fields done, and fields in all."""


def skeleton_of(store: Store) -> xr.Dataset:
    """Raw dataset of all that a store carries besides its compressed variables."""
    dataset = open_source(store.path, store=True)
    attributes = {k: v for k, v in dataset.attrs.items() if k != "hpcodec"}
    plain = dataset.drop_vars(list(store.variables))
    plain.attrs = attributes
    return plain


def decompress(
    path: str,
    target: str,
    *,
    level: int | None = None,
    variables: Sequence[str] | None = None,
    time: str = "",
    device: str = "auto",
    batch: int = 4,
    overwrite: bool = False,
    told: Told = lambda name, done, total: None,
) -> int:
    """Decompress a store to NetCDF or zarr.

    Parameters
    ----------
    path : str
        The store.
    target : str
        Local path; ``.nc`` or ``.zarr``.
    level : int, optional
        HEALPix level of the result; the source grid without.
    variables : sequence of str, optional
        Which; all by default.
    time : str
        ``START/STOP`` or one date or time, ISO 8601, both ends included; all without.
    device, batch, overwrite, told
        As for :func:`compress`.

    Returns
    -------
    int
        Bytes of payloads read.

    Raises
    ------
    HpcodecError
        For whatever is wrong with the store, the options or the output.
    """
    store = open_store(path)
    chosen = store.chosen(variables)
    skeleton = skeleton_of(store)
    dimension, times = _time_indices(skeleton, time)
    if times is not None:
        skeleton = skeleton.isel({dimension: times})
    history = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} hpcodec decompress, level {level}"
    zarr = target.rstrip("/").endswith(".zarr")
    if level is not None:
        horizontal = {dim for variable in chosen for dim in variable.dims[-2:]}
        gone = [n for n, v in skeleton.variables.items() if horizontal & set(map(str, v.dims))]
        skeleton = healpix_skeleton(skeleton.drop_vars(gone), level, history, zarr=zarr)
    read = 0
    outputs = []
    for variable in chosen:
        shape = tuple(
            len(times) if times is not None and dim == dimension else size
            for dim, size in zip(variable.dims[:-2], variable.shape[:-2], strict=True)
        )
        horizontal_shape = variable.shape[-2:] if level is None else (cell_count(level),)
        outputs.append(
            OutputVariable(
                name=variable.name,
                dims=(*variable.dims[:-2], *(variable.dims[-2:] if level is None else ("cell",))),
                shape=(*shape, *horizontal_shape),
                attributes=variable.attributes
                if level is None
                else healpix_attributes(variable.attributes, list(map(str, skeleton.variables))),
                leading=len(shape),
            )
        )
    with create_output(target, skeleton, outputs, overwrite) as output:
        for variable, out in zip(chosen, outputs, strict=True):
            selection = [
                times if times is not None and dim == dimension else np.arange(size)
                for dim, size in zip(variable.dims[:-2], variable.shape[:-2], strict=True)
            ]
            grids = np.meshgrid(*selection, indexing="ij") if selection else [np.zeros(1, int)]
            steps = np.ravel_multi_index(
                [g.ravel() for g in grids], variable.shape[:-2] or (1,)
            ).tolist()
            for start in range(0, len(steps), batch):
                payloads = [
                    store.read(variable, step, level) for step in steps[start : start + batch]
                ]
                read += sum(map(len, payloads))
                values = (
                    decode_fields(payloads, variable.coding, device)
                    if level is None
                    else decode_cells(payloads, variable.coding, level, device)
                )
                output.write(out.name, start, values)
                told(out.name, min(start + batch, len(steps)), len(steps))
    return read


def _time_indices(skeleton: xr.Dataset, time: str) -> tuple[str, Any]:
    """Dimension of time, and positions of the times chosen; none chosen: None."""
    if not time:
        return "", None
    decoded = xr.decode_cf(skeleton)
    names = [str(n) for n, v in decoded.coords.items() if v.ndim == 1 and v.dtype.kind in "MO"]
    if not names:
        raise UsageError("expected a time coordinate to select from; the store has none.")
    name = names[0]
    first, _, last = time.partition("/")
    try:
        where = xr.DataArray(np.arange(decoded.sizes[name]), {name: decoded[name]}, (name,))
        chosen = where.sel({name: slice(first or None, (last or None) if "/" in time else first)})
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"expected a time or START/STOP in ISO 8601; got '{time}'.") from error
    if not chosen.size:
        span = f"{decoded[name].values[0]} to {decoded[name].values[-1]}"
        raise UsageError(f"expected times within {span}; got '{time}', which selects none.")
    return name, chosen.values
