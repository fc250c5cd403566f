"""Where the chunks of a part go: each to a file of its own, or all into one shard.

chunks --add--> files                    chunks --add--> kept --finish--> shard

Of a shard on a disk, chunks are also kept in a file that only grows, until the shard is whole: so
who goes on with an interrupted run has them.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from hpcodec.output_formats import written
from hpcodec.output_store import StoreOutput

__all__ = ["Files", "Shard", "Sink", "sink_for"]

_LENGTH = 8  # bytes that say how long the chunk is that follows


class Sink(ABC):
    """Takes the chunks of a part in order; made by :func:`sink_for`.

    Parameters
    ----------
    output : StoreOutput
        Of the store.
    name : str
        Of the variable.
    """

    def __init__(self, output: StoreOutput, name: str) -> None:
        self._output, self._name = output, name

    @abstractmethod
    def add(self, step: int, chunk: bytes) -> None:
        """Take the chunk whose last field is at flattened leading index ``step``."""

    @abstractmethod
    def finish(self) -> None:
        """Have all of them in the store."""

    @abstractmethod
    def go_on(self, steps: Sequence[int], *, whole: bool) -> list[bytes]:
        """Chunks that an earlier run added, with which this one goes on; empty ones are gone.

        Parameters
        ----------
        steps : sequence of int
            As they were added.
        whole : bool
            Whether they are all of the part.
        """


class Files(Sink):
    """Each chunk in a file of its own."""

    def add(self, step: int, chunk: bytes) -> None:
        """Store it."""
        self._output.put(self._name, step, chunk)

    def finish(self) -> None:
        """Nothing is left to do."""

    def go_on(self, steps: Sequence[int], *, whole: bool) -> list[bytes]:
        """Read them again."""
        return [self._output.chunk(self._name, step) for step in steps]


class Shard(Sink):
    """All chunks in one shard.

    Parameters
    ----------
    output, name : StoreOutput, str
        As for :class:`Sink`.
    stage : Path, optional
        File in which chunks are kept until the shard is whole; without, they are held.
    """

    def __init__(self, output: StoreOutput, name: str, stage: Path | None = None) -> None:
        super().__init__(output, name)
        self._stage, self._mode = stage, "wb"  # what another part left there is gone
        self._chunks: dict[int, bytes] = {}

    def add(self, step: int, chunk: bytes) -> None:
        """Keep it."""
        self._chunks[step] = chunk
        if self._stage is not None:
            with written(self._stage), self._stage.open(self._mode) as file:
                file.write(len(chunk).to_bytes(_LENGTH, "little") + chunk)
            self._mode = "ab"

    def finish(self) -> None:
        """Store the shard."""
        self._output.put_shard(self._name, self._chunks)

    def go_on(self, steps: Sequence[int], *, whole: bool) -> list[bytes]:
        """Read the shard, or what was kept for it; what follows that is forgotten."""
        if whole:
            return [self._output.chunk(self._name, step) for step in steps]
        chunks, end = list[bytes](), 0
        kept = b""
        if self._stage is not None:
            with contextlib.suppress(FileNotFoundError):
                kept = self._stage.read_bytes()
        for _ in steps:
            length = int.from_bytes(kept[end : end + _LENGTH], "little")
            chunks.append(kept[end + _LENGTH : end + _LENGTH + length])
            end += _LENGTH + length
        if self._stage is not None and kept:
            with written(self._stage), self._stage.open("r+b") as file:
                file.truncate(end)
            self._mode = "ab"
        self._chunks = dict(zip(steps, chunks, strict=True))
        return chunks


def sink_for(output: StoreOutput, name: str) -> Sink:
    """Sink of a variable, as its array has it."""
    if not output.shard(name):
        return Files(output, name)
    return Shard(output, name, output.stage)
