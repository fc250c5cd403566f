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
from pathlib import Path
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
    "restorer/restorer.json": 2**24,
    "restorer/model.safetensors": 2**28,
    "restorer/train.toml": 2**20,
}
"""What a model is made of, below its folder, and how large each file may be."""

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
    (target / name).parent.mkdir(exist_ok=True)
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
    names = _Names()
    for item in sorted(path.rglob("*")):
        mode = item.lstat().st_mode
        if not stat.S_ISDIR(mode):
            name = names.name_of(item.relative_to(path).as_posix(), plain=stat.S_ISREG(mode))
            with item.open("rb") as stream:
                yield name, stream


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
    names = _Names()
    for member in archive.infolist():
        mode = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir():
            names.count()
            continue
        name = names.name_of(member.filename, plain=mode in (0, stat.S_IFREG))
        with archive.open(member) as stream:
            yield name, stream


def _in_tar(raw: IO[bytes], name: str) -> Iterator[tuple[str, IO[bytes]]]:
    names = _Names()
    with (
        _Bounded(_unpacked(raw, name)) as bounded,
        tarfile.open(fileobj=bounded, mode="r:") as archive,
    ):
        for member in archive:
            if member.isdir():
                names.count()
                continue
            own = names.name_of(member.name, plain=member.isreg())
            stream = archive.extractfile(member)
            assert stream is not None, own
            yield own, stream


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


class _Names:
    """Names of files below the one folder of a model: known ones, and nothing that leads away."""

    def __init__(self) -> None:
        self._members = 0
        self._roots: set[str] = set()

    def count(self) -> None:
        """Count a member."""
        self._members += 1
        if self._members > _MEMBERS:
            raise ModelError(f"expected at most {_MEMBERS} files; got more. Do not use this model.")

    def name_of(self, path: str, *, plain: bool) -> str:
        """Name below the model's folder, of one as an archive has it: ``name/card.json``."""
        self.count()
        parts = [part for part in path.split("/") if part != "."]
        root = "" if "/".join(parts) in MOST_BYTES else parts[0]
        name = "/".join(parts[1:] if root else parts)
        if name not in MOST_BYTES or root in ("..", "/") or path.startswith("/") or not plain:
            raise ModelError(
                f"expected plain files {', '.join(MOST_BYTES)}, of one folder; got {path[:60]!r}"
                f"{'' if plain else ', a link or a device'}. Weights are safetensors alone."
            )
        self._roots.add(root)
        if len(self._roots) > 1:
            raise ModelError(f"expected files of one folder; got '{path[:60]}', of another.")
        return name
