"""Compress a dataset to a store.

dataset --compress--> store      a few fields at a time, each step into its share of bytes
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from math import prod
from typing import Any

import numpy.typing as npt
import xarray as xr

from hpcodec.base_group import fill_base, reserve_base
from hpcodec.bounds import verify
from hpcodec.coding import coding_for, frequent_masks
from hpcodec.errors import GridError, UsageError
from hpcodec.fields import Coding, FieldSpec
from hpcodec.grid import FINEST_LEVEL, cell_count
from hpcodec.journal import Journal, open_journal
from hpcodec.layout import Layout, describe_layout
from hpcodec.memory import fields_within
from hpcodec.models import resolve_device
from hpcodec.options import Options
from hpcodec.output_store import StoreOutput, create_store
from hpcodec.report import VariableReport, command_line, record, record_size
from hpcodec.series import Told, write_series
from hpcodec.stages.dataset import (
    OutputVariable,
    carried,
    fields_together,
    find_fields,
    open_source,
    read_stored,
)
from hpcodec.stored import grid_size, stored_variables
from hpcodec.targets import bounds_for, rmse_for
from hpcodec.unfinished import Note, ignored

__all__ = ["Options", "VariableReport", "compress"]


def compress(
    source: str,
    target: str,
    options: Options,
    *,
    variables: Sequence[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    told: Told = lambda name, done, total: None,
    note: Note = ignored,
) -> tuple[list[VariableReport], int]:
    """Compress the global fields of a dataset to a store; carry all else along.

    Parameters
    ----------
    source : str
        NetCDF, zarr or GRIB, a path or any fsspec URL.
    target : str
        Local path ending in ``.zarr``.
    options : Options
        How.
    variables : sequence of str, optional
        Which; all fields by default. Fields that are not chosen are left out.
    overwrite : bool
        Replace an existing store; and begin anew, unless ``resume``.
    resume : bool
        Go on with the store that an interrupted run of the same source and options left, if there
        is one: on the same machine to the same bytes as without the interruption.
    told : callable
        Called after every batch.
    note : callable
        Called with a line on an unfinished store that is replaced, or kept.

    Returns
    -------
    list of VariableReport
        One for each variable.
    int
        Bytes of the store.

    Raises
    ------
    HpcodecError
        For whatever is wrong with the input, the options or the output.
    """
    dataset = open_source(source)
    try:
        specs = find_fields(dataset, variables)
        skeleton = carried(dataset, (*specs, *_left_out(dataset, variables)))
        # Before anything is touched: an option that is refused costs no work that was done.
        request = _request(specs, options)
        layout = describe_layout(dataset)
        batches = {spec.name: _batch(dataset, spec, options) for spec in specs}
        with create_store(
            target, skeleton, overwrite=overwrite, resume=resume, note=note
        ) as output:
            assert output.journal is not None
            journal = open_journal(output.journal, request, free=("command",))
            codings = output.codings or _create_arrays(output, dataset, specs, options, layout)
            reports = [
                _compress_variable(
                    output,
                    journal,
                    dataset,
                    spec,
                    codings[spec.name],
                    replace(options, batch=batches[spec.name]),
                    told,
                )
                for spec in specs
            ]
            fill_base(output, Layout(layout), options.device)
            output.finish(record(reports, layout, journal.request["command"]))
            if options.bounded:
                verify(str(output.path), dataset, options.device, options.batch)
            size = output.size
    finally:
        dataset.close()
    return reports, size


def _request(specs: Sequence[FieldSpec], options: Options) -> dict[str, Any]:
    """What the bytes of the store depend on besides the values of the source; and its command."""
    asked = {k: v for k, v in asdict(options).items() if k not in ("batch", "memory")}
    shapes = {spec.name: [*spec.leading_shape, *spec.grid.shape] for spec in specs}
    return {
        "command": command_line(),
        "version": version("hpcodec"),
        "shapes": shapes,
        **asked,
        "device": resolve_device(options.device),
    }


def _left_out(dataset: xr.Dataset, variables: Sequence[str] | None) -> tuple[FieldSpec, ...]:
    """Fields that a choice of variables leaves out: uncompressed they would outweigh the store."""
    if variables is None:
        return ()
    try:
        return find_fields(dataset)
    except GridError:  # what was chosen is all that there is
        return ()


def _create_arrays(
    output: StoreOutput,
    dataset: xr.Dataset,
    specs: Sequence[FieldSpec],
    options: Options,
    layout: dict[str, Any],
) -> dict[str, Coding]:
    """Arrays of all variables; bytes of a field such that the whole store keeps the ratio."""
    names = [spec.name for spec in specs]
    masks = {spec.name: frequent_masks(dataset, spec) for spec in specs}
    errors = rmse_for(options.rmse, names)
    bounds = bounds_for(options.max_error, options.max_rel_error, names)

    def add(spec: FieldSpec, size: int) -> None:
        name, wanted = spec.name, _wanted(spec, options)
        coding = coding_for(spec, size, rmse=errors[name], **bounds[name], **wanted)
        output.add(_variable(dataset, spec), replace(coding, masks=masks[name]))

    if options.rmse or (options.bounded and options.ratio is None):
        for spec in specs:
            add(spec, _float_bytes(spec))
        reserve_base(output, 0, options.base)
        output.settle()
        return output.codings
    for spec in specs:  # first with any size, to learn what the metadata take
        add(spec, _float_bytes(spec) // 2)
    output.shrink()
    fields = sum(_float_bytes(spec) * spec.steps for spec in specs)
    ratio = options.ratio or 64
    budget = int(fields / ratio)
    apart = grid_size(output.group, stored_variables(output.group, Layout()))
    rest = budget - (output.size - apart) - record_size(names, layout, bounded=options.bounded)
    rest -= reserve_base(output, budget, options.base)
    for spec in specs:
        size = int(rest * _float_bytes(spec) / fields)
        if size < 1:
            raise UsageError(
                f"expected room for fields; at ratio {ratio:g} coordinates and metadata "
                f"alone take {output.size - apart:,} of {budget:,} bytes. Choose a smaller ratio, "
                "or compress more steps into one store."
            )
        add(spec, size)
    output.settle()
    return output.codings


def _wanted(spec: FieldSpec, options: Options) -> dict[str, Any]:
    keys = ("model", "level", "bottleneck", "remap", "effort", "exponent")
    # A chunk that reaches far beyond the array would cost readers memory.
    every = min([options.key_every, *(spec.leading_shape[:1] or (1,))])
    return {"key_every": every, **{key: getattr(options, key) for key in keys}}


def _float_bytes(spec: FieldSpec) -> int:
    return 4 * prod(spec.grid.shape)


def _variable(dataset: xr.Dataset, spec: FieldSpec) -> OutputVariable:
    """Leading axes, then horizontal ones; stored in the source's order."""
    return OutputVariable(
        name=spec.name,
        dims=(*(name for name, _ in spec.leading), *spec.horizontal),
        shape=(*spec.leading_shape, *spec.grid.shape),
        attributes=dataset.variables[spec.name].attrs,
        leading=len(spec.leading),
        order=spec.order,
    )


