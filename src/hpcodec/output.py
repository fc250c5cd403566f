"""Write a NetCDF-4 or zarr v3 dataset whole, or not at all.

path, skeleton, variables --create_output--> Output.write(name, start, values), ...
a temporary sibling, renamed to the target when all is written, removed when anything fails
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import xarray as xr

from hpcodec.errors import OutputError, UsageError
from hpcodec.output_formats import NetcdfOutput, Output, OutputVariable, ZarrOutput, reported

__all__ = ["Output", "OutputVariable", "create_output"]

Kind = TypeVar("Kind", bound=Output)

_FORMATS: dict[str, type[Any]] = {
    ".nc": NetcdfOutput,
    ".nc4": NetcdfOutput,
    ".zarr": ZarrOutput,
}


@overload
@contextlib.contextmanager
def create_output(
    path: str,
    skeleton: xr.Dataset,
    variables: Sequence[OutputVariable],
    overwrite: bool = False,
) -> Iterator[Output]: ...


@overload
@contextlib.contextmanager
def create_output(
    path: str,
    skeleton: xr.Dataset,
    variables: Sequence[OutputVariable],
    overwrite: bool,
    kind: type[Kind],
) -> Iterator[Kind]: ...


@contextlib.contextmanager
def create_output(
    path: str,
    skeleton: xr.Dataset,
    variables: Sequence[OutputVariable],
    overwrite: bool = False,
    kind: type[Any] | None = None,
) -> Iterator[Any]:
    """Open a dataset for writing; it appears under its name only when the block ends well.

    Parameters
    ----------
    path : str
        Local; the suffix chooses: ``.nc`` and ``.nc4`` NetCDF-4, ``.zarr`` zarr v3.
    skeleton : xr.Dataset
        Raw dataset of all but the fields, stored as it is.
    variables : sequence of OutputVariable
        What :meth:`Output.write` is going to fill.
    overwrite : bool
        Replace an existing target, at the end.
    kind : type of Output, optional
        How to write; by default what the suffix says.

    Raises
    ------
    UsageError
        If the suffix is unknown or the path is not local.
    OutputError
        If the target exists and ``overwrite`` is false, or it cannot be written.
    """
    target = Path(os.path.realpath(path.removeprefix("file://")))
    writer = kind or _FORMATS.get(Path(path).suffix.lower())
    if writer is None or "://" in path.removeprefix("file://"):
        raise UsageError(
            f"expected a local output path ending in {', '.join(_FORMATS)}; got '{path}'. "
            "Give one of those."
        )
    _check_target(target, writer, overwrite)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    output: Output | None = None
    try:
        with reported(target):
            output = writer(temporary, target, variables)
            output.fill(skeleton)
        yield output
        with reported(target):
            output.close()
            _check_target(target, writer, overwrite)
            _rename(temporary, target)
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to report
            if output is not None:
                output.close()
        _remove(temporary)
        raise


def _check_target(target: Path, kind: type[Output], overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise OutputError(
            f"expected an existing folder for the output; '{target.parent}' is none. Make it first."
        )
    if not target.exists():
        return
    if not overwrite:
        raise OutputError(
            f"expected a new output path; '{target}' exists. Choose another name, or overwrite."
        )
    ours = target.is_file()
    if issubclass(kind, ZarrOutput) and target.is_dir():
        # A folder that merely ends in .zarr may hold anything: it is not ours to remove.
        ours = any((target / n).exists() for n in ("zarr.json", ".zgroup")) or not any(
            target.iterdir()
        )
    if not ours:
        raise OutputError(
            f"expected a dataset to overwrite; '{target}' is another kind of folder. "
            "Choose another name, or remove it yourself."
        )


def _rename(temporary: Path, target: Path) -> None:
    if not target.is_dir():
        os.replace(temporary, target)
        return
    old = temporary.with_suffix(".old")  # a folder cannot be replaced in one move
    os.replace(target, old)
    try:
        os.replace(temporary, target)
    except OSError:
        os.replace(old, target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
