"""Options of the command, as Typer has them: those of several verbs, and those that are long."""

from __future__ import annotations

from typing import Annotated

import typer

from hpcodec.errors import UsageError
from hpcodec.memory import read_size

__all__ = [
    "AsJson",
    "Base",
    "Batch",
    "Bottleneck",
    "Dask",
    "Device",
    "Effort",
    "Exponent",
    "KeyEvery",
    "MaxError",
    "MaxRelError",
    "Memory",
    "NoShard",
    "Overwrite",
    "Quiet",
    "Ratio",
    "Remap",
    "Resume",
    "Rmse",
    "Shard",
    "Variables",
    "shard_size",
    "size_in_bytes",
]

Variables = Annotated[
    list[str] | None, typer.Option("--variable", "-v", help="Only this variable; repeatable.")
]
Device = Annotated[str, typer.Option(help="Torch device: cpu, cuda, cuda:1, or auto.")]
Batch = Annotated[int, typer.Option(min=1, help="Fields at a time.")]
Memory = Annotated[
    str, typer.Option(help="What a process may take, such as 2GB: fewer fields at a time.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with what an interrupted run left, if it did.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Ratio = Annotated[
    str,
    typer.Option(
        help="Bytes as float32 over bytes on disk, at least: 4 to 4096; 64 if left out, "
        "or auto with a bound on errors."
    ),
]
Rmse = Annotated[
    str,
    typer.Option(help="Instead of a ratio, the error of each field: 0.3, or t2m=0.3,msl=20."),
]
MaxError = Annotated[
    str, typer.Option(help="Bound on the error of every point: 0.5, or t2m=0.5,msl=50.")
]
MaxRelError = Annotated[str, typer.Option(help="The same, of each field's range: 1%.")]
Bottleneck = Annotated[
    int | None,
    typer.Option(help="Finest level coded, 3 to 9 (6: 16x in numbers ... 3: 1024x)."),
]
KeyEvery = Annotated[
    int,
    typer.Option(help="Code each field from the one before, a key field every so many times."),
]
Base = Annotated[
    bool | None,
    typer.Option(help="Level 3 also for readers without hpcodec; if left out, where cheap."),
]
Effort = Annotated[
    int, typer.Option(min=0, max=1, help="1: some 4 % fewer bytes in ten times the time.")
]
Exponent = Annotated[
    float | None,
    typer.Option(help="Code values to this power, 0.2 to 1; rain 0.85, else 1 if left out."),
]
Shard = Annotated[
    int | None,
    typer.Option(
        min=1, help="Fields that share an object, about; some hundred, where there are as many."
    ),
]
Dask = Annotated[
    str,
    typer.Option(
        help="Address or file of a dask scheduler, or local for one of this machine's cores: "
        "its workers compress."
    ),
]
NoShard = Annotated[bool, typer.Option("--no-shard", help="An object for each chunk.")]
Remap = Annotated[str, typer.Option(help="least_squares, idw or conservative.")]


def shard_size(shard: int | None, no_shard: bool) -> int | None:
    """Fields in an object, 0 for an object to each chunk.

    Raises
    ------
    UsageError
        If both are asked for.
    """
    if shard and no_shard:
        raise UsageError("expected --shard or --no-shard; got both. Leave one out.")
    return 0 if no_shard else shard


def size_in_bytes(text: str) -> int | None:
    """Bytes of an option that may be left out."""
    return read_size(text) if text else None
