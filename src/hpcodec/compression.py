"""Compress a dataset to a store.

dataset --compress--> store      a few fields at a time, each step into its share of bytes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from math import prod
from typing import Any

import xarray as xr

from hpcodec.base_group import fill_base
from hpcodec.budget import create_arrays, part_shape
from hpcodec.cluster import Cluster, connected, spread
from hpcodec.creation import create_store
from hpcodec.errors import GridError
from hpcodec.fields import FieldSpec
from hpcodec.grid import FINEST_LEVEL, cell_count
from hpcodec.journal import open_journal
from hpcodec.layout import Layout, describe_layout
from hpcodec.memory import fields_within
from hpcodec.models import resolve_device
from hpcodec.options import Options
from hpcodec.report import VariableReport, command_line, record
from hpcodec.stages.dataset import carried, fields_together, find_fields, open_source
from hpcodec.tasks import Task, Told, do_all
from hpcodec.unfinished import Note, ignored
from hpcodec.writer import Writer, total

__all__ = ["Options", "VariableReport", "compress"]


def compress(
    source: str,
    target: str,
    options: Options,
    *,
    variables: Sequence[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    cluster: Cluster = "",
    told: Told = lambda name, done, total: None,
    note: Note = ignored,
) -> tuple[list[VariableReport], int]:
    """Compress the global fields of a dataset to a store; carry all else along.

    Parameters
    ----------
    source : str
        NetCDF, zarr or GRIB, a path or any fsspec URL.
    target : str
        A path or any fsspec URL, ending in ``.zarr``.
    options : Options
        How.
    variables : sequence of str, optional
        Which; all fields by default. Fields that are not chosen are left out.
    overwrite : bool
        Replace an existing store; and begin anew, unless ``resume``.
    resume : bool
        Go on with the store that an interrupted run of the same source and options left, if there
        is one: on the same machine to the same bytes as without the interruption.
    cluster : str or distributed.Client
        Address or file of a dask scheduler, or a client of it: its workers compress. They see the
        source and the store under the same names; the bytes are those of one process that has as
        many threads as they.
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
        create = create_store(target, skeleton, overwrite=overwrite, resume=resume, note=note)
        with connected(cluster) as client, create as output:
            assert output.journal is not None
            journal = open_journal(output.journal, request, free=("command",))
            if not output.codings:
                create_arrays(output, dataset, specs, options, layout)
            tasks = [
                Task(
                    Writer(output, dataset, spec, options.device, batches[spec.name]),
                    part_shape(spec, options),
                )
                for spec in specs
            ]
            if client is not None:
                states = spread(client, source, tasks, journal, told)
            else:
                states = do_all(tasks, journal, told)
            reports = [total(states[spec.name], spec, output.codings[spec.name]) for spec in specs]
            fill_base(output, Layout(layout), options.device)
            output.finish(record(reports, layout, journal.request["command"]))
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


def _batch(dataset: xr.Dataset, spec: FieldSpec, options: Options) -> int:
    """Fields read at a time."""
    together = fields_together(dataset, spec)
    finest = max(options.level or 0, min(spec.grid.fine_level, FINEST_LEVEL))
    cells = cell_count(finest) * (1 + options.effort)  # gradients take as much again
    size = prod(spec.grid.shape) * spec.packing.native.itemsize
    return fields_within(options.memory, spec.name, cells, size, options.batch, together)
