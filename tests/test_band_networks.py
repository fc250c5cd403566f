"""Networks of bands are found by what is in a payload, wherever models are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from hpcodec import band_networks
from hpcodec.band_networks import BANDS, BANDS_CARD, bands_of, latest_bands
from hpcodec.errors import ModelError
from hpcodec.models import file_digest
from hpcodec.restorers import WEIGHTS
from tests.tiny import band_network

SHIPPED = Path(__file__).parents[1] / "weights" / BANDS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder of models, with an older and the latest network."""
    for number, name in enumerate((BANDS, f"{BANDS}-1")):
        (tmp_path / name).mkdir()
        save_file(band_network(number).arrays, tmp_path / name / WEIGHTS)
        (tmp_path / name / BANDS_CARD).write_text("{}", "utf-8")
    (tmp_path / "bands-of-rain").mkdir()  # a model that only sounds like one
    (tmp_path / "bands-of-rain" / WEIGHTS).write_bytes(b"of a model")
    monkeypatch.setattr("hpcodec.model_folders.search_path", lambda: [tmp_path])
    yield tmp_path
    band_networks._load.cache_clear()


def test_the_one_that_is_shipped_is_that_of_its_card() -> None:
    card = json.loads((SHIPPED / BANDS_CARD).read_text("utf-8"))
    found = latest_bands()
    assert found is not None
    assert found.digest == card["weights"] == file_digest(SHIPPED / WEIGHTS)
    assert max(one["bytes"] for one in card["validation"]) < 1
    assert all(name.startswith("train/") for name in card["training"]["files"])


def test_the_latest_encodes_and_any_decodes(folder: Path) -> None:
    latest = latest_bands()
    assert latest is not None
    assert latest.digest == file_digest(folder / BANDS / WEIGHTS)
    older = bytes.fromhex(file_digest(folder / f"{BANDS}-1" / WEIGHTS))
    assert bands_of(older[:4]).digest == older.hex()


def test_another_is_named_and_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"sha256 00000000\.\.\.; got none. Install the hpcodec"):
        bands_of(bytes(4))


def test_damaged_weights_are_refused(folder: Path) -> None:
    (folder / BANDS / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="expected the weights of a network of bands in"):
        latest_bands()


def test_without_any_nothing_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcodec.model_folders.search_path", lambda: [])
    assert latest_bands() is None