def _batch(dataset: xr.Dataset, spec: FieldSpec, options: Options) -> int:
    """Fields read at a time."""
    together = fields_together(dataset, spec)
    finest = max(options.level or 0, min(spec.grid.fine_level, FINEST_LEVEL))
    size = prod(spec.grid.shape) * spec.packing.native.itemsize
    return fields_within(
        options.memory, spec.name, cell_count(finest), size, options.batch, together
    )


def _compress_variable(
    output: StoreOutput,
    journal: Journal,
    dataset: xr.Dataset,
    spec: FieldSpec,
    coding: Coding,
    options: Options,
    told: Told,
) -> VariableReport:
    def batches(start: int, stop: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        for first in range(start, stop, options.batch):
            yield first, read_stored(dataset, spec, first, min(first + options.batch, stop))

    series = write_series(output, journal, spec, coding, batches, options.device, told)
    figures = series.errors.figures()
    return VariableReport(
        name=spec.name,
        units=spec.units,
        model=coding.model,
        steps=spec.steps,
        bottleneck=coding.bottleneck,
        level=coding.level,
        source_bytes=_float_bytes(spec) * spec.steps,
        payload_bytes=series.size,
        mask_bytes=series.masks,
        numbers=cell_count(coding.level) / cell_count(coding.bottleneck),
        rmse=figures.rmse,
        max_error=figures.max_error,
        remap_rmse=series.floors.figures().rmse,
        correction_bytes=series.corrections,
        bound=coding.max_error,
        relative_bound=coding.max_rel_error,
        detailed=series.detailed,
    )
