"""Models as others send them: packed in many ways, changed, and refused."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hpcodec.cards import CARD
from hpcodec.errors import HpcodecError, ModelError
from hpcodec.model_adding import add_model
from hpcodec.model_folders import user_folder


def zipped(folder: Path, target: Path, below: str = "tiny/") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, below + file.relative_to(folder).as_posix())
    return target


def tarred(folder: Path, target: Path, below: str = "./tiny/") -> Path:
    plain = target.suffix == ".tar"
    with (
        tarfile.open(target, "w") if plain else tarfile.open(target, "w:gz", compresslevel=1)
    ) as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, below + file.name)
    return target


PACKED: dict[str, Callable[[Path, Path], Path]] = {
    "folder": lambda folder, _: folder,
    "zip": lambda folder, to: zipped(folder, to / "m.zip"),
    "flat zip": lambda folder, to: zipped(folder, to / "m.zip", ""),
    "tar": lambda folder, to: tarred(folder, to / "m.tar"),
    "tar.gz": lambda folder, to: tarred(folder, to / "m.tar.gz"),
    "tgz": lambda folder, to: tarred(folder, to / "m.TGZ", below=""),
}


def edit(folder: Path, **keys: object) -> None:
    card = json.loads((folder / CARD).read_text("utf-8"))
    (folder / CARD).write_text(json.dumps(card | keys), "utf-8")


def refused(source: Path | str, match: str, kind: type[HpcodecError] = ModelError) -> None:
    with pytest.raises(kind, match=match):
        add_model(str(source))
    assert not user_folder().exists() or list(user_folder().iterdir()) == []
