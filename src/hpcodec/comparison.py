"""A store against its original: ``hpcodec compare``.

original, store --compare--> error figures per variable, on the source grid and at each level
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hpcodec.bounds import check_same
from hpcodec.chains import last_of
from hpcodec.decoding import decode_cells, decode_fields
from hpcodec.errors import LevelError
from hpcodec.figures import ErrorFigures, ErrorSum
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.maps import plot_maps
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.wire import prefix_size
from hpcodec.stages.zarr_store import Store, StoredVariable, open_store

__all__ = ["SOURCE_GRID", "Comparison", "Watch", "compare", "compared_table"]

SOURCE_GRID = "source"
"""Name of the source grid among the grids compared on."""

Watch: TypeAlias = Callable[[StoredVariable, int, npt.NDArray[Any], npt.NDArray[Any]], None]
"""Called with a variable, its first step of a batch, and original and decoded fields of it."""


@dataclass(frozen=True)
class Comparison:
    """Errors of one variable on one grid.

    Parameters
    ----------
    name, units : str
        Of the variable.
    grid : str
        ``source``, or the HEALPix level.
    ratio : float
        Bytes of the fields as float32 over bytes of the whole store.
    bytes : int
        Of the variable's payloads, those that decoding to this grid reads.
    figures : ErrorFigures
        On the source grid weighted by cos latitude. At a level, against the original remapped
        to it.
    """

    name: str
    units: str
    grid: str
    ratio: float
    bytes: int
    figures: ErrorFigures


def compare(
    original: str,
    path: str,
    *,
    variables: Sequence[str] | None = None,
    levels: Sequence[int] | None = None,
    device: str = "auto",
    batch: int = 4,
    plot: str = "",
    watch: Watch | None = None,
) -> list[Comparison]:
    """Errors of a store's variables against the dataset that was compressed.

    Parameters
    ----------
    original, path : str
        The dataset and the store.
    variables : sequence of str, optional
        Which; all by default.
    levels : sequence of int, optional
        HEALPix levels to compare at, besides the source grid; by default the base level, every
        second level, and the level that was coded.
    device : str
        Torch device, or ``auto``.
    batch : int
        Fields at a time.
    plot : str
        PNG file of maps of the first field of the first variable; none if empty.
    watch : callable, optional
        Called with each batch of fields on the source grid.

    Raises
    ------
    GridError
        If a variable's grid or steps are not those of the store.
    LevelError
        If a level is finer than the source's own, or coarser than the base.
    """
    store = open_store(path)
    source = open_source(original)
    try:
        chosen = store.chosen(variables)
        specs = find_fields(source, [item.name for item in chosen])
        for item, spec in zip(chosen, specs, strict=True):
            check_same(item, spec)
        results = []
        for number, (item, spec) in enumerate(zip(chosen, specs, strict=True)):
            sums, sizes = _sums(item, levels), Counter[str]()
            for start in range(0, item.steps, batch):
                stop = min(start + batch, item.steps)
                truth = read_steps(source, spec, start, stop)
                payloads = [store.read(item, step) for step in range(start, stop)]
                decoded = item.coding.packing.finite(decode_fields(payloads, item.coding, device))
                sums[SOURCE_GRID].add(decoded, truth)
                _add_levels(sums, item, payloads, truth, device)
                _add_sizes(sizes, sums, item, payloads)
                if watch is not None:
                    watch(item, start, truth, decoded)
                if plot and start == 0 and number == 0:
                    _plot(plot, item, store, truth[0], decoded[0])
            units = str(item.attributes.get("units", ""))
            results += [
                Comparison(item.name, units, grid, store.ratio, sizes[grid], errors.figures())
                for grid, errors in sums.items()
            ]
    finally:
        source.close()
    return results


def _sums(item: StoredVariable, levels: Sequence[int] | None) -> dict[str, ErrorSum]:
    own = item.coding.level
    if levels is None:
        levels = sorted({*range(BASE_LEVEL, own, 2), own})
    sums = {SOURCE_GRID: ErrorSum(item.coding.grid.area_weights)}
    return sums | {str(level): ErrorSum(None) for level in levels}


def _add_levels(
    sums: dict[str, ErrorSum],
    item: StoredVariable,
    payloads: Sequence[bytes],
    truth: npt.NDArray[np.float32],
    device: str,
) -> None:
    coding = item.coding
    levels = [int(grid) for grid in sums if grid != SOURCE_GRID]
    if not levels or not np.isfinite(truth).all():
        return
    cells = remap_for(coding.grid, coding.level, coding.remap).to_healpix(truth)
    for level in levels:
        if level > coding.level:
            raise LevelError(
                f"expected levels up to {coding.level}, the source's own; got {level}. "
                "There is nothing to compare with."
            )
        decoded = decode_cells(payloads, coding, level, device)
        means = cells.reshape(len(cells), cell_count(level), -1).mean(-1, dtype=np.float64)
        sums[str(level)].add(decoded, means.astype(np.float32))


def _add_sizes(
    sizes: Counter[str],
    grids: Iterable[str],
    item: StoredVariable,
    payloads: Sequence[bytes],
) -> None:
    """Count the bytes that each of ``grids`` needs; where values are powers, all need all."""
    coding = item.coding
    for payload in (last_of(one, coding) for one in payloads):
        for grid in grids:
            whole = grid == SOURCE_GRID
            level = int(grid) if not whole and coding.exponent == 1 else coding.bottleneck
            sizes[grid] += len(payload) if whole else prefix_size(payload, level)


def _plot(
    path: str,
    item: StoredVariable,
    store: Store,
    truth: npt.NDArray[np.float32],
    decoded: npt.NDArray[np.float32],
) -> None:
    errors = ErrorSum(item.coding.grid.area_weights)
    errors.add(decoded[None], truth[None])
    title = f"{item.name}, first field of {Path(store.path).name}"
    plot_maps(
        path,
        truth,
        decoded,
        item.coding.grid,
        name=str(item.attributes.get("long_name", item.name)),
        units=str(item.attributes.get("units", "")),
        figures=errors.figures(),
        title=title,
    )


def compared_table(rows: Sequence[Comparison]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of what ``hpcodec compare`` prints."""
    return ("variable", "grid", "RMSE", "max error", "bias", "PSNR"), [
        (
            row.name,
            row.grid if row.grid == SOURCE_GRID else f"level {row.grid}",
            f"{row.figures.rmse:.4g} {row.units}",
            f"{row.figures.max_error:.4g} {row.units}",
            f"{row.figures.bias:+.2g} {row.units}",
            f"{row.figures.psnr:.1f} dB",
        )
        for row in rows
    ]
