"""Installed models: found, checked against their cards, chosen for a variable."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcodec.cards import CARD, read_card
from hpcodec.decoding import decode_fields
from hpcodec.errors import FormatError, ModelError, UsageError
from hpcodec.fields import FieldSpec
from hpcodec.grid import LatLonGrid
from hpcodec.model_folders import find_models, search_path, statics_of
from hpcodec.models import choose_model, load_model, resolve_device
from hpcodec.pipeline import encode_fields
from hpcodec.restorers import RESTORER, WEIGHTS, restorer_of
from hpcodec.stages.dataset import find_fields
from tests.synthetic import MODEL, series, waves

GRID = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
RULE = {
    "standard_name": "air_temperature",
    "units": ["K"],
    "names": ["t2m", "2t"],
    "long_names": ["2 metre temperature"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of a model 'own' like the shipped one, on the search path."""
    shipped = find_models()[MODEL]
    copy = tmp_path / "own"
    shutil.copytree(shipped, copy)
    os.symlink(statics_of(shipped), tmp_path / "statics.safetensors")
    os.symlink(restorer_of(shipped), tmp_path / RESTORER)
    edit(copy, lambda card: card.update(name="own"))
    monkeypatch.setenv("HPCODEC_MODELS", str(tmp_path))
    load_model.cache_clear()
    yield copy
    load_model.cache_clear()


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / CARD).read_text("utf-8"))
    change(data)
    (folder / CARD).write_text(json.dumps(data), "utf-8")


def spec(name: str, units: str = "K", standard_name: str = "", long_name: str = "") -> FieldSpec:
    return FieldSpec(name, GRID, (), ("lat", "lon"), standard_name, units, long_name)


def test_the_shipped_model() -> None:
    assert MODEL in find_models()
    model = load_model(MODEL)
    assert load_model(MODEL, model.card.weights).card == model.card
    assert model.card.name == MODEL
    assert model.card.training["steps"] > 0
    assert model.card.operating_points


def test_a_model_of_ones_own_comes_first(folder: Path) -> None:
    assert search_path()[0] == folder.parent
    assert {"own", MODEL} <= set(find_models())
    assert load_model("own").folder == folder
    shutil.copytree(folder, folder.parent / MODEL)
    assert find_models()[MODEL] == folder.parent / MODEL


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ModelError, match=f"Did you mean '{MODEL}'"):
        load_model("any-l8")
    with pytest.raises(ModelError, match="sha256 0123"):
        load_model("any-l8", "0123" * 16)


def test_other_weights_than_asked_for() -> None:
    with pytest.raises(ModelError, match="0000"):
        load_model(MODEL, "00" * 32)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_damaged_weights(folder: Path) -> None:
    load_model("own")
    flip(folder / WEIGHTS)
    load_model.cache_clear()
    with pytest.raises(ModelError, match="sha256"):
        load_model("own")
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="none"):
        load_model("own")


def test_damaged_statics(folder: Path) -> None:
    own = statics_of(folder)
    data = own.read_bytes()
    own.unlink()
    own.write_bytes(data[:-1])
    with pytest.raises(ModelError, match="statics"):
        load_model("own")
    (folder / own.name).write_bytes(data)
    assert statics_of(folder) == folder / own.name
    assert load_model("own").card.name == "own"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card["training"].update(steps=0), "nobody trained"),
        (lambda card: card["training"].pop("steps"), "nobody trained"),
        (lambda card: card.update(operating_points=[]), "nobody trained"),
        (lambda card: card.update(weihgts="0"), "Did you mean 'weights'"),
        (lambda card: card.pop("weights"), "weights"),
        (lambda card: card.pop("operating_points"), "operating_points"),
        (lambda card: card.update(operating_points=[{"bottleneck": 3}]), "card"),
    ],
)
def test_cards_that_are_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    edit(folder, change)
    with pytest.raises(FormatError, match=words):
        load_model("own")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7"])
def test_cards_that_are_none(folder: Path, text: str) -> None:
    (folder / CARD).write_text(text, "utf-8")
    with pytest.raises(FormatError, match="card"):
        read_card(folder)


def test_an_architecture_that_is_not_that_of_the_weights(folder: Path) -> None:
    edit(folder, lambda card: card["architecture"].update(width=32))
    with pytest.raises(ModelError, match="weights of own"):
        load_model("own").coder("cpu")


def test_the_general_model_takes_what_no_other_serves() -> None:
    assert choose_model(spec("sea_ice_age", "d")) == MODEL


def test_a_model_for_the_variable_goes_first(folder: Path) -> None:
    edit(folder, lambda card: card.update(serves=[RULE]))
    assert choose_model(spec("t2m")) == "own"
    assert choose_model(spec("x", long_name="2 metre Temperature")) == "own"
    assert choose_model(spec("2t", standard_name="air_temperature")) == "own"
    general = choose_model(spec("sea_ice_age", "d"))
    assert general == MODEL
    for other in (spec("t2m", "degC"), spec("t2m", standard_name="sea_surface_temperature")):
        assert choose_model(other) != "own"


def test_no_model_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcodec.model_folders.search_path", lambda: [tmp_path])
    with pytest.raises(ModelError, match="got none"):
        choose_model(spec("t2m"))


def test_devices() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda")
    for device in ("abacus", "cuda:99"):
        with pytest.raises(UsageError, match="device"):
            resolve_device(device)


def test_a_model_of_ones_own_codes(folder: Path) -> None:
    from hpcodec.coding import coding_for

    (field,) = find_fields(series(1), ["t2m"])
    coding = coding_for(field, 2500, model="own")
    assert coding.model == folder.name
    encoded = encode_fields(waves(1), coding, "cpu")
    decoded = decode_fields(encoded.payloads, coding, "cpu")
    assert np.std(decoded - waves(1)) < 2


def test_the_best_bottleneck_is_within_the_source() -> None:
    card = load_model(MODEL).card
    for size in (1, 500, 5000, 10**7):
        for level in (4, 6, 9):
            bottleneck, point = card.best_bottleneck(size, level)
            assert 3 <= bottleneck <= level
            assert point.bottleneck == bottleneck
            assert point.step > 0
    coarse, _ = card.best_bottleneck(1000, 9)
    fine, _ = card.best_bottleneck(100000, 9)
    assert coarse <= fine
