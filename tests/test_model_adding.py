"""Models of others: from folders, archives and URLs, and what is refused of them."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import shutil
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hpcodec import model_sources
from hpcodec.cards import CARD, read_card
from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, HpcodecError, ModelError, OutputError
from hpcodec.model_adding import add_model, remove_model
from hpcodec.model_folders import STATICS, find_models, folder_of, user_folder
from hpcodec.models import file_digest, load_model
from hpcodec.restorers import RESTORER, WEIGHTS
from tests.golden.make import MODELS, RESTORING
from tests.synthetic import MODEL, raw
from tests.tiny import write_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "tiny"
    write_model(folder)
    return folder


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder of its own, which a refusal leaves empty."""
    monkeypatch.setenv("HPCODEC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("hpcodec.model_folders._given", {})
    load_model.cache_clear()
    yield tmp_path / "data"
    load_model.cache_clear()


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


@pytest.mark.parametrize("kind", PACKED)
def test_added_once_found_and_removed(tiny: Path, tmp_path: Path, kind: str) -> None:
    source = str(PACKED[kind](tiny, tmp_path))
    weights = read_card(tiny).weights
    card, folder, new = add_model(source, weights[:10])
    assert (card.name, new) == ("tiny", True)
    assert folder == user_folder() / weights / "tiny" == find_models()["tiny"]
    assert load_model("anything", weights).folder == folder
    assert {path.name for path in folder.iterdir()} == {path.name for path in tiny.iterdir()}
    assert add_model(source)[1:] == (folder, False)
    assert [path.name for path in user_folder().iterdir()] == [weights]
    assert remove_model(weights[:8]) == folder
    assert "tiny" not in find_models()
    assert list(user_folder().iterdir()) == []


def test_a_colleague_gets_the_right_model(
    tiny: Path, tmp_path: Path, single_source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was coded by a path is decoded where the model was added, by its digest."""
    store = str(tmp_path / "a.zarr")
    options = Options(ratio=4, model=str(tiny), device="cpu", bottleneck=4)
    compress(single_source, store, options)
    monkeypatch.setattr("hpcodec.model_folders._given", {})
    load_model.cache_clear()
    with pytest.raises(ModelError, match="hpcodec models add"):
        decompress(store, str(tmp_path / "a.nc"), device="cpu")
    add_model(str(zipped(tiny, tmp_path / "m.zip")))
    decompress(store, str(tmp_path / "a.nc"), device="cpu")
    before, after = raw(single_source).t2m.values, raw(tmp_path / "a.nc").t2m.values
    assert float(np.std(after - before)) < 2


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def served(tiny: Path, tmp_path: Path) -> Iterator[str]:
    """URL of a folder with the model, and with it as an archive."""
    root = tmp_path / "www"
    root.mkdir()
    shutil.copytree(tiny, root / "tiny")
    tarred(tiny, root / "tiny.tar.gz")
    handler = partial(_Silent, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_from_http(tiny: Path, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("tiny.tar.gz", "tiny"):
        assert add_model(f"{served}/{name}")[0] == read_card(tiny)
        remove_model("tiny")
    for name in ("none.tar.gz", "none"):
        with pytest.raises(ModelError, match="404"):
            add_model(f"{served}/{name}")
    (card, size), *_ = model_sources.MOST_BYTES.items()
    assert size > 1
    monkeypatch.setattr(model_sources, "_ARCHIVE", 1000)
    with pytest.raises(ModelError, match="at most 1,000 bytes"):
        add_model(f"{served}/tiny.tar.gz")
    assert card == CARD


def test_from_fsspec(tiny: Path, tmp_path: Path) -> None:
    assert add_model(f"file://{zipped(tiny, tmp_path / 'm.zip')}")[2]
    remove_model("tiny")
    assert add_model(f"file://{tiny}/")[2]
    with pytest.raises(ModelError, match="Protocol not known"):
        add_model("nothing://like/this.zip")


def test_shared_statics_go_with_a_folder(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "lab" / "tiny")
    (tmp_path / "lab" / "tiny" / STATICS).rename(tmp_path / "lab" / STATICS)
    _, folder, _ = add_model(str(tmp_path / "lab" / "tiny"))
    assert (folder / STATICS).exists()


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_a_restorer_goes_with_its_model(tmp_path: Path, kind: str) -> None:
    _, folder, _ = add_model(str(PACKED[kind](MODELS / RESTORING, tmp_path)))
    assert file_digest(folder / RESTORER / WEIGHTS) == load_model(RESTORING).card.restorer


def test_a_shared_restorer_goes_with_a_folder(tmp_path: Path) -> None:
    shutil.copytree(MODELS / RESTORING, tmp_path / RESTORING)
    (tmp_path / RESTORING / RESTORER).rename(tmp_path / RESTORER)
    _, folder, _ = add_model(str(tmp_path / RESTORING))
    assert (folder / RESTORER / WEIGHTS).exists()


def test_two_of_one_name(tiny: Path, tmp_path: Path) -> None:
    other = changed(tiny, tmp_path / "other", b"more")
    (_, first, _), (_, second, _) = add_model(str(tiny)), add_model(str(other))
    assert first.name == second.name == "tiny"
    for folder in (first, second):
        assert folder_of("tiny", folder.parent.name) == folder
    with pytest.raises(ModelError, match="Name one by these digits"):
        remove_model("tiny")
    assert remove_model(second.parent.name[:9]) == second


def changed(tiny: Path, target: Path, note: bytes) -> Path:
    """The same model with other bytes of weights, and a card that knows it."""
    from safetensors import safe_open

    shutil.copytree(tiny, target)
    with safe_open(tiny / WEIGHTS, "numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(arrays, target / WEIGHTS, {"note": note.decode()})
    edit(target, weights=file_digest(target / WEIGHTS))
    return target


def edit(folder: Path, **keys: object) -> None:
    card = json.loads((folder / CARD).read_text("utf-8"))
    (folder / CARD).write_text(json.dumps(card | keys), "utf-8")


def test_the_same_weights_under_another_name(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "copy")
    edit(tmp_path / "copy", name="other")
    add_model(str(tiny))
    with pytest.raises(OutputError, match="under another name"):
        add_model(str(tmp_path / "copy"))
    assert "other" not in find_models()


@pytest.mark.parametrize("name", [MODEL, find_models()[MODEL].parent.name, "none", "../tiny", ""])
def test_what_is_not_removed(name: str) -> None:
    with pytest.raises(ModelError):
        remove_model(name)
    assert MODEL in find_models()


def refused(source: Path | str, match: str, kind: type[HpcodecError] = ModelError) -> None:
    with pytest.raises(kind, match=match):
        add_model(str(source))
    assert not user_folder().exists() or list(user_folder().iterdir()) == []


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


def test_no_room(tiny: Path, data: Path) -> None:
    data.write_text("a file", "utf-8")
    with pytest.raises(OutputError, match="expected to write below"):
        add_model(str(tiny))
