"""Decompress a store to a dataset, on the source grid or on HEALPix cells of any level.

store --read what the level needs--> payloads --decode, batch by batch--> dataset
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import prod

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.containment import damaged
from hpcodec.conventions import healpix_attributes, healpix_skeleton
from hpcodec.errors import LevelError, UsageError
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count
from hpcodec.pipeline import decode_cells, decode_fields
from hpcodec.records import Record
from hpcodec.report import bound_attributes
from hpcodec.stages.dataset import OutputVariable, create_output
from hpcodec.stages.zarr_store import StoredVariable, open_store

__all__ = ["decompress"]

Told = Callable[[str, int, int], None]
"""Called with a variable's name, fields done, and fields in all."""


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
    sharp : bool
        With the power of the original on every level, at the price of larger errors.
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
    if level is not None and not BASE_LEVEL <= level <= FINEST_LEVEL:
        raise LevelError(
            f"expected a level from {BASE_LEVEL} to {FINEST_LEVEL}; got {level}. "
            "Decompress at one of these and average or interpolate."
        )
    if target.rstrip("/") == path.rstrip("/"):
        raise UsageError(f"expected another path for the output than '{path}'. Name it.")
    store = open_store(path)
    chosen = store.chosen(variables)
    skeleton = store.skeleton()
    dimension, times = _time_indices(skeleton, time)
    if times is not None:
        skeleton = skeleton.isel({dimension: times})
    if level is not None:
        skeleton = _on_cells(skeleton, chosen, level, zarr=target.rstrip("/").endswith(".zarr"))
    picks = [_Pick(variable, level, dimension, times, store.record) for variable in chosen]
    read = 0
    kept = list(map(str, skeleton.variables))
    with create_output(target, skeleton, [pick.output(kept) for pick in picks], overwrite) as out:
        for pick in picks:
            start, steps = 0, iter(pick.steps)
            while places := list(islice(steps, batch)):
                payloads = [store.read(pick.variable, step, pick.needed) for step in places]
                read += sum(map(len, payloads))
                out.write(pick.variable.name, start, pick.decode(payloads, device, sharp))
                start += len(payloads)
                told(pick.variable.name, start, pick.count)
    return read


def _on_cells(
    skeleton: xr.Dataset, chosen: Sequence[StoredVariable], level: int, *, zarr: bool
) -> xr.Dataset:
    """``skeleton`` without what lies on the source grid, with what HEALPix cells need."""
    horizontal = {dim for variable in chosen for dim in variable.dims[-2:]}
    gone = [n for n, v in skeleton.variables.items() if horizontal & set(map(str, v.dims))]
    history = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} hpcodec decompress --level {level}"
    return healpix_skeleton(skeleton.drop_vars(gone), level, history, zarr=zarr)


@dataclass(frozen=True, eq=False)
class _Pick:
    """The fields of a variable that are wanted, and on what grid."""

    variable: StoredVariable
    level: int | None
    dimension: str
    times: Sequence[int] | None
    record: Record

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
        on_cells = self.level is not None
        horizontal = (cell_count(self.level),) if self.level is not None else variable.shape[-2:]
        told = bound_attributes(self.record, variable.name, on_cells=on_cells)
        attributes = {**variable.attributes, **told}
        return OutputVariable(
            name=variable.name,
            dims=(*variable.dims[:-2], *(("cell",) if on_cells else variable.dims[-2:])),
            shape=(*(len(where) for where in self._selection), *horizontal),
            attributes=healpix_attributes(attributes, kept) if on_cells else attributes,
            leading=leading,
        )

    def decode(
        self, payloads: Sequence[bytes], device: str, sharp: bool
    ) -> npt.NDArray[np.float32]:
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
    with damaged("times as CF has them"):
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
    return name, chosen.values.tolist()
