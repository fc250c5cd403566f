"""Files and stores: compress a dataset to a store, decompress a store to a dataset.

dataset --compress--> store      a few fields at a time, each step into its share of bytes
store --decompress--> dataset    on the source grid, or on HEALPix cells of any level
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import prod
from typing import Any

import xarray as xr

from hpcodec.conventions import plain_attributes
from hpcodec.errors import GridError, UsageError
from hpcodec.fields import FORMAT_VERSION, Coding, FieldSpec
from hpcodec.figures import ErrorSum
from hpcodec.grid import cell_count
from hpcodec.missing import fill_missing
from hpcodec.output_store import StoreOutput, create_store
from hpcodec.pipeline import coding_for, encode_fields
from hpcodec.stages.dataset import (
    OutputVariable,
    carried,
    find_fields,
    open_source,
    read_steps,
)

__all__ = ["RATIOS", "Options", "VariableReport", "compress"]

RATIOS = (16, 64, 256, 1024)

Told = Callable[[str, int, int], None]
"""Called with a variable's name, fields done, and fields in all."""


@dataclass(frozen=True)
class Options:
    """How to compress.

    Parameters
    ----------
    ratio : float
        Bytes of the fields as float32 over bytes of the whole store, at least.
    model : str
        Name of a model; empty for the one that suits each variable.
    level : int, optional
        HEALPix level to remap to; the source's own by default.
    bottleneck : int, optional
        Finest level to code; what the validation fields say is best by default.
    remap : str
        Method of :mod:`hpcodec.stages.healpix`.
    device : str
        Torch device, or ``auto``.
    batch : int
        Fields at a time.
    fill : str
        What missing values become: ``nearest``, a number, or empty to refuse them.
    """

    ratio: float = 64
    model: str = ""
    level: int | None = None
    bottleneck: int | None = None
    remap: str = "least_squares"
    device: str = "auto"
    batch: int = 4
    fill: str = ""

    def __post_init__(self) -> None:
        if not self.ratio > 1:
            raise UsageError(f"expected a ratio above 1; got {self.ratio}. Choose one of {RATIOS}.")
        if self.batch < 1:
            raise UsageError(f"expected at least one field in a batch; got {self.batch}.")


@dataclass(frozen=True)
class VariableReport:
    """What became of a variable; errors on the source grid, weighted by cos latitude.

    Parameters
    ----------
    name, units, model : str
        Of the variable, and the model that compressed it.
    steps : int
        Fields.
    bottleneck, level : int
        Finest coded level, and level of the remapped source.
    source_bytes, payload_bytes : int
        As float32, and compressed (base included, metadata not).
    numbers : float
        Numbers in a source field over numbers in its compressed field.
    rmse, max_error : float
        Of the decoded fields.
    remap_rmse : float
        What of it the remap alone costs.
    """

    name: str
    units: str
    model: str
    steps: int
    bottleneck: int
    level: int
    source_bytes: int
    payload_bytes: int
    numbers: float
    rmse: float
    max_error: float
    remap_rmse: float


