"""One finding for each damage, none for a whole store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zarr
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.stages.zarr_store import CODEC
from hpcodec.validation import validate
from tests.synthetic import raw, series

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
        ("detail", 0, "t2m, step 0", "bottleneck"),
        ("weights", "00" * 32, "t2m", "weights"),
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


def test_a_model_counts_by_its_weights_whatever_its_name(damaged: Path) -> None:
    path = damaged / "t2m" / "zarr.json"
    path.write_text(path.read_text("utf-8").replace('"any-l9"', '"renamed"'), "utf-8")
    assert '"renamed"' in path.read_text("utf-8")
    assert validate(str(damaged)) == []


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
    assert finding.where == "msl"


def test_files_that_are_no_part_of_it(damaged: Path, chunk: Path) -> None:
    shutil.copy(chunk, chunk.with_name("1"))
    (damaged / "notes.txt").write_text("x")
    findings = validate(str(damaged))
    assert [finding.where for finding in findings] == ["notes.txt", "t2m/c/0/0/1"]
    assert {(f.rule, f.severity) for f in findings} == {("structure", "warning")}


def test_coordinates_of_another_grid(damaged: Path) -> None:
    group = zarr.open_group(damaged, mode="r+", use_consolidated=False)
    values = raw(damaged)["lat"].to_numpy()
    group.create_array("lat", data=values[::-1].copy(), dimension_names=["lat"], overwrite=True)
    group["lat"].attrs.update({"standard_name": "latitude", "units": "degrees_north"})
    (finding,) = validate(str(damaged))
    assert (finding.rule, finding.severity) == ("carried", "error")
    assert "lat" in finding.what


def test_a_carried_variable_that_cannot_be_read(damaged: Path) -> None:
    (damaged / "lon" / "c" / "0").write_bytes(b"abc")
    (finding,) = validate(str(damaged))
    assert (finding.rule, finding.severity) == ("carried", "error")


def test_beside_its_original(single_store: str, single_source: str) -> None:
    assert validate(single_store, single_source, device="cpu") == []


def test_beside_another_original(damaged: Path, tmp_path: Path) -> None:
    other = series(1, 2.5)
    other["t2m"] = other["t2m"] + 100 * (other["lat"] > 80)
    other["time"] = other["time"].copy(data=[1])
    other["lat"] = other["lat"].assign_attrs(comment="new")
    other["extra"] = ((), 3)
    other.to_netcdf(tmp_path / "other.nc")
    findings = validate(str(damaged), str(tmp_path / "other.nc"), device="cpu")
    said = {(f.rule, f.where, f.severity) for f in findings}
    assert said == {
        ("error", "t2m", "error"),
        ("carried", "time", "error"),
        ("carried", "lat", "warning"),
        ("carried", "extra", "warning"),
    }
    assert any("max_error" in f.what and "as recorded" in f.what for f in findings)


def test_originals_that_are_none(damaged: Path, tmp_path: Path) -> None:
    series(1, 5).to_netcdf(tmp_path / "coarse.nc")
    for path in (tmp_path / "coarse.nc", tmp_path / "none.nc"):
        findings = validate(str(damaged), str(path), device="cpu")
        assert ("error", "error") in {(f.rule, f.severity) for f in findings}


def test_the_command(damaged: Path, chunk: Path) -> None:
    runner = CliRunner()

    def run(*options: str) -> tuple[int, str]:
        done = runner.invoke(cli.app, ["validate", str(damaged), *options])
        return done.exit_code, done.stdout

    assert run() == (0, f"{damaged}: whole\n")
    (damaged / "notes.txt").write_text("x")
    code, out = run()
    assert code == 0
    assert out.splitlines()[0].startswith("warning: notes.txt: ")
    assert out.splitlines()[1:] == [f"{damaged}: whole"]
    code, out = run("--strict", "--json")
    document = json.loads(out)
    assert (code, document["valid"], document["strict"]) == (1, False, True)
    assert set(document) == {"store", "valid", "strict", "findings"}
    (found,) = document["findings"]
    assert set(found) == {"rule", "where", "what", "severity"}
    chunk.write_bytes(b"")
    code, out = run()
    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == ["warning", "error"]


def test_no_store(tmp_path: Path) -> None:
    (finding,) = validate(str(tmp_path / "none.zarr"))
    assert finding.where.endswith("none.zarr")
