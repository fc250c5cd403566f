"""Decompress a store to a dataset, on the source grid or on HEALPix cells of any level.

store --read what the level needs--> payloads --decode, batch by batch--> dataset
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.conventions import (
    healpix_attributes,
    healpix_skeleton,
    lossy_attributes,
    with_history,
)
from hpcodec.errors import LevelError, UsageError
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count
from hpcodec.pipeline import decode_cells, decode_fields
from hpcodec.stages.dataset import OutputVariable, create_output, open_source
from hpcodec.stages.zarr_store import ATTRIBUTE, Store, StoredVariable, open_store
from hpcodec.unfinished import Note, ignored

__all__ = ["Pick", "check_level", "decompress", "on_cells", "skeleton_of"]

Told = Callable[[str, int, int], None]
"""Called with a variable's name, fields done, and fields in all."""


def skeleton_of(store: Store) -> xr.Dataset:
    """Raw dataset of all that a store carries besides its compressed variables.

    Raises
    ------
    FormatError
        If a chunk of it is not there.
    """
    for name in store.carried:
        store.check(name)
    dataset = open_source(store.path, store=True)
    attributes = {k: v for k, v in dataset.attrs.items() if k != ATTRIBUTE}
    plain = dataset.drop_vars(list(store.variables))
    plain.attrs = attributes
    return store.layout.apply(plain)


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
    skeleton = skeleton_of(store)
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
            for start in range(0, len(pick.steps), batch):
                payloads = [
                    store.read(pick.variable, step, level)
                    for step in pick.steps[start : start + batch]
                ]
                read += sum(map(len, payloads))
                out.write(pick.variable.name, start, pick.decode(payloads, device, sharp))
                told(pick.variable.name, start + len(payloads), len(pick.steps))
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
        From :func:`skeleton_of`.
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
    times : ndarray of int64, optional
        Which; all without.
    """

    store: Store
    variable: StoredVariable
    level: int | None
    dimension: str = ""
    times: npt.NDArray[np.int64] | None = None

    @property
    def _selection(self) -> list[npt.NDArray[np.int64]]:
        """Positions wanted along each leading dimension."""
        leading = zip(self.variable.dims[:-2], self.variable.shape[:-2], strict=True)
        return [
            self.times if self.times is not None and dim == self.dimension else np.arange(size)
            for dim, size in leading
        ]

    @property
    def steps(self) -> list[int]:
        """Flattened leading indices in the store."""
        if not self._selection:
            return [0]
        grids = np.meshgrid(*self._selection, indexing="ij")
        places = np.ravel_multi_index([g.ravel() for g in grids], self.variable.shape[:-2])
        return [int(place) for place in places]

    def output(self, kept: Sequence[str]) -> OutputVariable:
        """Variable of the result; ``kept`` are the names that it may refer to."""
        variable, leading = self.variable, len(self.variable.dims) - 2
        shape = tuple(len(where) for where in self._selection)
        attributes = {**variable.attributes, **self._lossy}
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
            version=str(record.get("version")),
            model=coding.model,
            weights=coding.weights,
            error=record.get("error", {}).get(self.variable.name, {}),
            units=str(self.variable.attributes.get("units", "")),
        )

    def decode(self, payloads: Sequence[bytes], device: str, sharp: bool) -> npt.NDArray[Any]:
        """Fields of payloads on the wanted grid."""
        coding = self.variable.coding
        if self.level is None:
            return decode_fields(payloads, coding, device, sharp=sharp)
        return decode_cells(payloads, coding, self.level, device, sharp=sharp)


def _time_indices(skeleton: xr.Dataset, time: str) -> tuple[str, Any]:
    """Dimension of time, and positions of the times chosen; none chosen: None."""
    if not time:
        return "", None
    dated = {
        name: variable.variable
        for name, variable in skeleton.coords.items()
        if " since " in str(variable.attrs.get("units"))
    }
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
    return name, chosen.values