def compress(
    source: str,
    target: str,
    options: Options,
    *,
    variables: Sequence[str] | None = None,
    overwrite: bool = False,
    told: Told = lambda name, done, total: None,
) -> tuple[list[VariableReport], int]:
    """Compress the global fields of a dataset to a store; carry all else along.

    Parameters
    ----------
    source : str
        NetCDF or zarr, a path or any fsspec URL.
    target : str
        Local path ending in ``.zarr``.
    options : Options
        How.
    variables : sequence of str, optional
        Which; all fields by default. Fields that are not chosen are left out.
    overwrite : bool
        Replace an existing store.
    told : callable
        Called after every batch.

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
        with create_store(target, skeleton, overwrite=overwrite) as output:
            codings = _create_arrays(output, dataset, specs, options)
            reports = [
                _compress_variable(output, dataset, spec, coding, options, told)
                for spec, coding in zip(specs, codings, strict=True)
            ]
            output.finish(_record({r.name: asdict(r) for r in reports}))
            size = output.size
    finally:
        dataset.close()
    return reports, size


def _left_out(dataset: xr.Dataset, variables: Sequence[str] | None) -> tuple[FieldSpec, ...]:
    """Fields that a choice of variables leaves out: uncompressed they would outweigh the store."""
    if variables is None:
        return ()
    try:
        return find_fields(dataset)
    except GridError:  # what was chosen is all that there is
        return ()


def _create_arrays(
    output: StoreOutput, dataset: xr.Dataset, specs: Sequence[FieldSpec], options: Options
) -> list[Coding]:
    """Arrays of all variables; bytes of a field such that the whole store keeps the ratio."""
    keys = ("model", "level", "bottleneck", "remap")
    wanted: dict[str, Any] = {key: getattr(options, key) for key in keys}
    for spec in specs:  # first with any size, to learn what the metadata take
        coding = coding_for(spec, _float_bytes(spec) // 2, **wanted)
        output.add(_variable(dataset, spec), coding)
    output.shrink()
    fields = sum(_float_bytes(spec) * spec.steps for spec in specs)
    rest = int(fields / options.ratio) - output.size - _record_size(specs)
    codings = []
    for spec in specs:
        size = int(rest * _float_bytes(spec) / fields)
        if size < 1:
            raise UsageError(
                f"expected room for fields; at ratio {options.ratio:g} coordinates and metadata "
                f"alone take {output.size:,} of {int(fields / options.ratio):,} bytes. Choose a "
                "smaller ratio, or compress more steps into one store."
            )
        codings.append(coding_for(spec, size, **wanted))
        output.add(_variable(dataset, spec), codings[-1])
    return codings


def _record_size(specs: Sequence[FieldSpec]) -> int:
    """Bytes that the root's attribute takes at most, and a digit more or less in the codings."""
    widest = -1.234e-100
    record = _record({spec.name: dict.fromkeys(_FIGURES, widest) for spec in specs})
    return len(json.dumps(record, separators=(",", ":"))) + 16 + 4 * len(specs)


def _float_bytes(spec: FieldSpec) -> int:
    return 4 * prod(spec.grid.shape)


def _variable(dataset: xr.Dataset, spec: FieldSpec) -> OutputVariable:
    """Leading axes in the source's order, then rows and columns."""
    return OutputVariable(
        name=spec.name,
        dims=(*(name for name, _ in spec.leading), spec.latitude, spec.longitude),
        shape=(*spec.leading_shape, *spec.grid.shape),
        attributes=plain_attributes(dataset.variables[spec.name].attrs),
        leading=len(spec.leading),
    )


def _compress_variable(
    output: StoreOutput,
    dataset: xr.Dataset,
    spec: FieldSpec,
    coding: Coding,
    options: Options,
    told: Told,
) -> VariableReport:
    errors, floors = ErrorSum(spec.grid.area_weights), ErrorSum(spec.grid.area_weights)
    size, guess = 0, 0.0
    for start in range(0, spec.steps, options.batch):
        stop = min(start + options.batch, spec.steps)
        values = read_steps(dataset, spec, start, stop)
        values = fill_missing(values, options.fill, spec.name)
        encoded = encode_fields(values, coding, options.device, guess)
        guess = encoded.step
        for step, payload in enumerate(encoded.payloads, start):
            output.put(spec.name, step, payload)
            size += len(payload)
        errors.add(encoded.decoded, values)
        floors.add(encoded.floor, values)
        told(spec.name, stop, spec.steps)
    figures = errors.figures()
    return VariableReport(
        name=spec.name,
        units=spec.units,
        model=coding.model,
        steps=spec.steps,
        bottleneck=coding.bottleneck,
        level=coding.level,
        source_bytes=_float_bytes(spec) * spec.steps,
        payload_bytes=size,
        numbers=cell_count(coding.level) / cell_count(coding.bottleneck),
        rmse=figures.rmse,
        max_error=figures.max_error,
        remap_rmse=floors.figures().rmse,
    )


_FIGURES = ("rmse", "max_error", "remap_rmse")


def _record(errors: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """What the root of a store says of itself."""
    called = sys.argv[0].rpartition("/")[2] == "hpcodec"
    return {
        "format": FORMAT_VERSION,
        "version": version("hpcodec"),
        "command": " ".join(["hpcodec", *sys.argv[1:]])[:60] if called else "",
        "error": {
            name: {key: float(f"{figures[key]:.4g}") for key in _FIGURES}
            for name, figures in errors.items()
        },
    }
