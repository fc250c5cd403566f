"""What a store may not make its reader do: leave its folder, run foreign code, fill the memory.

open_contained   a store's place, read only, no link in it followed
check_name       a name that is safe as part of a path
check_carried    an array that zarr may decode
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, LocalStore

from hpcodec.errors import FormatError, HpcodecError
from hpcodec.even import EVEN

__all__ = [
    "check_carried",
    "check_name",
    "damaged",
    "files_at",
    "folder_size",
    "local_folder",
    "open_contained",
    "quiet",
    "remote_place",
    "size_of",
]

# Those that hpcodec writes, or that leave a store what it was if another program adds them.
_CODECS = {
    *("bytes", "vlen-utf8", "vlen-bytes", "transpose", "sharding_indexed"),
    *("blosc", "zstd", "gzip", "crc32c", EVEN),
}
_CHUNK_BYTES = 2**31
_COORDINATE = 2**26  # values of a coordinate, which xarray holds whole


def check_name(name: str) -> str:
    """``name``, if it names a variable and nothing else.

    Raises
    ------
    FormatError
        If as part of a path it could lead elsewhere.
    """
    if not name or name.startswith(".") or any(c in "/\\" or not c.isprintable() for c in name):
        raise FormatError(
            f"expected a variable's name without '/', '\\' and a leading '.'; got {name[:60]!r}. "
            "Rename it."
        )
    return name


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings about data types that zarr's specification has not settled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def damaged(what: str) -> Iterator[None]:
    """Turn whatever a library raises over damaged data into one line."""
    try:
        yield
    except HpcodecError:
        raise
    except Exception as error:  # zarr, numcodecs, xarray and file systems raise all kinds
        reason = " ".join(str(error).split())[:120]
        raise FormatError(
            f"expected {what}; got {type(error).__name__}: {reason}. It is damaged."
        ) from error


def local_folder(path: str) -> Path | None:
    """Folder of a local path or ``file:`` URL; None for what is elsewhere."""
    files, inner = fsspec.url_to_fs(path)
    protocols = (files.protocol,) if isinstance(files.protocol, str) else files.protocol
    return Path(inner) if "file" in protocols else None


def folder_size(path: Path) -> int:
    """Bytes of all files below a folder, no link followed."""
    return sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(path)
        for name in names
    )


def files_at(url: str) -> tuple[Any, str]:
    """File system of a URL, and the name there; what it lists is never of another time."""
    files, inner = fsspec.url_to_fs(url, use_listings_cache=False)
    return files, str(inner)


class _Objects(FsspecStore):
    """An object store or a web server."""

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names in a folder; web servers mark folders by a slash."""
        async for name in super().list_dir(prefix):
            yield name.rstrip("/")


def remote_place(url: str, *, read_only: bool) -> FsspecStore:
    """What is at a URL, as zarr has it."""
    options = {"use_listings_cache": False}
    return _Objects.from_url(url, storage_options=options, read_only=read_only)


def size_of(path: str) -> int:
    """Bytes of all files at a path or URL; 0 where the file system does not list them."""
    if (folder := local_folder(path)) is not None:
        return folder_size(folder)
    files, inner = files_at(path)
    try:
        return int(files.du(inner))
    except (OSError, NotImplementedError):
        return 0


def open_contained(path: str) -> zarr.Group:
    """The zarr v3 group at a path or URL, read only and without its consolidated copy."""
    folder = local_folder(path)
    here = _Contained(folder, read_only=True) if folder is not None else None
    place = here or remote_place(path, read_only=True)
    return zarr.open_group(place, mode="r", zarr_format=3, use_consolidated=False)


class _Contained(LocalStore):
    """A folder, of which nothing is read but plain files in plain folders."""

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Bytes of a file; see zarr.

        Raises
        ------
        FormatError
            If it is a link, a pipe or a device, or below a link.
        """
        self._check(key)
        return await super().get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Bytes of parts of files; see :meth:`get`."""
        wanted = list(key_ranges)
        for key, _ in wanted:
            self._check(key)
        return await super().get_partial_values(prototype, wanted)

    async def exists(self, key: str) -> bool:
        """Whether there is a file; see :meth:`get`."""
        self._check(key)
        return await super().exists(key)

    def _check(self, key: str) -> None:
        place = self.root
        for part in PurePosixPath(key).parts:
            place = place / part
            try:
                mode = os.lstat(place).st_mode
            except (FileNotFoundError, NotADirectoryError):
                return
            if part in ("..", "/") or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                raise FormatError(
                    f"expected plain files in the store; got '{key}', which is a link or a "
                    "device. Copy what it leads to, if you trust it."
                )


def check_carried(name: str, array: zarr.Array[Any]) -> None:
    """Refuse an array that is no variable of a store.

    Parameters
    ----------
    name : str
        Of the array.
    array : zarr.Array
        Not compressed by us.

    Raises
    ------
    FormatError
        If it has a codec that stores do not have, or parts too large to be held.
    """
    metadata: Any = array.metadata
    found = {str(codec["name"]) for codec in metadata.to_dict()["codecs"]}
    if foreign := sorted(found - _CODECS):
        raise FormatError(
            f"expected codecs of a store in '{name}' ({', '.join(sorted(_CODECS))}); got "
            f"'{foreign[0][:60]}'. The store is damaged, or made by another program."
        )
    item = max(1, array.dtype.itemsize)
    if (size := prod(array.chunks) * item) > _CHUNK_BYTES:
        raise FormatError(
            f"expected chunks of at most {_CHUNK_BYTES:,} bytes in '{name}'; got {size:,}."
        )
    dims = tuple(metadata.dimension_names or ())
    if dims == (name,) and array.size > _COORDINATE:
        raise FormatError(
            f"expected at most {_COORDINATE:,} values of the coordinate '{name}'; got "
            f"{array.size:,}."
        )
