"""Damaged, random and crafted input is refused by an error of ours, or does no harm.

A few tries of each; ``python -m tests.benchmarks.hostile`` makes many thousand.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from hpcodec.cards import CARD, read_card
from hpcodec.codec import FieldSpaceCodec
from hpcodec.decoding import decode_cells
from hpcodec.entropy.coding import decode_level, encode_level
from hpcodec.errors import FormatError, GridError, ModelError
from hpcodec.fields import Coding
from hpcodec.grid import LatLonGrid, cell_count
from hpcodec.model_folders import STATICS
from hpcodec.models import file_digest, load_model
from hpcodec.restorers import WEIGHTS
from hpcodec.stages.wire import pack
from hpcodec.stages.zarr_store import open_store
from tests.fuzz.target import CORPUS, TARGETS, try_one
from tests.golden.make import FOLDER, MODEL, MODELS, golden_models
from tests.hostile import Tally, damage_bytes, read_payload, sealed, try_payloads, try_stores
from tests.tiny import compressed_field, fitted_entropy

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


@pytest.mark.parametrize("code", [bytes(8), b"\xff" * 16], ids=len)
def test_code_that_cannot_hold_its_symbols_is_refused_at_once(code: bytes) -> None:
    base = np.zeros(768, np.int32)
    coarser = [np.zeros((3, cell_count(level - 1)), np.int32) for level in range(4, 8)]
    start = time.process_time()
    with pytest.raises(FormatError, match="an end before"):
        decode_level(ENTROPY, code, base, coarser, 1.0)
    assert time.process_time() - start < 0.1


def test_code_that_goes_on_after_its_symbols() -> None:
    field = compressed_field(4)
    code = encode_level(ENTROPY, field.residuals[0], field.base, [], field.step)
    decode_level(ENTROPY, code, field.base, [], field.step)
    with pytest.raises(FormatError, match="the end of the code"):
        decode_level(ENTROPY, code + b"\1" * 64, field.base, [], field.step)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(MODELS / MODEL, tmp_path / MODEL)
    monkeypatch.setattr("hpcodec.model_folders.search_path", lambda: [tmp_path])
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


def test_a_coding_of_other_levels_than_its_model() -> None:
    payload, coding = first()
    with pytest.raises(FormatError, match="'level' up to 5, the finest of model"):
        decode_cells([payload], replace(coding, level=6), 4, "cpu")


def test_values_that_float32_does_not_hold() -> None:
    _, coding = first()
    base_only = replace(coding, bottleneck=3)
    field = replace(compressed_field(3, 1e6), offset=3e38, scale=3e38)
    with pytest.raises(FormatError, match="finite"):
        decode_cells([pack(field, ENTROPY)], base_only, 3)
    with pytest.raises(FormatError, match="finite"):
        decode_cells([pack(field, ENTROPY)], base_only, 4, "cpu")


@pytest.mark.parametrize("count", [2**20, 2**40])
def test_a_chunk_larger_than_any_reader_must_hold(count: int) -> None:
    _, coding = first()
    chunk = (count, *coding.grid.shape)
    grid = SimpleNamespace(chunk_shape=chunk)
    with pytest.raises(GridError, match="at most"):
        FieldSpaceCodec(coding).validate(shape=chunk, dtype=np.dtype("f4"), chunk_grid=grid)


def test_a_coding_with_chunks_larger_than_that() -> None:
    _, coding = first()
    wide = LatLonGrid.regular((90.0, -0.1, 1801), (0.0, 0.1, 3600))
    plain = replace(coding, grid=wide, key_every=256).to_dict()
    with pytest.raises(FormatError, match="at most"):
        Coding.from_dict(plain)
    with pytest.raises(FormatError, match="points"):
        Coding.from_dict(
            {**plain, "grid": {"latitude": [90, -0.002, 90001], "longitude": [0, 0.0036, 100000]}}
        )
