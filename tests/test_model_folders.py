"""Where models are looked for, and what they may be called by."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpcodec.cards import CARD, read_card
from hpcodec.coding import coding_for
from hpcodec.errors import ModelError
from hpcodec.model_folders import (
    all_models,
    find_models,
    folder_of,
    is_installed,
    statics_of,
    user_folder,
)
from hpcodec.models import choose_model, load_model
from hpcodec.stages.dataset import find_fields
from tests.synthetic import MODEL, series


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HPCODEC_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("hpcodec.model_folders._given", {})
    load_model.cache_clear()
    yield tmp_path
    load_model.cache_clear()


def added(model: Path, name: str) -> Path:
    """A model in the user's folder, as it would be added."""
    target = user_folder() / read_card(model).weights / name
    shutil.copytree(model, target)
    return target


def test_a_path_serves_as_a_name(data: Path, tiny: Path) -> None:
    weights = read_card(tiny).weights
    assert not is_installed(weights)
    (spec,) = find_fields(series(1))
    coding = coding_for(spec, 2000, model=str(tiny))
    assert (coding.model, coding.weights) == ("tiny", weights)
    # From here on this process finds it by what a store says of it.
    assert load_model(coding.model, coding.weights).folder == tiny


@pytest.mark.parametrize("name", ["./none", "no/such/model"])
def test_a_path_to_none(data: Path, name: str) -> None:
    with pytest.raises(ModelError, match="expected a folder of a model"):
        folder_of(name)


def test_weights_are_found_under_any_name(data: Path, tiny: Path) -> None:
    weights, target = read_card(tiny).weights, added(tiny, "renamed")
    assert folder_of("tiny", weights) == target
    assert folder_of(weights) == folder_of(weights[:8]) == folder_of("renamed") == target
    with pytest.raises(ModelError, match="unknown model"):
        folder_of(weights[:7])
    with pytest.raises(ModelError, match=f"'{MODEL}'.*{'0' * 64}; got weights"):
        folder_of(MODEL, "0" * 64)


def test_a_damaged_neighbour_is_in_nobodys_way(data: Path, tiny: Path) -> None:
    target = added(tiny, "tiny")
    other = user_folder() / "0" / "other"
    other.mkdir(parents=True)
    (other / CARD).write_text("{", "utf-8")
    assert other in all_models()
    assert folder_of("tiny", read_card(tiny).weights) == target
    with pytest.raises(ModelError, match="a damaged card"):
        folder_of("other", "0" * 64)


def test_digits_of_two_models(data: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added(tiny, "tiny")
    monkeypatch.setattr("hpcodec.model_folders._LEAST_DIGITS", 0)
    with pytest.raises(ModelError, match="Give more digits"):
        folder_of("")


def test_what_is_added_is_never_chosen_unnamed(data: Path, tiny: Path) -> None:
    (spec,) = find_fields(series(1))
    before = choose_model(spec)
    added(tiny, "aaa")
    assert "aaa" in find_models()
    assert "aaa" not in find_models(added=False)
    assert choose_model(spec) == before


def test_statics_are_its_own_or_those_that_came_with_hpcodec(data: Path, tiny: Path) -> None:
    assert statics_of(tiny).parent == tiny
    target = added(tiny, "tiny")
    statics_of(target).unlink()
    assert statics_of(target) == statics_of(find_models()[MODEL])
