"""Compress a dataset to a store.

dataset --compress--> store      a few fields at a time, each step into its share of bytes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import xarray as xr

from hpcodec.bounds import verify
from hpcodec.chains import Chunk
from hpcodec.coding import coding_for
from hpcodec.conventions import plain_attributes
from hpcodec.errors import GridError, UsageError
from hpcodec.fields import Coding, FieldSpec
from hpcodec.figures import ErrorSum
from hpcodec.grid import cell_count
from hpcodec.missing import fill_missing
from hpcodec.output_store import StoreOutput, create_store
from hpcodec.pipeline import encode_fields
from hpcodec.report import VariableReport, record, record_size
from hpcodec.stages.dataset import OutputVariable, carried, find_fields, open_source, read_steps
from hpcodec.stages.wire import read_header
from hpcodec.step_search import AS_EXPECTED, Hint
from hpcodec.targets import bounds_for, check_bound, check_ratio, check_rmse, rmse_for

__all__ = ["Options", "VariableReport", "compress"]

Told = Callable[[str, int, int], None]
"""Called with a variable's name, fields done, and fields in all."""


@dataclass(frozen=True)
class Options:
    """How to compress.

    Parameters
    ----------
    ratio : float, optional
        Bytes of the fields as float32 over bytes of the whole store, at least; 4 to 4096. By
        default 64, or with bounds as large as they allow. Given with bounds, it says how finely
        the fields are coded, and corrections come on top.
    rmse : mapping of str to float
        In place of a ratio: root of the mean square error of each field at most, weighted by cos
        latitude, by variable in its unit; that of ``hpcodec.targets.ALL`` for all others.
    max_error, max_rel_error : mapping of str to float
        Bound on the error of every point, by variable, as ``rmse``: in its unit, or relative to
        the range of each field.
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
    key_every : int
        Code so many consecutive fields of the first axis together, each from the one before.
    effort : int
        1 to refine the symbols of each field: fewer bytes for the same error, ten times the time.
    exponent : float, optional
        Power that values are raised to before they are coded; that of the variable by default.
    """

    ratio: float | None = None
    rmse: Mapping[str, float] = field(default_factory=dict)
    max_error: Mapping[str, float] = field(default_factory=dict)
    max_rel_error: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    level: int | None = None
    bottleneck: int | None = None
    remap: str = "least_squares"
    device: str = "auto"
    batch: int = 4
    fill: str = ""
    key_every: int = 1
    effort: int = 0
    exponent: float | None = None

    def __post_init__(self) -> None:
        if self.ratio is not None:
            check_ratio(self.ratio)
        for bound in (*self.max_error.values(), *self.max_rel_error.values()):
            check_bound(bound)
        for rmse in self.rmse.values():
            check_rmse(rmse)
        if self.batch < 1:
            raise UsageError(f"expected at least one field in a batch; got {self.batch}.")
        if self.key_every < 1:
            raise UsageError(f"expected a key field every 1 or more; got {self.key_every}.")
        if self.effort not in (0, 1):
            raise UsageError(f"expected an effort of 0 or 1; got {self.effort}.")

    @property
    def bounded(self) -> bool:
        """Whether errors of points have bounds."""
        return bool(self.max_error or self.max_rel_error)


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
            output.finish(record(reports))
            if options.bounded:
                verify(str(output.path), dataset, options.device, options.batch)
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
    names = [spec.name for spec in specs]
    errors = rmse_for(options.rmse, names)
    bounds = bounds_for(options.max_error, options.max_rel_error, names)

    def coded(spec: FieldSpec, size: int) -> Coding:
        name = spec.name
        return coding_for(spec, size, rmse=errors[name], **bounds[name], **_wanted(spec, options))

    if options.rmse or (options.bounded and options.ratio is None):
        codings = [coded(spec, _float_bytes(spec)) for spec in specs]
        for spec, coding in zip(specs, codings, strict=True):
            output.add(_variable(dataset, spec), coding)
        return codings
    for spec in specs:  # first with any size, to learn what the metadata take
        output.add(_variable(dataset, spec), coded(spec, _float_bytes(spec) // 2))
    output.shrink()
    fields = sum(_float_bytes(spec) * spec.steps for spec in specs)
    ratio = options.ratio or 64
    rest = int(fields / ratio) - output.size - record_size(names, bounded=options.bounded)
    codings = []
    for spec in specs:
        size = int(rest * _float_bytes(spec) / fields)
        if size < 1:
            raise UsageError(
                f"expected room for fields; at ratio {ratio:g} coordinates and metadata "
                f"alone take {output.size:,} of {int(fields / ratio):,} bytes. Choose a "
                "smaller ratio, or compress more steps into one store."
            )
        codings.append(coded(spec, size))
        output.add(_variable(dataset, spec), codings[-1])
    return codings


def _wanted(spec: FieldSpec, options: Options) -> dict[str, Any]:
    keys = ("model", "level", "bottleneck", "remap", "effort", "exponent")
    # A chunk that reaches far beyond the array would cost readers memory.
    every = min([options.key_every, *(spec.leading_shape[:1] or (1,))])
    return {"key_every": every, **{key: getattr(options, key) for key in keys}}


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
    # One by one, each from what was found at the same level or member a time before, or else from
    # the last: so that the bytes do not depend on the batch.
    size, corrections, cycle = 0, 0, prod(spec.leading_shape[1:])
    # Fields that follow another have hints of their own: they need other steps than key fields.
    hints: dict[tuple[int, bool], Hint] = {}
    chunks = [Chunk(coding.key_every) for _ in range(cycle)]
    for start in range(0, spec.steps, options.batch):
        stop = min(start + options.batch, spec.steps)
        raw = read_steps(dataset, spec, start, stop)
        values = fill_missing(raw, options.fill, spec.name)
        for step, one in enumerate(values, start):
            with _named(spec.name):
                last = chunks[step % cycle].last
                like, any_like = (step % cycle, last is None), (-1, last is None)
                hint = hints.get(like, hints.get(any_like, hints.get((-1, True), AS_EXPECTED)))
                own = coding.bounded_by(raw[step - start])
                encoded = encode_fields(one[None], own, options.device, hint, last)
            hints[any_like] = hints[like] = encoded.hint
            (payload,), final = encoded.payloads, step // cycle == spec.steps // cycle - 1
            chunk = chunks[step % cycle].taken(payload, encoded.last, final)
            if chunk:
                output.put(spec.name, step, chunk)
            size += len(payload)
            corrections += read_header(payload).correction
            errors.add(encoded.decoded, one[None])
            floors.add(encoded.floor, one[None])
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
        correction_bytes=corrections,
        bound=coding.max_error,
        relative_bound=coding.max_rel_error,
    )


@contextmanager
def _named(variable: str) -> Iterator[None]:
    """Name the variable in what is said of a field that cannot be had as asked."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"'{variable}': {error}") from error
