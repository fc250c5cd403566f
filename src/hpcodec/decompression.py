"""Decompress a store to a dataset, on the source grid or on HEALPix cells of any level.

store --read what the level needs--> payloads --decode, batch by batch--> dataset
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.containment import damaged
from hpcodec.conventions import (
    healpix_attributes,
    healpix_skeleton,
    lossy_attributes,
    with_history,
)
from hpcodec.decoding import decode_cells, decode_fields
from hpcodec.errors import LevelError, UsageError
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count
from hpcodec.report import bound_attributes
from hpcodec.stages.dataset import OutputVariable, create_output
from hpcodec.stages.zarr_store import Store, StoredVariable, open_store
from hpcodec.unfinished import Note, ignored

__all__ = ["Pick", "check_level", "decompress", "on_cells"]

Told = Callable[[str, int, int], None]
"""Called with a variable's name, fields done, and fields in all."""


def check_level(level: int) -> int:
    """``level``, if it is one that a field may be had at.

    Raises
    ------
    LevelError
        If not.
    """
    if not BASE_LEVEL <= level <= FINEST_LEVEL:
        raise LevelError(
            f"expected a level from {BASE_LEVEL} to {FINEST_LEVEL}; got {level}. "
            "Take one of these and average or interpolate."
        )
    return level


def decompress(
    path: str,
    target: str,
    *,
    level: int | None = None,
    variables: Sequence[str] | None = None,
    time: str = "",
    sharp: bool = False,
    device: str = "auto",
    batch: int = 4,
    overwrite: bool = False,
    legacy_crs: bool = False,
    told: Told = lambda name, done, total: None,
    note: Note = ignored,
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
    sharp : bool
        With the power of the original on every level, at the price of larger errors.
    legacy_crs : bool
        With the grid also in the words that readers of HEALPix had before CF-1.13.
    device, batch, overwrite, told, note
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
    if level is not None:
        check_level(level)
    if target.rstrip("/") == path.rstrip("/"):
        raise UsageError(f"expected another path for the output than '{path}'. Name it.")
    store = open_store(path)
    chosen = store.chosen(variables)
    skeleton = store.skeleton()
    dimension, times = _time_indices(skeleton, time)
    if times is not None:
        dims, skeleton = skeleton.encoding, skeleton.isel({dimension: times})
        skeleton.encoding = dims
    if level is None:
        skeleton.attrs = with_history(skeleton.attrs, _now("decompress"))
    else:
        zarr = target.rstrip("/").endswith(".zarr")
        history = _now(f"decompress --level {level}")
        skeleton = on_cells(skeleton, chosen, level, history, zarr=zarr, legacy=legacy_crs)
    picks = [Pick(store, variable, level, dimension, times) for variable in chosen]
    read = 0
    kept = list(map(str, skeleton.variables))
    outputs = [pick.output(kept) for pick in picks]
    with create_output(target, skeleton, outputs, overwrite, note=note) as out:
        for pick in picks:
            start, steps = 0, iter(pick.steps)
            while places := list(islice(steps, batch)):
                payloads = [store.read(pick.variable, step, pick.needed) for step in places]
                read += sum(map(len, payloads))
                out.write(pick.variable.name, start, pick.decode(payloads, device, sharp))
                start += len(payloads)
                told(pick.variable.name, start, pick.count)
    return read


def on_cells(
    skeleton: xr.Dataset,
    chosen: Sequence[StoredVariable],
    level: int,
    history: str,
    *,
    zarr: bool,
    legacy: bool = False,
) -> xr.Dataset:
    """``skeleton`` without what lies on the source grid, with what HEALPix cells need.

    Parameters
    ----------
    skeleton : xr.Dataset
        From :meth:`hpcodec.stages.zarr_store.Store.skeleton`.
    chosen : sequence of StoredVariable
        The fields to come.
    level, history, zarr, legacy
        As for :func:`hpcodec.conventions.healpix_skeleton`.
    """
    horizontal = {dim for variable in chosen for dim in variable.dims[-2:]}
    gone = [n for n, v in skeleton.variables.items() if horizontal & set(map(str, v.dims))]
    return healpix_skeleton(skeleton.drop_vars(gone), level, history, zarr=zarr, legacy=legacy)


def _now(done: str) -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} hpcodec {done}"


