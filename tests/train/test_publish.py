from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hpcodec.cards import CARD, read_card
from hpcodec.coding import coding_for
from hpcodec.decoding import decode_fields
from hpcodec.entropy.arrays import NAMES, from_arrays, to_arrays
from hpcodec.errors import FormatError, ModelError
from hpcodec.model_folders import STATICS
from hpcodec.models import file_digest, load_model
from hpcodec.pipeline import encode_fields
from hpcodec.restorers import WEIGHTS
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from hpcodec.train.publish import publish
from tests.tiny import shorten_fit
from tests.train.conftest import Lab


@pytest.fixture(scope="session")
def model(
    lab: Lab, finished: tuple[Path, list[float]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    target = tmp_path_factory.mktemp("models") / "tiny"
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        shorten_fit(patch)
        publish(lab.config, lab.prepared, lab.statics, finished[0], target, told.append)
    assert told == [
        "learning the entropy model from training fields",
        "measuring on validation fields",
    ]
    (target.parent / STATICS).write_bytes(lab.statics.read_bytes())
    return target


def test_card_reads_back(lab: Lab, model: Path) -> None:
    card = read_card(model)
    assert (card.name, card.description) == ("tiny", "A model for tests.")
    assert card.weights == file_digest(model / WEIGHTS)
    assert card.statics == file_digest(lab.statics)
    assert card.architecture["level"] == 5
    assert card.variable_index("air_temperature") == 1
    assert card.training["steps"] in (3, 6)
    assert card.training["of"] == 6
    assert card.training["credits"] == ["Made up."]
    assert len(card.training["data"]) == 5
    assert {point.bottleneck for point in card.operating_points} == {3, 4, 5}
    assert all(point.size > 0 and point.rmse > 0 for point in card.operating_points)
    assert {entry["field"] for entry in card.validation} == {"tas tas, step 0"}
    # Each embedding's own: of any variable, and of air temperature.
    assert len(card.shifts) == 2
    assert all(abs(card.shift(variable)) < 8 for variable in range(2))
    assert card.shift(0) != card.shift(1)


def test_finer_steps_take_more_bytes(model: Path) -> None:
    points = [p for p in read_card(model).operating_points if p.bottleneck == 5]
    points.sort(key=lambda point: point.step)
    assert points[0].size > points[-1].size
    assert points[0].rmse < points[-1].rmse


def test_weights_hold_an_entropy_model(lab: Lab, model: Path) -> None:
    stored, statics = load_file(model / WEIGHTS), load_file(lab.statics)
    read = from_arrays(stored, statics["orography"], statics["land"])
    for name, array in to_arrays(read).items():
        np.testing.assert_array_equal(array, stored[name])
    assert set(NAMES) < set(stored)
    assert sorted(read.known) == [4, 5, 6, 7, 8, 9]


def refused(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, without: str, words: str
) -> None:
    """Load a model whose card fits, but whose weights lack something."""
    target = folder / "tiny"
    shutil.copytree(model, target)
    stored = {name: value for name, value in load_file(model / WEIGHTS).items() if name != without}
    save_file(stored, target / WEIGHTS)
    card = json.loads((target / CARD).read_text("utf-8"))
    card["weights"] = file_digest(target / WEIGHTS)
    (target / CARD).write_text(json.dumps(card), "utf-8")
    (folder / STATICS).write_bytes((model.parent / STATICS).read_bytes())
    monkeypatch.setenv("HPCODEC_MODELS", str(folder))
    load_model.cache_clear()
    with pytest.raises(ModelError, match=words):
        load_model("tiny").coder("cpu")
    load_model.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_weights_without_an_entropy_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    refused(model, tmp_path, monkeypatch, name, "expected an entropy model in")


def test_weights_without_a_part_of_the_network(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(model, tmp_path, monkeypatch, "details.0.stem.weight", "expected the weights of tiny")


def test_coders_choose_by_the_entropy_model(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCODEC_MODELS", str(model.parent))
    load_model.cache_clear()
    loaded = load_model("tiny")
    assert loaded.coder("cpu").entropy is loaded.entropy
    assert "entropy" not in repr(loaded)
    load_model.cache_clear()


def test_published_model_compresses(lab: Lab, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCODEC_MODELS", str(model.parent))
    assert load_model("tiny").card == read_card(model)
    with open_source(str(lab.data / "val/tas.nc")) as source:
        (spec,) = find_fields(source)
        values = read_steps(source, spec, 0, 1)
    coding = coding_for(spec, 1500, model="tiny")
    assert coding.level == spec.grid.natural_level == 4
    encoded = encode_fields(values, coding, "cpu")
    assert len(encoded.payloads[0]) <= 1500
    decoded = decode_fields(encoded.payloads, coding, "cpu")
    np.testing.assert_allclose(decoded, encoded.decoded, atol=1e-2)
    assert float(np.std(decoded - values)) < float(np.std(values)) / 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"steps": 0}}, "nobody trained"),
        ({"training": {}}, "nobody trained"),
        ({"operating_points": []}, "nobody trained"),
        ({"operating_point": []}, "unknown key 'operating_point' in a card. Did you mean"),
        ({"operating_points": [{"bottleneck": 3}]}, "expected a model card"),
        ({"operating_points": 3}, "expected a model card"),
        ({"training": None}, "expected a model card"),
        ({"serves": 3}, "expected a model card"),
    ],
)
def test_refused_cards(model: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    data = json.loads((model / CARD).read_text("utf-8"))
    (tmp_path / CARD).write_text(json.dumps(data | change), "utf-8")
    with pytest.raises(FormatError) as caught:
        read_card(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", "{}", '{"name": "a"}'])
def test_no_card(tmp_path: Path, text: str) -> None:
    (tmp_path / CARD).write_text(text, "utf-8")
    with pytest.raises(FormatError, match="expected a model card"):
        read_card(tmp_path)
    (tmp_path / CARD).unlink()
    with pytest.raises(FormatError, match="expected a model card"):
        read_card(tmp_path)
