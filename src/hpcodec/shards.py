"""Shards: the chunks of many fields in one object, its index first, as zarr's codec has them.

    chunks --pack_shard--> object
    its first index_size bytes --read_index--> where each chunk is

An object store takes as long for a small object as for a large one, and a file system a block.
With the index at the start, a reader that knows nothing needs no size of the object first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError

__all__ = [
    "CODEC",
    "MOST_CHUNKS",
    "chunk_range",
    "index_size",
    "pack_shard",
    "read_index",
    "shard_codec",
    "shard_schema",
]

CODEC = "sharding_indexed"
"""Name of zarr's codec."""

MOST_CHUNKS = 2**16
"""Of a shard: its index is read as a whole."""

_NOT_THERE = 2**64 - 1
_INDEX_CODECS = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
]


def shard_codec(configuration: Mapping[str, Any], name: str) -> list[Any]:
    """Codecs within zarr's configuration of a shard.

    Raises
    ------
    FormatError
        If its index is not where :func:`read_index` looks for it.
    """
    plain = [{k: v for k, v in one.items() if v} for one in configuration["index_codecs"]]
    if configuration.get("index_location", "end") != "start" or plain != _INDEX_CODECS:
        raise FormatError(
            f"expected shards of '{name}' with their index at the start, as little-endian numbers "
            "with a CRC-32C; got others. The store is made by another program."
        )
    return list(configuration["codecs"])


def shard_schema() -> dict[str, Any]:
    """JSON schema of zarr's configuration of a shard, as :func:`shard_codec` takes it."""
    properties = {
        "chunk_shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "codecs": {"type": "array"},
        "index_codecs": {"const": _INDEX_CODECS},
        "index_location": {"const": "start"},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def index_size(count: int) -> int:
    """Bytes of the index of so many chunks."""
    return 16 * count + 4


def pack_shard(chunks: Mapping[int, bytes], count: int) -> bytes:
    """Object of a shard.

    Parameters
    ----------
    chunks : mapping of int to bytes
        Chunks by their number: in C order of the array's axes, of all that a whole shard has.
    count : int
        Chunks of a whole shard; at the end of an array some lie beyond it.
    """
    index = np.full((count, 2), _NOT_THERE, "<u8")
    place = index_size(count)
    for number, chunk in sorted(chunks.items()):
        index[number] = place, len(chunk)
        place += len(chunk)
    table = index.tobytes()
    checksum = google_crc32c.value(table).to_bytes(4, "little")
    return b"".join([table, checksum, *(chunk for _, chunk in sorted(chunks.items()))])


def read_index(head: bytes, count: int, name: str) -> npt.NDArray[np.uint64]:
    """Offset and size of each chunk of a shard, ``(count, 2)``; see :func:`chunk_range`.

    Parameters
    ----------
    head : bytes
        First :func:`index_size` bytes of the object, or more.
    count : int
        Chunks of a whole shard.
    name : str
        Of the object, for messages.

    Raises
    ------
    FormatError
        If it is too short, its checksum is another, or a chunk lies inside the index.
    """
    table, checksum = head[: 16 * count], head[16 * count : index_size(count)]
    if len(checksum) < 4 or google_crc32c.value(table) != int.from_bytes(checksum, "little"):
        raise FormatError(f"expected the index of shard '{name}'; got other bytes. It is damaged.")
    return np.frombuffer(table, "<u8").reshape(count, 2)


def chunk_range(index: npt.NDArray[np.uint64], number: int) -> tuple[int, int] | None:
    """Offset and size of a chunk in its shard; None if it is not there."""
    offset, size = map(int, index[number])
    return None if offset == _NOT_THERE and size == _NOT_THERE else (offset, size)
