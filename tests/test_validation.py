"""One finding for each damage, none for a whole store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcodec.stages.zarr_store import CODEC
from hpcodec.validation import validate

Bytes = Callable[[bytes], bytes]

PAYLOADS: dict[str, Bytes] = {
    "a bit of the header": lambda b: b[:9] + bytes([b[9] ^ 1]) + b[10:],
    "a bit of the base": lambda b: b[:60] + bytes([b[60] ^ 1]) + b[61:],
    "the last bit": lambda b: b[:-1] + bytes([b[-1] ^ 1]),
    "a byte short": lambda b: b[:-1],
    "a byte too many": lambda b: b + b"\0",
    "header only": lambda b: b[:34],
    "half a header": lambda b: b[:10],
    "two payloads": lambda b: b + b,
    "empty": lambda b: b"",
    "zeros": lambda b: bytes(len(b)),
    "text": lambda b: b"<html>404</html>" * 50,
}


@pytest.mark.parametrize("name", ["single", "series", "rich"])
def test_whole_stores(name: str, request: pytest.FixtureRequest) -> None:
    assert validate(request.getfixturevalue(f"{name}_store")) == []


@pytest.mark.parametrize("damage", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_damaged_payload(damaged: Path, chunk: Path, damage: Bytes) -> None:
    chunk.write_bytes(damage(chunk.read_bytes()))
    (finding,) = validate(str(damaged))
    assert finding.where == "t2m, step 0"
    assert "\n" not in finding.what


def test_a_missing_payload(damaged: Path, chunk: Path) -> None:
    chunk.unlink()
    (finding,) = validate(str(damaged))
    assert finding.where == "t2m, step 0"
    assert "got none" in finding.what


@pytest.mark.parametrize("name", ["lat", "lon"])
def test_a_damaged_coordinate(damaged: Path, name: str) -> None:
    path = damaged / name / "c" / "0"
    path.write_bytes(path.read_bytes()[:-1])
    (finding,) = validate(str(damaged))
    assert finding.where == name
    assert "\n" not in finding.what


def test_every_damaged_step_is_found(series_store: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.zarr"
    shutil.copytree(series_store, copy)
    for step in (1, 6):
        path = copy / "t2m" / "c" / str(step) / "0" / "0"
        path.write_bytes(path.read_bytes()[:-1])
    assert [finding.where for finding in validate(str(copy))] == ["t2m, step 1", "t2m, step 6"]


@pytest.mark.parametrize(
    ("key", "value", "where", "words"),
    [
        ("bottleneck", 3, "t2m, step 0", "bottleneck"),
        ("weights", "00" * 32, "t2m", "weights"),
        ("model", "any-l8", "t2m", "any-l9"),
        ("format", "2.0", "", "format"),
        ("sise", 1, "", "sise"),
    ],
)
def test_a_damaged_coding(damaged: Path, key: str, value: object, where: str, words: str) -> None:
    path = damaged / "t2m" / "zarr.json"
    array: dict[str, Any] = json.loads(path.read_text("utf-8"))
    (codec,) = (codec for codec in array["codecs"] if codec["name"] == CODEC)
    codec["configuration"][key] = value
    path.write_text(json.dumps(array), "utf-8")
    (finding,) = validate(str(damaged))
    assert finding.where == (where or str(damaged))
    assert words in finding.what


@pytest.mark.parametrize("name", ["zarr.json", "t2m/zarr.json"])
def test_damaged_metadata(damaged: Path, name: str) -> None:
    path = damaged / name
    path.write_text(path.read_text("utf-8")[:-20], "utf-8")
    (finding,) = validate(str(damaged))
    assert finding.where == str(damaged)


def test_a_variable_that_is_gone(rich_store: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.zarr"
    shutil.copytree(rich_store, copy)
    shutil.rmtree(copy / "msl")
    (finding,) = validate(str(copy))
    assert "msl" in finding.what


def test_no_store(tmp_path: Path) -> None:
    (finding,) = validate(str(tmp_path / "none.zarr"))
    assert finding.where.endswith("none.zarr")
