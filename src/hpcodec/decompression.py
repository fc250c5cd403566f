"""Decompress a store to a dataset, on the source grid or on HEALPix cells of any level.

store --read what the level needs--> payloads --decode, batch by batch--> dataset
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import xarray as xr

from hpcodec.ahead import Behind, read_ahead
from hpcodec.containment import damaged
from hpcodec.conventions import (
    healpix_skeleton,
    with_history,
)
from hpcodec.errors import GridError, LevelError, UsageError
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL
from hpcodec.grids import Grid, HealpixGrid
from hpcodec.named_grids import coordinates_of, named_grid
from hpcodec.picks import Pick
from hpcodec.stages.dataset import create_output
from hpcodec.stages.zarr_store import StoredVariable, open_store
from hpcodec.unfinished import Note, ignored

__all__ = ["SOURCE", "check_level", "decompress", "on_cells", "on_grid", "wanted_grid"]

SOURCE = "source"
"""Name of the grid that a source had."""

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


def wanted_grid(level: int | None, grid: str) -> tuple[int | None, Grid | None]:
    """HEALPix level or grid that is asked for; neither is the source grid.

    Raises
    ------
    LevelError, UsageError
        If there is no such level or grid, or both are asked for.
    """
    if grid == SOURCE:
        return level if level is None else check_level(level), None
    if level is not None:
        raise UsageError(f"expected a level or a grid; got {level} and '{grid}'. Leave one out.")
    found = named_grid(grid)
    if isinstance(found, HealpixGrid):
        return check_level(found.level), None
    return None, found


def decompress(
    path: str,
    target: str,
    *,
    level: int | None = None,
    grid: str = SOURCE,
    variables: Sequence[str] | None = None,
    time: str = "",
    sharp: bool = False,
    device: str = "auto",
    batch: int = 4,
    memory: int | None = None,
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
    grid : str
        In place of a level ``source``, or one of :func:`hpcodec.named_grids.named_grid`.
    variables : sequence of str, optional
        Which; all by default.
    time : str
        ``START/STOP`` or one date or time, ISO 8601, both ends included; all without.
    sharp : bool
        With the power of the original on every level, at the price of larger errors.
    legacy_crs : bool
        With the grid also in the words that readers of HEALPix had before CF-1.13.
    device, batch, memory, overwrite, told, note
        As for :func:`compress` and its options.

    Returns
    -------
    int
        Bytes of payloads read.

    Raises
    ------
    HpcodecError
        For whatever is wrong with the store, the options or the output.
    """
    level, other = wanted_grid(level, grid)
    if target.rstrip("/") == path.rstrip("/"):
        raise UsageError(f"expected another path for the output than '{path}'. Name it.")
    store = open_store(path)
    chosen = store.chosen(variables)
    skeleton = store.skeleton()
    dimension, times = _time_indices(skeleton, time)
    if times is not None:
        dims, skeleton = skeleton.encoding, skeleton.isel({dimension: times})
        skeleton.encoding = dims
    if other is not None:
        skeleton = on_grid(skeleton, chosen, other, _now(f"decompress --grid {grid}"))
    elif level is None:
        skeleton.attrs = with_history(skeleton.attrs, _now("decompress"))
    else:
        zarr = target.rstrip("/").endswith(".zarr")
        history = _now(f"decompress --level {level}")
        skeleton = on_cells(skeleton, chosen, level, history, zarr=zarr, legacy=legacy_crs)
    picks = [Pick(store, variable, level, other, dimension, times) for variable in chosen]
    read = 0
    kept = list(map(str, skeleton.variables))
    outputs = [pick.output(kept) for pick in picks]
    batches = [pick.batch(memory, batch) for pick in picks]
    with create_output(target, skeleton, outputs, overwrite, note=note) as out, Behind() as behind:
        for pick, count in zip(picks, batches, strict=True):
            start = 0
            with closing(read_ahead(pick.payloads(count))) as coming:
                for payloads in coming:
                    fields = pick.decode(payloads, device, sharp)
                    behind.do(out.write, pick.variable.name, start, fields)
                    read, start = read + sum(map(len, payloads)), start + len(payloads)
                    told(pick.variable.name, start, pick.count)
    return read


def on_grid(
    skeleton: xr.Dataset, chosen: Sequence[StoredVariable], grid: Grid, history: str
) -> xr.Dataset:
    """``skeleton`` without what lies on the source grid, with the coordinates of another.

    Raises
    ------
    GridError
        If the source has a variable or a dimension of such a name.
    """
    dims, coordinates = coordinates_of(grid)
    bare = _without_grid(skeleton, chosen)
    taken = [name for name in (*dims, *coordinates) if name in bare.variables or name in bare.dims]
    if taken:
        raise GridError(
            f"expected a free name '{taken[0]}' for a coordinate; the source has one. Rename it "
            "there."
        )
    result = bare.assign_coords(coordinates)
    result.attrs = with_history(skeleton.attrs, history)
    return result


def _without_grid(skeleton: xr.Dataset, chosen: Sequence[StoredVariable]) -> xr.Dataset:
    horizontal = {dim for variable in chosen for dim in variable.dims[-variable.axes :]}
    gone = {str(n) for n, v in skeleton.variables.items() if horizontal & set(map(str, v.dims))}
    # A grid mapping described the grid that is gone.
    gone |= {str(n) for n, v in skeleton.variables.items() if "grid_mapping_name" in v.attrs}
    return skeleton.drop_vars(sorted(gone))


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
    bare = _without_grid(skeleton, chosen)
    return healpix_skeleton(bare, level, history, zarr=zarr, legacy=legacy)


def _now(done: str) -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} hpcodec {done}"


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
