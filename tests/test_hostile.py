"""Damaged, random and crafted input is refused by an error of ours, or does no harm.

A few tries of each; ``python -m tests.benchmarks.hostile`` makes many thousand.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from hpcodec.cards import CARD, read_card
from hpcodec.entropy.coding import decode_level
from hpcodec.errors import FormatError, ModelError
from hpcodec.fields import Coding
from hpcodec.grid import cell_count
from hpcodec.models import STATICS, WEIGHTS, file_digest, load_model
from hpcodec.stages.zarr_store import open_store
from tests.fuzz.target import CORPUS, TARGETS, try_one
from tests.golden.make import FOLDER, MODEL, MODELS, golden_models
from tests.hostile import Tally, damage_bytes, read_payload, sealed, try_payloads, try_stores
from tests.tiny import fitted_entropy

STORE = FOLDER / "ratio" / "store.zarr"


@pytest.fixture(autouse=True)
def _golden_models() -> Iterator[None]:
    with golden_models():
        yield


def first() -> tuple[bytes, Coding]:
    store = open_store(str(STORE))
    (item,) = store.variables.values()
    return store.read(item, 0), item.coding


@pytest.mark.filterwarnings("ignore")
def test_damaged_stores(tmp_path: Path) -> None:
    tally = try_stores(STORE, tmp_path, 40, seed=1)
    assert tally.bad == 0, tally.wrong
    assert len(tally.counts) == 2, "some are refused, some are harmless"
    outside = {path.name for path in tmp_path.iterdir()} - {"store.away"}
    assert outside == set()


def test_damaged_payloads() -> None:
    payload, coding = first()
    tally = try_payloads(payload, coding, load_model(MODEL).entropy, 300, seed=1)
    assert tally.bad == 0, tally.wrong
    assert len(tally.counts) == 2


def test_a_sealed_payload_is_what_it_was() -> None:
    payload, coding = first()
    assert sealed(payload) == payload
    flipped = payload[:-3] + bytes([payload[-3] ^ 1]) + payload[-2:]
    with pytest.raises(FormatError, match="checksum"):
        read_payload(flipped, coding, load_model(MODEL).entropy)
    assert sealed(flipped)[-1] == payload[-1]


@given(data=st.binary(max_size=400))
def test_random_bytes_are_no_payload(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_payload(data, CODING, ENTROPY)


CODING, ENTROPY = (
    Coding.from_dict(
        json.loads((STORE / "t2m" / "zarr.json").read_text("utf-8"))["codecs"][0]["configuration"]
    ),
    fitted_entropy(),
)


@pytest.mark.parametrize("code", [b"", bytes(8), b"\xff" * 16], ids=len)
def test_code_that_cannot_hold_its_symbols_is_refused_at_once(code: bytes) -> None:
    base = np.zeros(768, np.int32)
    coarser = [np.zeros((3, cell_count(level - 1)), np.int32) for level in range(4, 8)]
    start = time.process_time()
    with pytest.raises(FormatError, match="an end before"):
        decode_level(ENTROPY, code, base, coarser, 1.0)
    assert time.process_time() - start < 0.1


def test_code_that_goes_on_after_its_symbols() -> None:
    payload, coding = first()
    with pytest.raises(FormatError):
        read_payload(sealed(payload + bytes(400)), coding, load_model(MODEL).entropy)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(MODELS / MODEL, tmp_path / MODEL)
    monkeypatch.setattr("hpcodec.models.search_path", lambda: [tmp_path])
    return tmp_path / MODEL


def edit(model: Path, **changes: object) -> None:
    card = json.loads((model / CARD).read_text("utf-8"))
    (model / CARD).write_text(json.dumps(card | changes), "utf-8")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_cards(model: Path, seed: int) -> None:
    draw = random.Random(seed)
    path = model / CARD
    path.write_bytes(damage_bytes(path.read_bytes(), draw))
    load_model.cache_clear()
    tally = Tally()
    tally.add(f"card {seed}", lambda: load_model(MODEL))
    assert tally.bad == 0, tally.wrong


@pytest.mark.parametrize(
    "architecture",
    [
        {"level": 99},
        {"level": 5, "width": 2**40},
        {"level": 5, "variables": "all"},
        {"level": "5"},
        {},
        {"level": 5, "variables": [1]},
    ],
    ids=str,
)
def test_architectures_out_of_all_bounds(model: Path, architecture: dict[str, object]) -> None:
    edit(model, architecture=architecture)
    with pytest.raises(FormatError, match="architecture"):
        read_card(model)


def test_nothing_is_made_of_a_size_that_only_the_card_has(model: Path) -> None:
    card = json.loads((model / CARD).read_text("utf-8"))
    edit(model, architecture=card["architecture"] | {"width": 2**16, "expansion": 2**12})
    load_model.cache_clear()
    with pytest.raises(ModelError, match="other shapes"):
        load_model(MODEL).coder("cpu")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", [WEIGHTS, STATICS])
def test_damaged_weights_whose_digest_fits(model: Path, name: str, seed: int) -> None:
    """Somebody may write a card for them, too."""
    path = model / name
    path.write_bytes(damage_bytes(path.read_bytes(), random.Random(seed)))
    edit(model, **{{WEIGHTS: "weights", STATICS: "statics"}[name]: file_digest(path)})
    load_model.cache_clear()
    tally = Tally()
    tally.add(f"{name} {seed}", lambda: load_model(MODEL).coder("cpu"))
    assert tally.bad == 0, tally.wrong


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("orography", np.zeros(12288, np.float32)),
        ("orography", np.zeros(768, np.int16)),
        ("orography", np.zeros((12, 1024), np.int16)),
        ("land", np.zeros(768, np.uint8)),
    ],
)
def test_static_fields_of_another_kind(
    model: Path, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
) -> None:
    statics = load_file(model / STATICS)
    save_file(statics | {name: array}, model / STATICS)
    edit(model, statics=file_digest(model / STATICS))
    load_model.cache_clear()
    with pytest.raises(ModelError, match="static fields"):
        load_model(MODEL)


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus_of_the_fuzzer(path: Path) -> None:
    try_one(path.read_bytes())


def test_the_corpus_reaches_every_target() -> None:
    kinds = {path.read_bytes()[0] % len(TARGETS) for path in CORPUS.iterdir()}
    assert kinds == set(range(len(TARGETS)))
