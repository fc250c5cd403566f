"""``hpcodec train``: from a configuration, or from a model and one's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train"]


def train(
    files: Annotated[
        list[Path],
        typer.Argument(help="A training configuration (TOML); with --from, NetCDF, zarr or GRIB."),
    ],
    data: Annotated[
        Path | None, typer.Option(help="Folder that the configuration's patterns are below.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Folder for checkpoints and metrics.")] = None,
    prepared: Annotated[
        Path | None, typer.Option(help="Folder for remapped fields; inside RUN if left out.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    publish: Annotated[Path | None, typer.Option(help="Folder to write the model to.")] = None,
    start: Annotated[
        str, typer.Option("--from", help="Model to fine-tune on FILES; see: hpcodec models.")
    ] = "",
    steps: Annotated[
        int | None, typer.Option(min=1, help="With --from: optimiser steps at most; 300.")
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option("--variable", "-v", help="With --from: only this variable; repeatable."),
    ] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda, cuda:1, or auto.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Train a model as hpcodec's own were, or go on with one of them: --from MODEL FILES.

    A model of --publish FOLDER is used by: hpcodec compress --model FOLDER.
    """
    if start:
        if data or run or prepared or resume or not publish:
            raise typer.BadParameter(
                "expected --from MODEL with --publish FOLDER, and without --data, --run, "
                "--prepared and --resume."
            )
        from hpcodec.train.command import run_finetuning

        run_finetuning(
            files, start, publish, steps=steps, variables=variable, device=device, quiet=quiet
        )
        return
    if steps or variable:
        raise typer.BadParameter("expected --steps and --variable with --from MODEL alone.")
    if len(files) != 1 or not data or not run:
        raise typer.BadParameter(
            "expected one configuration with --data and --run; or files with --from MODEL."
        )
    from hpcodec.train.command import run_training

    run_training(
        files[0],
        data,
        run,
        prepared=prepared or run / "fields",
        resume=resume,
        publish_to=publish,
        device=device,
        quiet=quiet,
    )
