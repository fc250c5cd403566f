"""Read chunks, or the first bytes of them, and nothing else of the files that they are in.

Place, bytes wanted --Fetcher.fetch--> bytes;   a shard's index is read once
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from hpcodec.containment import damaged
from hpcodec.errors import FormatError
from hpcodec.places import Place
from hpcodec.shards import chunk_range, index_size, read_index

__all__ = ["Fetcher", "gone"]

_INDICES = 64  # of shards, held: of some thousand bytes each


@dataclass(frozen=True, eq=False)
class Fetcher:
    """Reads chunks of a group.

    Parameters
    ----------
    path : str
        Where the group is, for messages.
    group : zarr.Group
        Root of a store.
    """

    path: str
    group: zarr.Group

    def fetch(self, place: Place, stop: int | None = None, start: int = 0) -> bytes:
        """Bytes ``start`` to ``stop`` of a chunk, or up to its end.

        Raises
        ------
        FormatError
            If the chunk is not there, or cannot be read.
        """
        if place.number is None:
            return self.bytes_of(place.key, start, stop)
        found = chunk_range(_index(self, place.key, place.count), place.number)
        if found is None:
            raise gone(f"{place.number} of {place.key}", self.path)
        offset, size = found
        end = size if stop is None else min(stop, size)
        return self.bytes_of(place.key, offset + start, offset + end)

    def bytes_of(self, key: str, start: int, stop: int | None) -> bytes:
        """Bytes of a file, as many as it has of those asked for."""
        if stop is not None and start >= stop:
            return b""
        asked = OffsetByteRequest(start) if stop is None else RangeByteRequest(start, stop)
        file = self.group.store_path / key
        with damaged(f"a readable chunk '{key}' in '{self.path}'"):
            found = sync(file.get(default_buffer_prototype(), asked))
        if found is None:
            raise gone(key, self.path)
        return bytes(found.to_bytes())


def gone(key: str, path: str) -> FormatError:
    """What is raised where a chunk is not there."""
    return FormatError(
        f"expected chunk '{key}' in '{path}'; got none. The store is damaged: compress again."
    )


@lru_cache(maxsize=_INDICES)  # fields of a shard are mostly read one after the other
def _index(fetcher: Fetcher, key: str, count: int) -> npt.NDArray[np.uint64]:
    return read_index(fetcher.bytes_of(key, 0, index_size(count)), count, key)
