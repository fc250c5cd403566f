"""Models of others: added, found, and removed."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hpcodec import model_sources
from hpcodec.cards import CARD, read_card
from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import ModelError, OutputError
from hpcodec.model_adding import add_model, remove_model
from hpcodec.model_folders import STATICS, find_models, folder_of, user_folder
from hpcodec.models import file_digest, load_model
from hpcodec.restorers import RESTORER, WEIGHTS
from tests.golden.make import MODELS, RESTORING
from tests.packed import PACKED, edit, tarred, zipped
from tests.synthetic import MODEL, raw

pytestmark = pytest.mark.usefixtures("data")


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


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *arguments: object) -> None:
        """Who asks for a file may hang up before it is all there."""


@pytest.fixture
def served(tiny: Path, tmp_path: Path) -> Iterator[str]:
    """URL of a folder with the model, and with it as an archive."""
    root = tmp_path / "www"
    root.mkdir()
    shutil.copytree(tiny, root / "tiny")
    tarred(tiny, root / "tiny.tar.gz")
    handler = partial(_Silent, directory=str(root))
    with _Server(("127.0.0.1", 0), handler) as server:
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


def test_no_room(tiny: Path, data: Path) -> None:
    data.write_text("a file", "utf-8")
    with pytest.raises(OutputError, match="expected to write below"):
        add_model(str(tiny))
