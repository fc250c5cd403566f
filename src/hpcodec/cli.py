"""The ``hpcodec`` command: parses, calls, prints.

Results go to stdout, all else to stderr. Exit codes: 0 done, 1 refused or failed, 2 usage.
"""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from hpcodec.cli_models import models
from hpcodec.cli_options import (
    AsJson,
    Base,
    Batch,
    Bottleneck,
    Dask,
    Device,
    Effort,
    Exponent,
    KeyEvery,
    MaxError,
    MaxRelError,
    Memory,
    NoShard,
    Overwrite,
    Quiet,
    Ratio,
    Remap,
    Resume,
    Rmse,
    Shard,
    Variables,
    shard_size,
    size_in_bytes,
)
from hpcodec.cli_train import train
from hpcodec.errors import HpcodecError, UsageError
from hpcodec.terminal import print_json, progress, table

app = typer.Typer(
    help="Compress climate fields with a Field-Space Autoencoder on the HEALPix sphere.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _note(line: str) -> None:
    typer.echo(f"hpcodec: {line}", err=True)


@app.command()
def compress(
    source: Annotated[str, typer.Argument(help="NetCDF, zarr or GRIB: a path or any fsspec URL.")],
    store: Annotated[str, typer.Argument(help="Store; SOURCE with .zarr if left out.")] = "",
    ratio: Ratio = "",
    rmse: Rmse = "",
    max_error: MaxError = "",
    max_rel_error: MaxRelError = "",
    level: Annotated[
        int | None, typer.Option(help="HEALPix level to remap to; the source's own if left out.")
    ] = None,
    bottleneck: Bottleneck = None,
    variable: Variables = None,
    model: Annotated[str, typer.Option(help="Model; see: hpcodec models.")] = "",
    remap: Remap = "least_squares",
    key_every: KeyEvery = 1,
    base: Base = None,
    effort: Effort = 0,
    exponent: Exponent = None,
    shard: Shard = None,
    no_shard: NoShard = False,
    device: Device = "auto",
    batch: Batch = 4,
    memory: Memory = "",
    overwrite: Overwrite = False,
    resume: Resume = False,
    dask: Dask = "",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compress the global fields of SOURCE into a store, and carry all else along."""
    from hpcodec.compression import Options
    from hpcodec.compression import compress as run
    from hpcodec.info import headline
    from hpcodec.report import report_table
    from hpcodec.stages.zarr_store import open_store
    from hpcodec.targets import AUTO, read_bounds, read_ratio, read_rmse

    if ratio and rmse:
        raise typer.BadParameter("expected --ratio or --rmse; got both. Leave one out.")
    if ratio == AUTO and not (max_error or max_rel_error):
        raise typer.BadParameter("expected --max-error with --ratio auto; got none. Give a bound.")
    options = Options(
        ratio=read_ratio(ratio) if ratio else None,
        rmse=read_rmse(rmse) if rmse else {},
        max_error=read_bounds(max_error) if max_error else {},
        max_rel_error=read_bounds(max_rel_error, relative=True) if max_rel_error else {},
        model=model,
        level=level,
        bottleneck=bottleneck,
        remap=remap,
        device=device,
        batch=batch,
        memory=size_in_bytes(memory),
        shard=shard_size(shard, no_shard),
        key_every=key_every,
        base=base,
        effort=effort,
        exponent=exponent,
    )
    target = store or re.sub(r"(\.(nc|zarr|gri?b2?))?/*$", ".zarr", source, count=1)
    if target.rstrip("/") == source.rstrip("/"):
        raise UsageError(f"expected another path for the store than '{source}'. Name it.")
    with progress("compress", quiet) as told:
        reports, size = run(
            source,
            target,
            options,
            variables=variable,
            overwrite=overwrite,
            resume=resume,
            cluster=dask,
            told=told,
            note=_note,
        )
    made = open_store(target)
    if as_json:
        rows = [asdict(report) for report in reports]
        print_json({"store": target, "bytes": size, "ratio": made.ratio, "variables": rows})
        return
    table(headline(made), *report_table(reports))


@app.command()
def decompress(
    store: Annotated[str, typer.Argument(help="Store: a path or any fsspec URL.")],
    target: Annotated[str, typer.Argument(help=".nc or .zarr; STORE with .nc if left out.")] = "",
    level: Annotated[
        int | None, typer.Option(help="HEALPix level, 3 to 9; the source grid if left out.")
    ] = None,
    grid: Annotated[str, typer.Option(help="0.25 (degrees), n320, o320, healpix:8.")] = "source",
    variable: Variables = None,
    time: Annotated[str, typer.Option(help="A time, or START/STOP, ISO 8601.")] = "",
    sharp: Annotated[
        bool,
        typer.Option("--sharp", help="Give back the spectrum of the original; errors are larger."),
    ] = False,
    device: Device = "auto",
    batch: Batch = 4,
    memory: Memory = "",
    overwrite: Overwrite = False,
    legacy_crs: Annotated[
        bool, typer.Option("--legacy-crs", help="For readers of HEALPix from before CF-1.13.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Decompress a store to its source grid, another, or to HEALPix cells of any level."""
    from hpcodec.decompression import decompress as run

    path = target or f"{store.rstrip('/').removesuffix('.zarr')}.nc"
    with progress("decompress", quiet) as told:
        read = run(
            store,
            path,
            level=level,
            grid=grid,
            variables=variable,
            time=time,
            sharp=sharp,
            device=device,
            batch=batch,
            memory=size_in_bytes(memory),
            overwrite=overwrite,
            legacy_crs=legacy_crs,
            told=told,
            note=_note,
        )
    typer.echo(f"{path}: {read:,} bytes of compressed fields read")


@app.command()
def info(
    store: Annotated[str, typer.Argument(help="Store: a path or any fsspec URL.")],
    maps: Annotated[
        bool | None,
        typer.Option("--map/--no-map", help="Small maps; by default where they fit the terminal."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a store holds: sizes, models, levels, errors."""
    from hpcodec.info import describe, described_table
    from hpcodec.terminal_map import show_maps

    about = describe(store)
    if as_json:
        print_json(about)
        return
    table(
        f"{store}: format {about['format']}, {about['bytes']:,} bytes, ratio {about['ratio']:g}",
        *described_table(about),
    )
    if not show_maps(store, maps) and maps:
        _note("expected a wide terminal of 24-bit colours for maps; got another or a pipe.")


@app.command()
def validate(
    store: Annotated[str, typer.Argument(help="Store: a path or any fsspec URL.")],
    original: Annotated[
        str, typer.Argument(help="What was compressed: compare with it, bounds on errors included.")
    ] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings, too.")] = False,
    device: Device = "auto",
    batch: Batch = 4,
    as_json: AsJson = False,
) -> None:
    """Check a store, one line for each finding; exit code 1 if anything is wrong."""
    from hpcodec.findings import as_document, failing
    from hpcodec.validation import validate as check

    findings = check(store, original, device=device, batch=batch)
    failed = failing(findings, strict=strict)
    if as_json:
        print_json(as_document(store, findings, strict=strict))
    else:
        for finding in findings:
            typer.echo(str(finding))
        if not failed:
            typer.echo(f"{store}: whole")
    raise typer.Exit(1 if failed else 0)


app.add_typer(models, name="models")


@app.command()
def compare(
    original: Annotated[str, typer.Argument(help="The dataset that was compressed.")],
    store: Annotated[str, typer.Argument(help="The store.")],
    variable: Variables = None,
    level: Annotated[
        list[int] | None, typer.Option(help="Also at this HEALPix level; repeatable.")
    ] = None,
    plot: Annotated[str, typer.Option(help="PNG of original, decoded, error and spectrum.")] = "",
    html: Annotated[str, typer.Option(help="Page of all of this, to read and to mail.")] = "",
    device: Device = "auto",
    batch: Batch = 4,
    as_json: AsJson = False,
) -> None:
    """Compare a store with its original: errors weighted by cos latitude, per level."""
    from hpcodec.comparison import compare as run
    from hpcodec.comparison import compared_table
    from hpcodec.page import Page

    page = Page(html, store) if html else None
    rows = run(
        original,
        store,
        variables=variable,
        levels=level,
        device=device,
        batch=batch,
        plot=plot,
        watch=page.watch if page else None,
    )
    if page:
        page.write(original, rows, note=_note)
    if as_json:
        print_json([{**asdict(row), "figures": row.figures.to_dict()} for row in rows])
        return
    table(
        f"{store}: ratio {rows[0].ratio:.1f} in bytes",
        *compared_table(rows),
    )


app.command()(train)


@app.command()
def bench(
    files: Annotated[list[str], typer.Argument(help="NetCDF or zarr; the first field of each.")],
    ratio: Annotated[list[float] | None, typer.Option(help="Compare there; repeatable.")] = None,
    rmse: Annotated[
        list[float] | None, typer.Option(help="Compare there, variable's unit; repeatable.")
    ] = None,
    codec: Annotated[list[str] | None, typer.Option(help="Only this; repeatable.")] = None,
    variable: Annotated[str, typer.Option("--variable", "-v", help="Only this variable.")] = "",
    json: Annotated[str, typer.Option(help="Write every point there.")] = "",
    plot: Annotated[str, typer.Option(help="PNG of the rate-distortion curves.")] = "",
    cnn: Annotated[
        str, typer.Option(help="Weights of the convolutional autoencoder, to be measured, too.")
    ] = "",
    targets: Annotated[bool, typer.Option("--targets", help="Print must and goal.")] = False,
    bounds: Annotated[
        str, typer.Option(help="Instead, compare codecs that bound errors: 1%,0.1% or 0.5.")
    ] = "",
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Measure our models and their peers on any files, side by side."""
    from hpcodec.bench.bounds import run_bounds
    from hpcodec.bench.command import run_bench

    if bounds and (ratio or rmse or plot or targets):
        raise typer.BadParameter("expected --bounds without --ratio, --rmse, --plot or --targets.")
    if bounds:
        with progress("bench", quiet) as told:
            run_bounds(
                files,
                bounds,
                codecs=codec or (),
                variable=variable,
                json=json,
                device=device,
                told=told,
                note=_note,
            )
        return
    with progress("bench", quiet) as told:
        run_bench(
            files,
            ratios=ratio or (),
            errors=rmse or (),
            codecs=codec or (),
            variable=variable,
            json=json,
            plot=plot,
            targets=targets,
            cnn=cnn,
            device=device,
            told=told,
            note=_note,
        )


def main() -> None:
    """Entry point: one clear line for whatever was expected to go wrong."""
    try:
        app()
    except HpcodecError as error:
        typer.echo(f"hpcodec: {' '.join(str(error).split())}", err=True)
        for note in getattr(error, "__notes__", []):
            typer.echo(f"    {note}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
