"""What the command shows: tables and JSON on stdout, progress bars on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

__all__ = ["print_json", "progress", "table"]


def print_json(value: Any) -> None:  # noqa: ANN401
    """Print a value as JSON, which has no NaN: figures that there are none of are null."""
    plain = json.loads(json.dumps(value), parse_constant=lambda _: None)
    typer.echo(json.dumps(plain, indent=1))


def table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table for a terminal, plain lines with tabs for a pipe."""
    if not sys.stdout.isatty():
        typer.echo(title)
        for row in (columns, *rows):
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*columns, title=title, title_justify="left")
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)


@contextmanager
def progress(what: str, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on stderr, one for each variable, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda name, done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def told(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(f"{what} {name}", total=total)
            bars.update(tasks[name], completed=done)

        yield told
