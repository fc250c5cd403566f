"""Write a NetCDF-4 or zarr v3 dataset whole, or not at all.

path, skeleton, variables --create_output--> Output.write(name, start, values), ...
it grows beside the target, takes its place when all is written, and is removed when anything fails
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import xarray as xr

from hpcodec.containment import files_at
from hpcodec.errors import OutputError, UsageError
from hpcodec.output_formats import NetcdfOutput, Output, OutputVariable, ZarrOutput, reported
from hpcodec.remote import Withheld, check_new, growing_there
from hpcodec.unfinished import Note, growing, ignored

__all__ = ["Output", "OutputVariable", "check_target", "create_output", "local_target"]

_FORMATS: dict[str, type[NetcdfOutput] | type[ZarrOutput]] = {
    ".nc": NetcdfOutput,
    ".nc4": NetcdfOutput,
    ".zarr": ZarrOutput,
}


@contextlib.contextmanager
def create_output(
    path: str,
    skeleton: xr.Dataset,
    variables: Sequence[OutputVariable],
    overwrite: bool = False,
    *,
    note: Note = ignored,
) -> Iterator[Output]:
    """Open a dataset for writing; it appears under its name only when the block ends well.

    Parameters
    ----------
    path : str
        A path or any fsspec URL; the suffix chooses: ``.nc`` and ``.nc4`` NetCDF-4, ``.zarr`` zarr
        v3.
    skeleton : xr.Dataset
        Raw dataset of all but the fields, stored as it is.
    variables : sequence of OutputVariable
        What :meth:`Output.write` is going to fill.
    overwrite : bool
        Replace an existing target, at the end.
    note : callable
        Called with a line where an unfinished output is replaced.

    Raises
    ------
    UsageError
        If the suffix is unknown.
    OutputError
        If the target exists and ``overwrite`` is false, another process writes it, or it cannot be
        written.
    """
    target, writer = local_target(path), _FORMATS.get(Path(path).suffix.lower())
    if writer is None:
        raise UsageError(
            f"expected an output path ending in {', '.join(_FORMATS)}; got '{path}'. "
            "Give one of those."
        )
    if target is None:
        create = _create_group if writer is ZarrOutput else _create_file
        with create(path, skeleton, variables, overwrite, note) as there:
            yield there
        return
    check = partial(check_target, target, writer, overwrite)
    with growing(target, check, overwrite=overwrite, note=note) as growth:
        output: Output | None = None
        try:
            with reported(target):
                output = writer(growth.new, target, variables)
                output.fill(skeleton)
            yield output
            with reported(target):
                output.close()
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to report
                if output is not None:
                    output.close()
            raise


@contextlib.contextmanager
def _create_group(
    url: str, skeleton: xr.Dataset, variables: Sequence[OutputVariable], overwrite: bool, note: Note
) -> Iterator[Output]:
    """As :func:`create_output`, a zarr group in an object store."""
    with growing_there(url, overwrite=overwrite, note=note) as growth:
        place = Withheld(growth.place)
        with reported(url):
            output = ZarrOutput(place, url, variables)
            output.fill(skeleton)
        yield output
        with reported(url):
            place.release()


@contextlib.contextmanager
def _create_file(
    url: str, skeleton: xr.Dataset, variables: Sequence[OutputVariable], overwrite: bool, note: Note
) -> Iterator[Output]:
    """As :func:`create_output`, a NetCDF file in an object store: copied there when it is whole."""
    with reported(url):
        files, inner = files_at(url)
        check_new(url, overwrite, ours=files.isfile(inner))
    with tempfile.TemporaryDirectory(prefix="hpcodec-") as folder:
        here = os.path.join(folder, Path(inner).name)
        with create_output(here, skeleton, variables, note=note) as output:
            yield output
        with reported(url):
            files.put_file(here, inner)


def local_target(path: str) -> Path | None:
    """Where a local path leads, links followed; None for a URL."""
    plain = path.removeprefix("file://")
    return None if "://" in plain else Path(os.path.realpath(plain))


def check_target(target: Path, kind: type[Output], overwrite: bool) -> None:
    """Refuse a target that exists, or that is not ours to overwrite.

    Raises
    ------
    OutputError
        With what stands there.
    """
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
