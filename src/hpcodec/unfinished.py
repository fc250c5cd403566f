"""An output until it is whole: it grows beside its target, and is moved there in the end.

target --growing--> Growth.new, written by the caller --> target

    .NAME.lock           held by the process that writes; the system frees it when that is killed
    .NAME.partial/new    what will be the target
                 /journal.json   how far it is, where it is worth going on with
                 /old    what the target was, while the one takes the place of the other
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hpcodec.errors import BoundError, MissingValueError, OutputError, UsageError
from hpcodec.output_formats import reported

__all__ = ["Growth", "Note", "fails_again", "flush", "growing", "ignored", "partial_folder"]

Note = Callable[[str], None]
"""Called with a line on what was found, or is kept, of a run that did not end well."""


def fails_again(error: BaseException) -> bool:
    """Whether the same run would fail again: then what is done is not worth keeping."""
    return isinstance(error, BoundError | MissingValueError | UsageError)


def ignored(line: str) -> None:
    """Tell nobody."""


def partial_folder(target: Path) -> Path:
    """Hidden folder beside a target, in which it grows."""
    return target.with_name(f".{target.name}.partial")


@dataclass(frozen=True)
class Growth:
    """Where an output grows.

    Parameters
    ----------
    target : Path
        What it will be.
    """

    target: Path

    @property
    def folder(self) -> Path:
        """Holds the rest."""
        return partial_folder(self.target)

    @property
    def new(self) -> Path:
        """What is written: a file or a folder."""
        return self.folder / "new"

    @property
    def old(self) -> Path:
        """What is replaced."""
        return self.folder / "old"

    @property
    def journal(self) -> Path:
        """Is there when an interrupted run can be gone on with."""
        return self.folder / "journal.json"

    @property
    def resumable(self) -> bool:
        """Whether there is something to go on with."""
        return self.journal.exists() and self.new.exists()


@contextlib.contextmanager
def growing(
    target: Path,
    check: Callable[[], None],
    *,
    overwrite: bool = False,
    resume: bool = False,
    note: Note = ignored,
) -> Iterator[Growth]:
    """Let an output grow; it takes its place only when the block ends well.

    Parameters
    ----------
    target : Path
        Local.
    check : callable
        Raises OutputError if the target may not be written, or replaced.
    overwrite, resume : bool
        What to do with an unfinished output that could be gone on with: replace it, or go on.
        One that could not is replaced.
    note : callable
        Called with a line on an unfinished output that is replaced, or kept.

    Raises
    ------
    OutputError
        If another process writes the same target, there is an unfinished output and it was not
        said what to do with it, or the target cannot be written.
    """
    if not target.parent.is_dir():
        raise OutputError(
            f"expected an existing folder for the output; '{target.parent}' is none. Make it first."
        )
    growth = Growth(target)
    with _alone(target):
        with reported(target):
            _put_back(growth)
        check()
        with reported(target):
            _make_room(growth, overwrite, resume, note)
        try:
            yield growth
            with reported(target):
                flush(growth.new)
                check()
                _put_in_place(growth)
        except BaseException as error:
            if growth.resumable and not fails_again(error):
                note(
                    f"what is done is kept in '{growth.folder}': go on with --resume, or begin "
                    "anew with --overwrite."
                )
            else:
                _remove(growth.folder)
            raise
        _remove(growth.folder)


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    lock = FileLock(target.with_name(f".{target.name}.lock"), thread_local=False)
    with reported(target):
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise OutputError(
                f"expected to be alone in writing '{target}'; another process is at it. Wait until "
                "it is done, or choose another name."
            ) from error
    try:
        yield
    finally:
        with contextlib.suppress(
            OSError
        ):  # while it is held: who waits for it sees that it is gone
            os.unlink(lock.lock_file)
        lock.release()


def _put_back(growth: Growth) -> None:
    """Undo what a run left that was killed while the new took the place of the old."""
    if not growth.old.exists():
        return
    if growth.target.exists():
        _remove(growth.old)
    else:
        os.replace(growth.old, growth.target)


def _make_room(growth: Growth, overwrite: bool, resume: bool, note: Note) -> None:
    if growth.resumable and resume:
        return
    if growth.resumable and not overwrite:
        raise OutputError(
            f"expected no unfinished output; '{growth.folder}' is one. Go on with hpcodec "
            "compress --resume, or begin anew with --overwrite."
        )
    if growth.new.exists():
        note(f"replacing '{growth.folder}', which an interrupted run left.")
    _remove(growth.folder)
    growth.folder.mkdir()


def _put_in_place(growth: Growth) -> None:
    if growth.target.is_dir():  # a folder cannot be replaced in one move
        os.replace(growth.target, growth.old)
    try:
        os.replace(growth.new, growth.target)
    except OSError:
        if growth.old.exists():
            os.replace(growth.old, growth.target)
        raise
    _flush_one(growth.target.parent)


def flush(path: Path) -> None:
    """Have a file, or all below a folder, on disk: a power cut may take what is written last."""
    for below in path.rglob("*") if path.is_dir() else ():
        _flush_one(below)
    _flush_one(path)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
