"""The arrays of a store to be, and the bytes that each field may take.

specs, options --create_arrays--> codings such that the whole store keeps the ratio
               --part_shape, sharded--> how many fields go into a shard
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import xarray as xr

from hpcodec.base_group import reserve_base
from hpcodec.coding import coding_for, frequent_masks
from hpcodec.errors import UsageError
from hpcodec.fields import Coding, FieldSpec
from hpcodec.layout import Layout
from hpcodec.options import Options
from hpcodec.output import OutputVariable
from hpcodec.output_store import StoreOutput
from hpcodec.parts import FEW, box_of, fields_of_part, parts_of
from hpcodec.report import record_size
from hpcodec.shards import index_size
from hpcodec.stored import grid_size, stored_variables
from hpcodec.targets import bounds_for, rmse_for

__all__ = ["create_arrays", "float_bytes", "part_shape", "sharded"]

_RATIO = 64  # if nothing is asked for
_SHARE = 16  # ratio that is expected where an error is asked for, to choose the size of parts


def create_arrays(
    output: StoreOutput,
    dataset: xr.Dataset,
    specs: Sequence[FieldSpec],
    options: Options,
    layout: dict[str, Any],
) -> dict[str, Coding]:
    """Arrays of all variables; bytes of a field such that the whole store keeps the ratio.

    Parameters
    ----------
    output : StoreOutput
        With all that is carried.
    dataset, specs : xr.Dataset, sequence of FieldSpec
        The source, raw, and its variables to be compressed.
    options, layout : Options, dict
        How to compress; the source's layout.

    Returns
    -------
    dict of str to Coding
        Of each variable.

    Raises
    ------
    UsageError
        If coordinates and metadata alone take what the ratio leaves.
    """
    names = [spec.name for spec in specs]
    masks = {spec.name: frequent_masks(dataset, spec) for spec in specs}
    errors = rmse_for(options.rmse, names)
    bounds = bounds_for(options.max_error, options.max_rel_error, names)

    def add(spec: FieldSpec, size: int) -> None:
        name, wanted = spec.name, _wanted(spec, options)
        coding = coding_for(spec, size, rmse=errors[name], **bounds[name], **wanted)
        shard = part_shape(spec, options) if sharded(spec, options) else ()
        output.add(_variable(dataset, spec), replace(coding, masks=masks[name]), shard)

    if options.rmse or (options.bounded and options.ratio is None):
        for spec in specs:
            add(spec, float_bytes(spec))
        reserve_base(output, 0, options.base)
        output.settle()
        return output.codings
    for spec in specs:  # first with any size, to learn what the metadata take
        add(spec, float_bytes(spec) // 2)
    output.shrink()
    fields = sum(float_bytes(spec) * spec.steps for spec in specs)
    ratio = options.ratio or _RATIO
    budget = int(fields / ratio)
    apart = grid_size(output.group, stored_variables(output.group, Layout()))
    rest = budget - (output.size - apart) - record_size(names, layout, bounded=options.bounded)
    rest -= reserve_base(output, budget, options.base)
    rest -= sum(_index_bytes(spec, options) for spec in specs)
    for spec in specs:
        size = int(rest * float_bytes(spec) / fields)
        if size < 1:
            raise UsageError(
                f"expected room for fields; at ratio {ratio:g} coordinates and metadata "
                f"alone take {output.size - apart:,} of {budget:,} bytes. Choose a smaller ratio, "
                "or compress more steps into one store."
            )
        add(spec, size)
    output.settle()
    return output.codings


def sharded(spec: FieldSpec, options: Options) -> bool:
    """Whether the chunks of a variable go into shards: by default, where there are many."""
    if not spec.leading or options.shard == 0:
        return False
    return options.shard is not None or spec.steps > FEW


def part_shape(spec: FieldSpec, options: Options) -> tuple[int, ...]:
    """Shape of the parts of a variable, which are coded on their own, and of its shards."""
    share = options.ratio or (_SHARE if options.bounded or options.rmse else _RATIO)
    fields = options.shard or fields_of_part(float_bytes(spec) / share)
    return box_of(spec.leading_shape, _key_every(spec, options), fields)


def _index_bytes(spec: FieldSpec, options: Options) -> int:
    """Bytes that shards take beside their chunks."""
    if not sharded(spec, options):
        return 0
    box = part_shape(spec, options)
    chunks = prod(box) // _key_every(spec, options)
    return index_size(chunks) * len(parts_of(spec.leading_shape, box))


def _key_every(spec: FieldSpec, options: Options) -> int:
    # A chunk that reaches far beyond the array would cost readers memory.
    return min([options.key_every, *(spec.leading_shape[:1] or (1,))])


def _wanted(spec: FieldSpec, options: Options) -> dict[str, Any]:
    keys = ("model", "level", "bottleneck", "remap", "effort", "exponent")
    every = _key_every(spec, options)
    return {"key_every": every, **{key: getattr(options, key) for key in keys}}


def float_bytes(spec: FieldSpec) -> int:
    """Bytes of a field as float32."""
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
