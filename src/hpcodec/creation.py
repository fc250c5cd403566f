"""A new store, or one that is gone on with: on a disk, or in an object store.

path, skeleton --create_store--> StoreOutput.add, .put, ..., .finish
what an interrupted run left --create_store(resume)--> the same, from where that was
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import xarray as xr

from hpcodec.errors import UsageError
from hpcodec.output import check_target, local_target
from hpcodec.output_formats import reported
from hpcodec.output_store import StoreOutput
from hpcodec.remote import RemoteGrowth, growing_there
from hpcodec.unfinished import Growth, Note, growing, ignored

__all__ = ["create_store"]


@contextmanager
def create_store(
    path: str,
    skeleton: xr.Dataset,
    *,
    overwrite: bool,
    resume: bool = False,
    note: Note = ignored,
) -> Iterator[StoreOutput]:
    """Open a store for writing; it appears under its name only when the block ends well.

    Parameters
    ----------
    path : str
        A path or any fsspec URL, ending in ``.zarr``.
    skeleton : xr.Dataset
        Raw dataset of all but the compressed variables.
    overwrite : bool
        Replace an existing store, on a disk at the end; and begin anew, unless ``resume``.
    resume : bool
        Go on with what an interrupted run left, if it did.
    note : callable
        Called with a line on an unfinished store that is replaced, or kept.

    Yields
    ------
    StoreOutput
        With all that is carried; with codings too, if it is gone on with. As long as there is no
        journal, nothing is kept of a run that is interrupted.

    Raises
    ------
    UsageError
        If the path has another suffix.
    OutputError
        If the target exists and ``overwrite`` is false, there is an unfinished store and it is
        not said what to do with it, another process writes it, or it cannot be written.
    """
    if not path.rstrip("/").endswith(".zarr"):
        raise UsageError(f"expected a store's path or URL to end in .zarr; got '{path}'.")
    target = local_target(path)
    if target is None:
        with growing_there(path, overwrite=overwrite, resume=resume, note=note) as there:
            yield _begun(there, StoreOutput(there.place, path), skeleton)
        return
    check = partial(check_target, target, StoreOutput, overwrite)
    with growing(target, check, overwrite=overwrite, resume=resume, note=note) as growth:
        output = StoreOutput(growth.new, target)
        output.stage = growth.folder / "shard"
        yield _begun(growth, output, skeleton)


def _begun(growth: Growth | RemoteGrowth, output: StoreOutput, skeleton: xr.Dataset) -> StoreOutput:
    output.journal = growth.journal
    if growth.resumable:
        output.tidy()
        output.attach()
        return output
    with reported(output.target):
        output.fill(skeleton)
        output.even_out()
    return output
