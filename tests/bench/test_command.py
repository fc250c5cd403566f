"""The command as it is called: tables, files, lines on what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.bench import command
from hpcodec.bench.codecs import Recipe
from hpcodec.bench.recipes import recipes
from hpcodec.errors import HpcodecError, OutputError, UsageError
from tests.bench.fields import shifting, write

QUICK = ("--codec", "bit-round", "--codec", "block-means", "--device", "cpu")


def run(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(cli.app, ["bench", *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout, result.stderr


def refused(*arguments: str) -> HpcodecError:
    result = CliRunner().invoke(cli.app, ["bench", *arguments])
    assert result.exit_code == 1
    assert isinstance(result.exception, HpcodecError)
    return result.exception


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("bench"))


def test_a_table_for_each_ratio_and_error(source: str) -> None:
    out, error = run(source, "--ratio", "8", "--ratio", "12.5", "--rmse", "1", *QUICK)
    assert error == ""
    lines = out.splitlines()
    assert [line for line in lines if "\t" not in line] == [
        "t2m, a.nc at ratio 8, errors in K",
        "t2m, a.nc at ratio 12.5, errors in K",
        "t2m, a.nc at RMSE 1 K",
    ]
    assert [line.split("\t")[0] for line in lines[1:4]] == ["codec", "bit-round", "block-means"]


def test_ratios_if_nothing_is_asked(source: str) -> None:
    out, _ = run(source, *QUICK)
    assert [f"at ratio {r}," in out for r in (16, 64, 256, 1024)] == [True] * 4


def test_everything_as_json_and_a_plot(source: str, tmp_path: Path) -> None:
    report, plot = tmp_path / "a.json", tmp_path / "a.png"
    out, _ = run(
        source,
        *("--ratio", "4", "--codec", "hpcodec", "--targets"),
        *("--json", str(report), "--plot", str(plot), *QUICK),
    )
    assert "hpcodec, whole store\t" in out
    assert "2 m temperature: ratio at RMSE 0.3\tt2m, a.nc\t" in out
    assert "10 m u wind: ratio at RMSE 0.3\tnot in these files\t" in out
    about: dict[str, Any] = json.loads(report.read_text())
    (field,) = about["fields"]
    assert field["bytes"] == 4 * 37 * 72
    assert set(field["codecs"]) == {"hpcodec", "bit-round", "block-means"}
    ours = field["codecs"]["hpcodec"]["at_ratio"]["4"]
    assert ours["parameter"] == 4
    assert ours["ratio"] >= 4
    assert field["stores"][0]["ratio"] >= 4
    assert len(about["targets"]) == 13
    assert plot.read_bytes()[:4] == b"\x89PNG"


def test_an_error_asked_of_ours_is_encoded_beside_it(source: str, tmp_path: Path) -> None:
    def measured(*arguments: str) -> dict[str, Any]:
        report = tmp_path / "a.json"
        run(source, "--codec", "hpcodec", "--json", str(report), "--device", "cpu", *arguments)
        found: dict[str, Any] = json.loads(report.read_text())["fields"][0]["codecs"]["hpcodec"]
        return found

    low, high = (point["rmse"] for point in measured("--ratio", "8")["points"][:2])
    between = (low + high) / 2
    codec = measured("--rmse", str(between))
    assert codec["at_rmse"][f"{between:g}"]["rmse"] == pytest.approx(between)
    near = min(abs(point["rmse"] - between) for point in codec["points"])
    assert near < (high - low) / 4


def test_a_missing_package_is_one_line(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = Recipe("peer", "classical", "a peer", lambda case: shifting(), {"no_module": "pack"})
    monkeypatch.setattr(command, "recipes", lambda device, cnn: (*recipes(device, cnn), lacking))
    out, error = run(source, "--ratio", "8", "--codec", "peer", *QUICK)
    assert error.startswith("hpcodec: peer is left out: expected the package pack; ")
    assert error.count("\n") == 1
    assert "bit-round" in out
    assert "installed" in str(refused(source, "--codec", "peer"))


def test_a_codec_that_fails_is_one_line(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(case: object) -> Any:
        raise UsageError("expected another grid. Leave it out.")

    broken = Recipe("peer", "classical", "a peer", build)
    monkeypatch.setattr(command, "recipes", lambda device, cnn: (*recipes(device, cnn), broken))
    out, error = run(source, "--ratio", "8", "--codec", "peer", *QUICK)
    assert error == "hpcodec: peer is left out of t2m, a.nc: expected another grid. Leave it out.\n"
    assert "peer" not in out


def test_refusals(source: str, tmp_path: Path) -> None:
    assert "Did you mean 'block-means'" in str(refused(source, "--codec", "block-mean"))
    assert "Add --cnn WEIGHTS" in str(refused(source, "--codec", "cnn-float32"))
    assert "Add --codec hpcodec" in str(refused(source, "--targets", *QUICK))
    assert "above 0" in str(refused(source, "--ratio", "-1"))
    assert "does not exist" in str(refused("no.nc"))
    missing = str(tmp_path / "no" / "a.json")
    assert isinstance(refused(source, "--json", missing, "--ratio", "8", *QUICK), OutputError)
    assert CliRunner().invoke(cli.app, ["bench"]).exit_code == 2
    assert CliRunner().invoke(cli.app, ["bench", source, "--ratio", "x"]).exit_code == 2
