"""Files of models that are refused: hostile archives, other files, what is broken."""

from __future__ import annotations

import contextlib
import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcodec import model_sources
from hpcodec.cards import CARD
from hpcodec.errors import FormatError, HpcodecError, ModelError
from hpcodec.model_adding import add_model
from hpcodec.models import file_digest
from hpcodec.restorers import WEIGHTS
from tests.packed import PACKED, edit, refused, zipped

pytestmark = pytest.mark.usefixtures("data")


def test_what_is_none(tmp_path: Path, tiny: Path) -> None:
    refused(tmp_path / "none", "expected a folder or .zip")
    refused(tmp_path / "none.zip", "No such file")
    for name in ("m.zip", "m.tar", "m.tar.gz"):
        for content in (b"", b"PK\x03\x04 and more", b"\x1f\x8b" + bytes(99)):
            (tmp_path / name).write_bytes(content)
            refused(tmp_path / name, "expected")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", f"expected {CARD}")
    with pytest.raises(ModelError, match="of sha256 0000"):
        add_model(str(tiny), "0" * 64)


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", ".bashrc", "card.json.py", "setup.py"])
@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_other_files_are_refused(tiny: Path, tmp_path: Path, kind: str, name: str) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")
    (tmp_path / "tiny" / name).write_bytes(b"import os")
    refused(PACKED[kind](tmp_path / "tiny", tmp_path), "safetensors alone")


@pytest.mark.parametrize(
    ("change", "match", "kind"),
    [
        ({"weights": "0" * 64}, "sha256", ModelError),
        ({"statics": "0" * 64}, "sha256", ModelError),
        ({"name": "../../tiny"}, "a name", FormatError),
        ({"name": "a/b"}, "a name", FormatError),
        ({"training": {}}, "nobody trained", FormatError),
        ({"more": 1}, "unknown key", FormatError),
        ({"architecture": {"level": 9, "width": 2**15}}, "weights of", ModelError),
    ],
)
def test_broken_models_are_refused(
    tiny: Path, tmp_path: Path, change: dict[str, object], match: str, kind: type[HpcodecError]
) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")
    edit(tmp_path / "tiny", **change)
    refused(tmp_path / "tiny", match, kind)


def test_weights_that_are_no_safetensors(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")
    (tmp_path / "tiny" / WEIGHTS).write_bytes(b"\x80\x04}q\x00.")  # a pickle
    edit(tmp_path / "tiny", weights=file_digest(tmp_path / "tiny" / WEIGHTS))
    refused(tmp_path / "tiny", "expected an entropy model")


Member = tuple[str, bytes, dict[str, Any]]
HOSTILE: dict[str, list[Member]] = {
    "above": [("../card.json", b"{}", {})],
    "inside above": [("tiny/../../card.json", b"{}", {})],
    "absolute": [("/card.json", b"{}", {})],
    "backslashes": [("..\\card.json", b"{}", {})],
    "several folders": [("a/card.json", b"{}", {}), ("b/model.safetensors", b"", {})],
    "a link": [("card.json", b"/etc/passwd", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})],
    "a hard link": [("card.json", b"", {"type": tarfile.LNKTYPE, "linkname": "../x"})],
    "a device": [("card.json", b"", {"type": tarfile.CHRTYPE})],
    "a pipe": [("card.json", b"", {"type": tarfile.FIFOTYPE})],
    "twice": [("card.json", b"{}", {}), ("card.json", b"[]", {})],
    "many": [(f"tiny/{i}/", b"", {"type": tarfile.DIRTYPE}) for i in range(99)],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_tars(tmp_path: Path, what: str) -> None:
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as archive:
        for name, content, about in HOSTILE[what]:
            member = tarfile.TarInfo(name)
            plain = not about
            member.size = len(content) if plain else 0
            for key, value in about.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content) if plain else None)
    refused(tmp_path / "m.tar.gz", "expected")
    assert {path.name for path in tmp_path.iterdir()} <= {"m.tar.gz", "data"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", sorted(set(HOSTILE) - {"a hard link"}))
def test_hostile_zips(tmp_path: Path, what: str) -> None:
    modes = {"a link": stat.S_IFLNK, "a device": stat.S_IFCHR, "a pipe": stat.S_IFIFO}
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for name, content, _ in HOSTILE[what]:
            member = zipfile.ZipInfo()
            member.filename = name  # as it is
            member.external_attr = modes.get(what, 0) << 16
            archive.writestr(member, content)
    refused(tmp_path / "m.zip", "expected")
    assert {path.name for path in tmp_path.iterdir()} <= {"m.zip", "data"}


def test_links_in_a_folder(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")
    (tmp_path / "tiny" / WEIGHTS).unlink()
    (tmp_path / "tiny" / WEIGHTS).symlink_to(tiny / WEIGHTS)
    refused(tmp_path / "tiny", "a link or a device")


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_bombs(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setitem(model_sources.MOST_BYTES, CARD, 2**16)
    shutil.copytree(tiny, tmp_path / "tiny")
    (tmp_path / "tiny" / CARD).write_bytes(b" " * (2**16 + 1))
    refused(PACKED[kind](tmp_path / "tiny", tmp_path), "at most 65,536 bytes of card.json")


def test_a_tar_whose_header_is_a_bomb(tmp_path: Path) -> None:
    """A header that says of the next that it takes gigabytes, which tar would read at once."""
    member = tarfile.TarInfo("card.json")
    member.type, member.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "m.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refused(tmp_path / "m.tar", "got one of other things, or larger")


def test_a_zip_that_lies_about_sizes(tiny: Path, tmp_path: Path) -> None:
    path = zipped(tiny, tmp_path / "m.zip")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (7).to_bytes(4, "little")  # of the last one, when unpacked
    path.write_bytes(data)
    refused(path, "expected")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_damaged_archives(tiny: Path, tmp_path: Path, kind: str, seed: int) -> None:
    """Whatever is damaged, it is refused in one line, or came through as it was."""
    path = PACKED[kind](tiny, tmp_path)
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(seed)
    edges = np.r_[np.arange(600), np.arange(data.size - 600, data.size)]
    data[rng.choice(edges, 20)] = rng.integers(0, 256, 20, dtype=np.uint8)
    path.write_bytes(data.tobytes())
    (tmp_path / "out").mkdir()
    with contextlib.suppress(ModelError):
        model_sources.copy_model(str(path), tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} <= set(model_sources.MOST_BYTES)
