"""Runs of ``compress`` and ``decompress`` in processes of their own, to be killed by SIGKILL.

Some at a moment of the clock; others at the n-th time that they touch a file of the output, so
that every moment between two changes of the disk can be had, however short.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import HpcodecError

_CHANGES = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["hpcodec.cli", "tests.interruptions"])


@dataclass(frozen=True)
class Run:
    """One run of a verb, told as its arguments.

    Parameters
    ----------
    verb : str
        ``compress`` or ``decompress``.
    source, target : Path
        Its input, and what it writes.
    options : dict
        The rest; those of :class:`Options` and those of the verb.
    models : str
        Folder of the models.
    """

    verb: str
    source: Path
    target: Path
    options: dict[str, Any]
    models: str

    def __call__(self, **more: Any) -> None:
        options = {**self.options, **more}
        if self.verb == "decompress":
            decompress(str(self.source), str(self.target), **options)
            return
        own = {key: options.pop(key) for key in ("overwrite", "resume") if key in options}
        compress(str(self.source), str(self.target), Options(**options), **own)


@dataclass(frozen=True)
class End:
    """How a run ended.

    Parameters
    ----------
    killed : bool
        By SIGKILL.
    changes : int
        Changes of the disk that it made, if it was not killed.
    error : str
        What it refused with, if it did.
    """

    killed: bool
    changes: int = 0
    error: str = ""


def work(run: Run, more: dict[str, Any], last_change: int, told: Any) -> None:
    """Do a run, up to its so many-th change of the disk; tell how it ended."""
    changes = 0
    folder = str(run.target.parent)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if event not in _CHANGES or not str(arguments[0]).startswith(folder):
            return
        changes += 1
        if changes == last_change:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    os.environ["HPCODEC_MODELS"] = run.models
    sys.addaudithook(count)
    told.send("begun")
    error = ""
    try:
        run(**more)
    except HpcodecError as refusal:
        error = str(refusal)
    told.send(End(False, changes, error))


def end_of(run: Run, *, after: float = 0.0, at_change: int = 0, **more: Any) -> End:
    """Do a run in a process of its own, and kill it.

    Parameters
    ----------
    run : Run
        What to do.
    after : float
        Seconds after which to kill it; 0 to let it go on.
    at_change : int
        Change of the disk before which it kills itself; 0 to let it go on.
    more
        Options besides those of the run.
    """
    here, there = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=work, args=(run, more, at_change, there))
    process.start()
    there.close()
    with here:
        assert here.recv() == "begun"
        process.join(after or None)
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            return End(True)
        assert process.exitcode == 0
        ended = here.recv()
        assert isinstance(ended, End)
        return ended


def content(path: Path) -> dict[str, bytes]:
    """Every file at or below a path, and empty bytes for each folder."""
    if path.is_file():
        return {"": path.read_bytes()}
    below = sorted(path.rglob("*"))
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else b"" for p in below}


def names(folder: Path) -> list[str]:
    """Names of all that stands in a folder."""
    return sorted(path.name for path in folder.iterdir())
