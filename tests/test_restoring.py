"""Details with what a network adds to them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from hpcodec.cards import CARD
from hpcodec.coding import coding_for
from hpcodec.decoding import decode_fields
from hpcodec.detail import Detailer, split_detail
from hpcodec.errors import FormatError, ModelError
from hpcodec.fields import Coding
from hpcodec.models import file_digest, load_model
from hpcodec.pipeline import encode_fields
from hpcodec.restorers import RESTORER, RESTORER_CARD, WEIGHTS, load_restorer, read_restorer_card
from hpcodec.restoring import Restoring, lost
from hpcodec.stages.dataset import find_fields
from hpcodec.stages.wavelets import to_bands
from hpcodec.stages.wire import correction_in
from hpcodec.step_search import Hint
from tests.golden.make import MODEL, MODELS, RESTORING, fronts

DETAIL = Hint(detailed=True)
Floats = npt.NDArray[np.float32]


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the golden models, one of which restores."""
    shutil.copytree(MODELS, tmp_path / "models")
    monkeypatch.setattr("hpcodec.model_folders.search_path", lambda: [tmp_path / "models"])
    load_model.cache_clear()
    yield tmp_path / "models"
    load_model.cache_clear()


def field() -> Floats:
    return np.asarray(fronts()["t2m"].values[:1], np.float32)


def coding(model: str = RESTORING, size: int = 700, **asked: float) -> Coding:
    (spec,) = find_fields(fronts())
    return coding_for(spec, size, model=model, **asked)  # type: ignore[arg-type]  # of errors


def rmse(values: npt.NDArray[np.floating], weights: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(weights * (values.astype(np.float64) - field()) ** 2)))


def flags(payload: bytes) -> int:
    return split_detail(correction_in(payload))[0][1]


def test_the_error_is_smaller_in_as_many_bytes() -> None:
    errors = {}
    for name in (MODEL, RESTORING):
        made = encode_fields(field(), coding(name), "cpu", DETAIL)
        assert len(made.payloads[0]) <= 700
        assert flags(made.payloads[0]) & 4 == (4 if name == RESTORING else 0)
        decoded = decode_fields(made.payloads, coding(name), "cpu")
        np.testing.assert_allclose(decoded, made.decoded, rtol=1e-6)
        errors[name] = rmse(decoded, coding().grid.area_weights)
    assert errors[RESTORING] < errors[MODEL]


def test_an_error_is_met_in_fewer_bytes() -> None:
    sizes = {}
    for name in (MODEL, RESTORING):
        (payload,) = encode_fields(field(), coding(name, 9000, rmse=0.7), "cpu", DETAIL).payloads
        decoded = decode_fields([payload], coding(name, 9000, rmse=0.7), "cpu")
        assert rmse(decoded, coding().grid.area_weights) <= 0.7
        sizes[name] = len(payload)
    assert sizes[RESTORING] < sizes[MODEL]


def test_a_bound_holds() -> None:
    asked = coding(size=100_000, max_error=2)
    made = encode_fields(field(), replace(asked, size=asked.size), "cpu", DETAIL)
    decoded = decode_fields(made.payloads, asked, "cpu")
    assert np.abs(decoded.astype(np.float64) - field()).max() <= 2


def test_what_makes_it_worse_is_left_out(models: Path) -> None:
    own = models / RESTORING
    weights = load_file(own / RESTORER / WEIGHTS)
    noise = np.random.default_rng(0)
    worse = {k: noise.standard_normal(v.shape).astype(v.dtype) for k, v in weights.items()}
    save_file(worse, own / RESTORER / WEIGHTS)
    accept(own)
    made = encode_fields(field(), coding(), "cpu", DETAIL)
    plain = encode_fields(field(), coding(MODEL), "cpu", DETAIL)
    assert flags(made.payloads[0]) & 4 == 0
    decoded = decode_fields(made.payloads, coding(), "cpu")
    np.testing.assert_allclose(decoded, made.decoded, rtol=1e-6)
    errors = [rmse(one.decoded, coding().grid.area_weights) for one in (made, plain)]
    assert errors[0] == pytest.approx(errors[1], rel=0.03)


def accept(own: Path) -> None:
    """Have both cards say what the weights now are."""
    digest = file_digest(own / RESTORER / WEIGHTS)
    for path, key in ((own / CARD, "restorer"), (own / RESTORER / RESTORER_CARD, "weights")):
        card = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(card | {key: digest}), "utf-8")
    load_restorer.cache_clear()


def test_other_weights_than_those_that_wrote_it_are_named(models: Path) -> None:
    made = encode_fields(field(), coding(), "cpu", DETAIL)
    own = models / RESTORING
    weights = load_file(own / RESTORER / WEIGHTS)
    save_file({name: value * 0 for name, value in weights.items()}, own / RESTORER / WEIGHTS)
    accept(own)
    load_model.cache_clear()
    with pytest.raises(ModelError, match="expected a restorer with weights sha256"):
        decode_fields(made.payloads, coding(), "cpu")


def test_weights_are_those_of_the_card(models: Path) -> None:
    path = models / RESTORING / RESTORER / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="as the model's card has it"):
        load_model(RESTORING)


@pytest.mark.parametrize("shape", [{"width": 10**9}, {"blocks": "4"}, {"depth": 4}, {"width": 9}])
def test_a_card_of_another_network_is_refused(models: Path, shape: dict[str, object]) -> None:
    path = models / RESTORING / RESTORER / RESTORER_CARD
    card = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(card | {"shape": card["shape"] | shape}), "utf-8")
    load_restorer.cache_clear()
    with pytest.raises((FormatError, ModelError), match="expected"):
        load_restorer(models / RESTORING)


def test_a_card_without_training_is_none(models: Path) -> None:
    path = models / RESTORING / RESTORER / RESTORER_CARD
    path.write_text("{}", "utf-8")
    with pytest.raises(FormatError):
        read_restorer_card(path.parent)


def test_a_perfect_guess_would_give_the_field_back(monkeypatch: pytest.MonkeyPatch) -> None:
    grid, folder = coding().grid, load_model(RESTORING).folder
    detailer = Detailer(grid, folder)  # type: ignore[arg-type]
    bands = to_bands(field()[0].astype(np.float64))
    _, detail = detailer.encode(bands, 0.2, None, by_area=True)
    monkeypatch.setattr(Restoring, "_corrections", lambda *_: lost(bands, detail))
    restored = Restoring(grid, folder).restore(detail, "")  # type: ignore[arg-type]
    np.testing.assert_allclose(restored, field()[0], atol=1e-4)
    assert np.abs(detail.values - field()[0]).max() > 0.05


def test_a_damaged_head_is_refused() -> None:
    grid, folder = coding().grid, load_model(RESTORING).folder
    detailer = Detailer(grid, folder)  # type: ignore[arg-type]
    bands = to_bands(field()[0].astype(np.float64))
    code, detail = detailer.encode(bands, 0.2, None, by_area=True, restorer=b"12345678")
    assert detailer.decode(code).restorer == detail.restorer == b"1234"
    with pytest.raises(FormatError):
        detailer.decode(code[:12])
