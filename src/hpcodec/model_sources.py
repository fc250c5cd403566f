"""Files of a model wherever it comes from: a folder, a zip, a tar, or a URL of one of these.

path or URL --copy_model--> folder of nothing but a model's files, each within its limit

What is copied was made by anyone. Only plain files of known names are taken, none is believed to
be as large as it says, and no name of an archive becomes a path.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

import fsspec

from hpcodec.cards import CARD
from hpcodec.errors import ModelError
from hpcodec.model_folders import STATICS
from hpcodec.restorers import WEIGHTS

__all__ = ["copy_model"]

MOST_BYTES = {
    CARD: 2**24,
    WEIGHTS: 2**31,
    STATICS: 2**26,
    "train.toml": 2**20,
    "README.md": 2**20,
    "LICENSE": 2**20,
}
"""What a model is made of, and how large each file may be."""

_MEMBERS = 64
_BLOCK = 2**20
_SECONDS = 60  # that a server may be silent
_ZIP, _TAR = (".zip",), (".tar", ".tar.gz", ".tgz")
_ARCHIVE = sum(MOST_BYTES.values())
_FAILURES = (
    *(OSError, EOFError, ValueError, RuntimeError, NotImplementedError, ImportError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, URLError),
)


def copy_model(source: str, target: Path) -> None:
    """Copy the files of one model into a folder.

    Parameters
    ----------
    source : str
        Folder, ``.zip`` or ``.tar`` (plain or gz), or a URL of one: http, https, or whatever
        fsspec knows.
    target : Path
        Empty folder.

    Raises
    ------
    ModelError
        If it cannot be read, is none, or has something else in it.
    """
    try:
        for name, stream in _files(source):
            _copy(name, stream, target)
    except ModelError:
        raise
    except _FAILURES as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"expected a model at '{source}': a folder, .zip or .tar.gz; got "
            f"{type(error).__name__}: {reason}. Check the path."
        ) from error
    if missing := [name for name in (CARD, WEIGHTS) if not (target / name).exists()]:
        raise ModelError(f"expected {missing[0]} in '{source}'; it is not there. Get another.")


def _copy(name: str, stream: IO[bytes], target: Path) -> None:
    """Copy one file, to its limit; what it is called was checked."""
    left = MOST_BYTES[name]
    with (target / name).open("xb") as file:
        while block := stream.read(min(_BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise ModelError(
                    f"expected at most {MOST_BYTES[name]:,} bytes of {name}; got more. Do not use "
                    "this model."
                )
            file.write(block)


def _files(source: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each file."""
    if "://" not in source:
        path = Path(source)
        yield from _in_folder(path) if path.is_dir() else _in_archive(path, path.name)
        return
    if not source.lower().endswith((*_ZIP, *_TAR)):
        yield from _at_url(source.rstrip("/"))
        return
    with tempfile.TemporaryFile() as file, _opened(source) as stream:
        left = _ARCHIVE
        while block := stream.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise ModelError(f"expected at most {_ARCHIVE:,} bytes at '{source}'; got more.")
            file.write(block)
        file.seek(0)
        yield from _in_archive(file, source)


def _opened(url: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A file at a URL: by http without further packages, by all else that fsspec has."""
    if url.lower().startswith(("http://", "https://")):
        opened: contextlib.AbstractContextManager[IO[bytes]] = urlopen(url, timeout=_SECONDS)
        return opened
    remote: contextlib.AbstractContextManager[IO[bytes]] = fsspec.open(url, "rb")
    return remote


def _at_url(url: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Files of a folder behind a URL, which need not list it."""
    for name in MOST_BYTES:
        try:
            opened = _opened(f"{url}/{name}")
            stream = opened.__enter__()
        except (FileNotFoundError, URLError):
            if name in (CARD, WEIGHTS):
                raise
            continue
        with contextlib.ExitStack() as stack:
            stack.push(opened)
            yield name, stream


def _in_folder(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Files of a model's folder; a link is none."""
    for item in sorted(path.iterdir()):
        _check(item.name, plain=stat.S_ISREG(item.lstat().st_mode))
        with item.open("rb") as stream:
            yield item.name, stream


def _in_archive(file: Path | IO[bytes], name: str) -> Iterator[tuple[str, IO[bytes]]]:
    if name.lower().endswith(_ZIP):
        with zipfile.ZipFile(file) as archive:
            yield from _in_zip(archive)
    elif name.lower().endswith(_TAR):
        with file.open("rb") if isinstance(file, Path) else contextlib.nullcontext(file) as raw:
            yield from _in_tar(raw, name.lower())
    else:
        raise ModelError(
            f"expected a folder or {', '.join((*_ZIP, *_TAR))}; got '{name}'. Pack it as one of "
            "these."
        )


def _in_zip(archive: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    members = archive.infolist()
    _check_names([member.filename for member in members if not member.is_dir()], len(members))
    for member in members:
        if member.is_dir():
            continue
        mode = member.external_attr >> 16
        name = PurePosixPath(member.filename).name
        _check(name, plain=stat.S_IFMT(mode) in (0, stat.S_IFREG))
        with archive.open(member) as stream:
            yield name, stream


def _in_tar(raw: IO[bytes], name: str) -> Iterator[tuple[str, IO[bytes]]]:
    seen: list[str] = []
    with (
        _Bounded(_unpacked(raw, name)) as bounded,
        tarfile.open(fileobj=bounded, mode="r:") as archive,
    ):
        for count, member in enumerate(archive):
            if not member.isdir():
                seen.append(member.name)
                _check(PurePosixPath(member.name).name, plain=member.isreg())
            _check_names(seen, count + 1)
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None:
                yield PurePosixPath(member.name).name, stream


def _unpacked(raw: IO[bytes], name: str) -> IO[bytes]:
    if name.endswith((".gz", ".tgz")):
        return gzip.open(raw)  # type: ignore[return-value]  # it is one, but for its hints
    return raw


class _Bounded(io.BufferedIOBase):
    """A stream that gives no more than a model can have, and never much at a time.

    Headers of tar say how long the next one is, and are read as a whole.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int | None = -1) -> bytes:
        """Bytes, as they come."""
        if size is None or not 0 <= size <= 2 * _BLOCK or self.tell() + size > 2 * _ARCHIVE:
            raise ModelError("expected an archive of a model; got one of other things, or larger.")
        return self._stream.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go on elsewhere."""
        if not 0 <= place <= 2 * _ARCHIVE:
            raise ModelError("expected an archive of a model; got a larger one.")
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        """Where one is."""
        return self._stream.tell()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes, if slowly backwards."""
        return True


def _check(name: str, *, plain: bool) -> None:
    if name not in MOST_BYTES or not plain:
        raise ModelError(
            f"expected plain files {', '.join(MOST_BYTES)}; got {name[:60]!r}"
            f"{'' if plain else ', a link or a device'}. Weights are safetensors alone."
        )


def _check_names(names: list[str], members: int) -> None:
    """One folder of an archive, or none, and few members: nothing that leads elsewhere."""
    paths = [PurePosixPath(name) for name in names]
    outside = [str(p) for p in paths if p.is_absolute() or ".." in p.parts or "\\" in str(p)]
    if outside or len({path.parent for path in paths}) > 1:
        got = repr(outside[0][:60]) if outside else "several folders"
        raise ModelError(f"expected files of one folder; got {got}. Do not use this model.")
    if members > _MEMBERS:
        raise ModelError(f"expected at most {_MEMBERS} files; got more. Do not use this model.")
