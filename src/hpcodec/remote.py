"""An output in an object store until it is whole: it grows where it will be, its mark comes last.

url --growing_there--> RemoteGrowth.place, written by the caller --> the output

    .NAME.partial/begun          is there from the first byte to the last
                 /journal.json   how far it is, where it is worth going on with

An object appears whole or not at all, but none can be moved: what is to be replaced goes first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, WrapperStore

from hpcodec.containment import files_at, remote_place
from hpcodec.errors import OutputError
from hpcodec.output_formats import reported
from hpcodec.unfinished import Note, fails_again, ignored

__all__ = ["RemoteFile", "RemoteGrowth", "Withheld", "check_new", "growing_there"]

_ROOT = "zarr.json"


@dataclass(frozen=True)
class RemoteFile:
    """A small object that is read and replaced whole.

    Parameters
    ----------
    files : fsspec.AbstractFileSystem
        Where it is.
    path : str
        Its name there.
    """

    files: Any
    path: str

    def __str__(self) -> str:
        return self.path

    def exists(self) -> bool:
        """Whether it is there."""
        return bool(self.files.exists(self.path))

    def read_text(self, encoding: str) -> str:
        """What is in it."""
        return str(self.files.cat_file(self.path).decode(encoding))

    def write_text(self, text: str, encoding: str) -> None:
        """Replace it, or create it."""
        self.files.pipe_file(self.path, text.encode(encoding))


@dataclass(frozen=True)
class RemoteGrowth:
    """Where an output grows.

    Parameters
    ----------
    url : str
        What it will be.
    """

    url: str

    @property
    def place(self) -> FsspecStore:
        """What is written."""
        return remote_place(self.url, read_only=False)

    @property
    def target(self) -> str:
        """Name of the output in its file system."""
        return str(files_at(self.url)[1]).rstrip("/")

    @property
    def folder(self) -> str:
        """Beside it."""
        parent, _, name = self.target.rpartition("/")
        return f"{parent}/.{name}.partial"

    @property
    def begun(self) -> RemoteFile:
        """Says that whatever is at the target is ours, and not whole."""
        return RemoteFile(files_at(self.url)[0], f"{self.folder}/begun")

    @property
    def journal(self) -> RemoteFile:
        """Is there when an interrupted run can be gone on with."""
        return RemoteFile(files_at(self.url)[0], f"{self.folder}/journal.json")

    @property
    def resumable(self) -> bool:
        """Whether there is something to go on with."""
        return self.journal.exists() and self._is_group

    @property
    def _is_group(self) -> bool:
        return bool(files_at(self.url)[0].exists(f"{self.target}/{_ROOT}"))

    def clear(self) -> None:
        """Remove what is there, first what makes it look like something."""
        files, _ = files_at(self.url)
        for path in (f"{self.target}/{_ROOT}", self.target):
            if files.exists(path):
                files.rm(path, recursive=True)

    def settle(self) -> None:
        """Remove what stands beside it."""
        for file in (self.journal, self.begun):
            if file.exists():
                file.files.rm_file(file.path)


@contextlib.contextmanager
def growing_there(
    url: str, *, overwrite: bool = False, resume: bool = False, note: Note = ignored
) -> Iterator[RemoteGrowth]:
    """Let an output grow in an object store; what makes it whole, the caller writes last.

    Unlike on a disk, an output that is replaced is gone from the beginning, and two that write the
    same do not notice each other.

    Parameters
    ----------
    url : str
        Of the output, a zarr group.
    overwrite, resume, note
        As for :func:`hpcodec.unfinished.growing`.

    Raises
    ------
    OutputError
        If there is something else, there is an unfinished output and it was not said what to do
        with it, or it cannot be written.
    """
    growth = RemoteGrowth(url)
    with reported(url):
        going_on = growth.resumable and resume
        if not going_on:
            _make_room(growth, overwrite, note)
            growth.begun.write_text("", "utf-8")
    try:
        yield growth
    except BaseException as error:
        with contextlib.suppress(Exception):  # the first error is the one to report
            if growth.resumable and not fails_again(error):
                note(
                    f"what is done is kept in '{url}': go on with --resume, or begin anew with "
                    "--overwrite."
                )
            else:
                growth.clear()
                growth.settle()
        raise
    with reported(url):
        growth.settle()


def _make_room(growth: RemoteGrowth, overwrite: bool, note: Note) -> None:
    if growth.resumable and not overwrite:
        raise OutputError(
            f"expected no unfinished output; '{growth.url}' is one. Go on with hpcodec compress "
            "--resume, or begin anew with --overwrite."
        )
    if growth.begun.exists():
        note(f"replacing '{growth.url}', which an interrupted run left.")
    else:
        check_new(growth.url, overwrite, ours=growth._is_group)
    growth.clear()
    growth.settle()


def check_new(url: str, overwrite: bool, *, ours: bool) -> None:
    """Refuse a target that exists, or that is not ours to overwrite.

    Raises
    ------
    OutputError
        With what stands there.
    """
    files, target = files_at(url)
    if not files.exists(target):
        return
    if not overwrite:
        raise OutputError(
            f"expected a new output path; '{url}' exists. Choose another name, or overwrite."
        )
    if not ours:
        raise OutputError(
            f"expected a dataset to overwrite; '{url}' is another kind of folder. Choose another "
            "name, or remove it yourself."
        )


class Withheld(WrapperStore[FsspecStore]):
    """A zarr store whose root is not there until :meth:`release`: no reader takes it for whole."""

    def __init__(self, store: FsspecStore) -> None:
        super().__init__(store)
        self._root: Buffer | None = None

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Bytes of an object; see zarr."""
        if key == _ROOT:
            return self._root
        return await super().get(key, prototype, byte_range)

    async def exists(self, key: str) -> bool:
        """Whether there is an object; see zarr."""
        return self._root is not None if key == _ROOT else await super().exists(key)

    async def set(self, key: str, value: Buffer) -> None:
        """Store an object; see zarr."""
        if key == _ROOT:
            self._root = value
        else:
            await super().set(key, value)

    def release(self) -> None:
        """Store the root."""
        assert self._root is not None
        sync(self._store.set(_ROOT, self._root))