@dataclass(frozen=True, eq=False)
class Pick:
    """The fields of a variable that are wanted, and on what grid.

    Parameters
    ----------
    store, variable : Store, StoredVariable
        A store, and one of its variables.
    level : int, optional
        HEALPix level; the source grid without.
    dimension : str
        Of time, where only some times are wanted.
    times : sequence of int, optional
        Which; all without.
    """

    store: Store
    variable: StoredVariable
    level: int | None
    dimension: str = ""
    times: Sequence[int] | None = None

    @property
    def _selection(self) -> list[Sequence[int]]:
        """Positions wanted along each leading dimension."""
        leading = zip(self.variable.dims[:-2], self.variable.shape[:-2], strict=True)
        return [
            self.times if self.times is not None and dim == self.dimension else range(size)
            for dim, size in leading
        ]

    @property
    def needed(self) -> int | None:
        """Finest level to read; None for all of a field, whose means are not means of powers."""
        alone = self.level == BASE_LEVEL or self.variable.coding.exponent == 1
        return self.level if alone else None

    @property
    def count(self) -> int:
        """How many fields."""
        return prod(map(len, self._selection))

    @property
    def steps(self) -> Iterator[int]:
        """Flattened leading indices in the store."""
        return _flattened(self._selection, self.variable.shape[:-2])

    def output(self, kept: Sequence[str]) -> OutputVariable:
        """Variable of the result; ``kept`` are the names that it may refer to."""
        variable, leading = self.variable, len(self.variable.dims) - 2
        shape = tuple(len(where) for where in self._selection)
        on_cells = self.level is not None
        told = bound_attributes(self.store.record, variable.name, on_cells=on_cells)
        attributes = {**variable.attributes, **self._lossy, **told}
        if self.level is None:
            return OutputVariable(
                name=variable.name,
                dims=variable.dims,
                shape=(*shape, *variable.shape[-2:]),
                dtype=variable.coding.packing.dtype,
                attributes=attributes,
                leading=leading,
                order=variable.order,
                encoding=self.store.layout.encoding(variable.name),
            )
        return OutputVariable(
            name=variable.name,
            dims=(*variable.dims[:-2], "cell"),
            shape=(*shape, cell_count(self.level)),
            attributes=healpix_attributes(attributes, kept),
            leading=leading,
        )

    @property
    def _lossy(self) -> dict[str, str]:
        record, coding = self.store.record, self.variable.coding
        return lossy_attributes(
            version=record.version,
            model=coding.model,
            weights=coding.weights,
            error=error.to_dict() if (error := record.error.get(self.variable.name)) else {},
            units=str(self.variable.attributes.get("units", "")),
        )

    def decode(self, payloads: Sequence[bytes], device: str, sharp: bool) -> npt.NDArray[Any]:
        """Fields of payloads on the wanted grid."""
        coding = self.variable.coding
        if self.level is None:
            return decode_fields(payloads, coding, device, sharp=sharp)
        return decode_cells(payloads, coding, self.level, device, sharp=sharp)


def _flattened(selection: Sequence[Sequence[int]], shape: Sequence[int]) -> Iterator[int]:
    """Flattened indices (C order) of a selection, one by one: a store may claim any shape."""
    if not selection:
        yield 0
        return
    inner = prod(shape[1:])
    for first in selection[0]:
        for rest in _flattened(selection[1:], shape[1:]):
            yield first * inner + rest


def _time_indices(skeleton: xr.Dataset, time: str) -> tuple[str, Sequence[int] | None]:
    """Dimension of time, and positions of the times chosen; none chosen: None."""
    if not time:
        return "", None
    dated = {
        name: variable.variable
        for name, variable in skeleton.coords.items()
        if " since " in str(variable.attrs.get("units"))
    }
    with damaged("times as CF has them"):
        decoded = xr.decode_cf(xr.Dataset(coords=dated))
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
    return name, chosen.values.tolist()
