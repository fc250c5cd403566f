"""Stores that format 1.0 wrote are read for ever, with whatever models are shipped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
import xarray as xr

from hpcodec.decompression import decompress
from hpcodec.info import describe
from hpcodec.metadata import FORMAT_VERSION
from hpcodec.models import load_model
from hpcodec.shards import CODEC as SHARDS
from hpcodec.stored import ATTRIBUTE, CODEC
from hpcodec.validation import validate
from tests.golden.make import (
    ARRAYS,
    CASES,
    FOLDER,
    MODEL,
    RESTORING,
    chunks,
    decoded,
    golden_models,
    listed,
    present,
    symbols,
)

TOLERANCE = 1e-4
"""Of the range of a field: the promise of the format's section on exactness."""

SCHEMA = json.loads(
    (Path(__file__).parents[1] / "docs" / "format" / "v1.schema.json").read_text("utf-8")
)
STORES = tuple(case for case in CASES if case not in ARRAYS)


@pytest.fixture(autouse=True)
def _golden_models() -> Iterator[None]:
    with golden_models():
        yield


def test_no_file_is_missing_changed_or_new() -> None:
    assert present() == listed(), "take tests/golden from the repository, or see tests.golden.make"
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == {*CASES, "models"}
    assert FOLDER.name == f"v{FORMAT_VERSION}"


@pytest.mark.parametrize("case", CASES)
def test_whole_numbers_are_identical(case: str) -> None:
    expected = json.loads((FOLDER / case / "symbols.json").read_text("utf-8"))
    found = {name: symbols(payloads, coding) for name, coding, payloads in chunks(FOLDER / case)}
    assert found == expected


@pytest.mark.parametrize("case", CASES)
def test_decoded_values(case: str) -> None:
    with np.load(FOLDER / case / "decoded.npz") as expected:
        known = dict(expected)
    found: dict[str, Any] = {}
    steps: dict[str, float] = {}
    for name, coding, payloads in chunks(FOLDER / case):
        found |= decoded(payloads, coding, name)
        steps[name] = dict(coding.packing.attributes).get("scale_factor", 0.0)
    assert set(found) == set(known)
    for name, values in known.items():
        assert found[name].dtype == values.dtype
        # What is stored in integers may be rounded the other way.
        room = TOLERANCE * float(np.nanmax(values) - np.nanmin(values)) + steps.get(name, 0.0)
        np.testing.assert_allclose(found[name], values, rtol=0, atol=room)


def test_more_threads_stay_within_the_tolerance() -> None:
    torch.set_num_threads(2)
    try:
        test_decoded_values("ratio")
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("case", STORES)
def test_nothing_is_wrong_with_it(case: str) -> None:
    assert validate(str(FOLDER / case / "store.zarr")) == []


@pytest.mark.parametrize("case", ARRAYS)
def test_any_reader_of_zarr_has_our_codec(case: str) -> None:
    with np.load(FOLDER / case / "decoded.npz") as expected:
        known = expected["t2m"]
    with xr.open_zarr(FOLDER / case / "store.zarr", consolidated=False) as dataset:
        assert dataset.t2m.dtype == (np.float64 if case == "zarr-v3" else np.float32)
        room = TOLERANCE * float(np.ptp(known))
        np.testing.assert_allclose(dataset.t2m, known, rtol=0, atol=room)


@pytest.mark.parametrize("case", STORES)
def test_metadata_keep_the_schema(case: str) -> None:
    store = FOLDER / case / "store.zarr"
    root = json.loads((store / "zarr.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate({ATTRIBUTE: root["attributes"][ATTRIBUTE]})
    for path in store.glob("*/zarr.json"):
        codecs = json.loads(path.read_text("utf-8")).get("codecs", [])
        for codec in codecs[:1] if codecs and codecs[0]["name"] == SHARDS else ():
            validator.validate({SHARDS: codec["configuration"]})
            codecs = codec["configuration"]["codecs"]
        for codec in codecs:
            if codec["name"] == CODEC:
                validator.validate({CODEC: codec["configuration"]})


@pytest.mark.parametrize("case", STORES)
def test_without_its_model(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base field is the same, and what is missing is named."""
    path = str(FOLDER / case / "store.zarr")
    name = RESTORING if case in ("detail-restored", "detail-told") else MODEL
    weights = load_model(name).card.weights
    monkeypatch.setattr("hpcodec.model_folders.search_path", lambda: [tmp_path])
    load_model.cache_clear()
    about = describe(path)
    for item in about["variables"].values():
        assert (item["model"], item["weights"]) == (name, weights)
        assert not item["installed"]
    decompress(path, str(tmp_path / "coarse.nc"), level=3)
    with (
        np.load(FOLDER / case / "decoded.npz") as expected,
        xr.open_dataset(tmp_path / "coarse.nc", decode_cf=False) as coarse,
    ):
        for variable in about["variables"]:
            values = coarse[variable].values.reshape(-1, 768)
            np.testing.assert_array_equal(values, expected[f"{variable}.3"])
    for finding in validate(path):
        assert finding.rule == "model"
        assert re.search(f"'{name}' with weights sha256 {weights}", finding.what)
    assert len(validate(path)) == len(about["variables"])
