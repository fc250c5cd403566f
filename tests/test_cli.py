"""The command: exit codes, results on stdout, all else on stderr."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.model_folders import find_models
from hpcodec.terminal import progress
from tests.nasty import coast
from tests.synthetic import MODEL, raw, series
from tests.tiny import write_model

VERBS = ("compress", "decompress", "info", "validate", "models", "compare", "bench", "train")


def run(*arguments: str) -> tuple[str, str]:
    """Output of a command that does what it is asked to."""
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    assert "\x1b" not in result.output
    return result.stdout, result.stderr


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    """Exit code and stderr of a command that is refused, through the entry point."""
    monkeypatch.setattr(sys, "argv", ["hpcodec", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, error = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in error
    return int(caught.value.code or 0), error


def test_compress(single_source: str, tmp_path: Path) -> None:
    store = str(tmp_path / "a.zarr")
    plain, error = run("compress", single_source, store, "--ratio", "4", "--model", MODEL)
    assert plain.startswith(f"{store}: ")
    assert "t2m" in plain
    assert error == ""
    out, error = run(
        "compress", single_source, store, "--ratio", "4", "-v", "t2m", "--overwrite", "--json"
    )
    about: dict[str, Any] = json.loads(out)
    assert about["store"] == store
    assert about["ratio"] >= 4
    assert [item["name"] for item in about["variables"]] == ["t2m"]
    assert error == ""


def test_ratio_with_and_without_masks(tmp_path: Path) -> None:
    source = series(3)
    source["t2m"].values[:, coast()] = np.nan
    source["none"] = source["t2m"].where(False).assign_attrs(units="K")
    source.to_netcdf(tmp_path / "a.nc")
    made, store = str(tmp_path / "a.nc"), str(tmp_path / "a.zarr")
    plain, _ = run("compress", made, store, "--ratio", "4", "--model", MODEL)
    (told,) = re.findall(r"t2m\t.*?(\S+) \((\S+) without masks\)", plain)
    assert 4 <= float(told[0]) <= float(told[1])
    about = json.loads(run("info", store, "--json")[0])["variables"]
    assert about["t2m"]["mask_bytes"] > 50
    assert f"{about['t2m']['mask_bytes']} bytes" in run("info", store)[0]
    again, _ = run("compress", made, store, "--ratio", "4", "--overwrite", "--json")
    rows = {row["name"]: row for row in json.loads(again)["variables"]}
    assert rows["t2m"]["mask_bytes"] == about["t2m"]["mask_bytes"]
    assert rows["none"]["rmse"] is None


def test_compress_by_error(rich_source: str, tmp_path: Path) -> None:
    store = str(tmp_path / "a.zarr")
    out, _ = run("compress", rich_source, store, "--rmse", "0.3,msl=30", "--json")
    errors = {item["name"]: item["rmse"] for item in json.loads(out)["variables"]}
    assert 0.9 * 0.3 <= errors["ta"] <= 0.3
    assert 0.9 * 30 <= errors["msl"] <= 30
    about = json.loads(run("info", store, "--json")[0])["variables"]
    assert {name: item["field_rmse"] for name, item in about.items()} == {"ta": 0.3, "msl": 30}
    assert run("validate", store)[0].endswith("whole\n")


@pytest.mark.parametrize(
    ("rmse", "words"),
    [
        ("0.001", "': expected an RMSE above "),
        ("ta=1.2", "got none for 'msl'. Add msl=NUMBER"),
        ("1,mls=90", "Did you mean 'msl'?"),
        ("little", "got 'little'"),
    ],
)
def test_errors_that_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rich_source: str,
    tmp_path: Path,
    rmse: str,
    words: str,
) -> None:
    target = str(tmp_path / "a.zarr")
    code, error = refused(monkeypatch, capsys, "compress", rich_source, target, "--rmse", rmse)
    assert code == 1
    assert words in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_resume(
    single_source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, partial = str(tmp_path / "a.zarr"), tmp_path / ".a.zarr.partial"
    (partial / "new").mkdir(parents=True)
    (partial / "journal.json").write_text('{"request": {}, "states": {}}')
    command = ("compress", single_source, store, "--ratio", "4")
    for more, words in (((), "--resume"), (("--resume",), "damaged")):
        code, error = refused(monkeypatch, capsys, *command, *more)
        assert code == 1
        assert words in error
        assert str(partial) in error
    _, error = run(*command, "--overwrite", "--quiet")
    assert str(partial) in error
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_names_that_are_left_out(single_source: str, tmp_path: Path) -> None:
    source = tmp_path / "a.nc"
    source.write_bytes(Path(single_source).read_bytes())
    run("compress", str(source), "--ratio", "4", "--device", "cpu")
    assert (tmp_path / "a.zarr").is_dir()
    source.unlink()
    out, _ = run("decompress", str(tmp_path / "a.zarr"), "--device", "cpu")
    assert out.startswith(str(source))
    assert raw(source).t2m.shape == (1, 73, 144)


def test_decompress(series_store: str, tmp_path: Path) -> None:
    target = str(tmp_path / "a.nc")
    out, error = run(
        "decompress", series_store, target, "--level", "3", "--time", "2020-01-01", "-v", "t2m"
    )
    assert out.startswith(f"{target}: ")
    assert error == ""
    assert raw(target).t2m.shape == (4, 768)


def test_for_other_readers(single_source: str, tmp_path: Path) -> None:
    store, target = str(tmp_path / "a.zarr"), str(tmp_path / "a.nc")
    run("compress", single_source, store, "--ratio", "4", "--model", MODEL, "--base", "-q")
    assert (tmp_path / "a.zarr" / "base" / "t2m").is_dir()
    run("decompress", store, target, "--level", "3", "--legacy-crs", "-q")
    assert raw(target).crs.attrs["healpix_nside"] == 8


def test_info(rich_store: str) -> None:
    about = json.loads(run("info", rich_store, "--json")[0])
    assert set(about["variables"]) == {"ta", "msl"}
    plain, error = run("info", rich_store)
    assert "6 x" not in plain
    assert "3 x 2 x 37 x 72" in plain
    assert error == ""


def test_validate(single_store: str, damaged: Path, chunk: Path) -> None:
    assert "whole" in run("validate", single_store)[0]
    assert json.loads(run("validate", single_store, "--json")[0])["findings"] == []
    chunk.write_bytes(chunk.read_bytes()[:-1])
    result = CliRunner().invoke(cli.app, ["validate", str(damaged)])
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 1
    result = CliRunner().invoke(cli.app, ["validate", str(damaged), "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)["findings"]
    assert [item["where"] for item in found] == ["t2m, step 0"]


@pytest.mark.parametrize("verbs", [("models",), ("models", "list")])
def test_models(verbs: tuple[str, ...]) -> None:
    assert MODEL in run(*verbs)[0]
    cards = json.loads(run(*verbs, "--json")[0])
    assert MODEL in [card["name"] for card in cards]


def test_a_model_is_shown() -> None:
    (card,) = (c for c in json.loads(run("models", "--json")[0]) if c["name"] == MODEL)
    assert json.loads(run("models", "show", MODEL, "--json")[0]) == card
    assert run("models", "show", card["weights"][:8])[0] == run("models", "show", MODEL)[0]
    told = run("models", "show", MODEL)[0]
    assert card["weights"] in told
    assert "credit       Contains NOAA GFS" in told
    assert "for          any variable" in told


def test_a_model_is_added_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCODEC_DATA_DIR", str(tmp_path / "data"))
    write_model(tmp_path / "tiny")
    added = run("models", "add", str(tmp_path / "tiny"))[0]
    assert added.startswith("tiny, weights ")
    assert ", was in " in run("models", "add", str(tmp_path / "tiny"))[0]
    digits = added.split()[2].rstrip(",")
    assert f"weights {digits}" in run("models", "list")[0]
    assert digits in run("models", "show", "tiny")[0]
    other = shutil.copytree(find_models()[MODEL], tmp_path / "lab" / "tiny")
    monkeypatch.setenv("HPCODEC_MODELS", str(other.parent))
    assert "used where its digest is named" in run("models")[0]
    assert run("models", "remove", digits)[0].startswith("removed ")
    assert digits not in run("models", "list")[0]


def test_compare(single_source: str, single_store: str) -> None:
    plain, error = run("compare", single_source, single_store)
    assert "t2m\tsource" in plain
    assert error == ""
    rows = json.loads(run("compare", single_source, single_store, "--level", "3", "--json")[0])
    assert [row["grid"] for row in rows] == ["source", "3"]
    assert rows[0]["figures"]["rmse"] > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("compress", "no.nc", "a.zarr"),
        ("compress", "no.nc", "a.zarr", "--ratio", "many"),
        ("compress", "no.nc", "a.zarr", "--ratio", "3.99"),
        ("compress", "no.nc", "a.zarr", "--ratio", "5000"),
        ("compress", "no.nc", "a.zarr", "--rmse", "0"),
        ("compress", "a.zarr", "a.zarr"),
        ("decompress", "no.zarr", "a.nc"),
        ("info", "no.zarr"),
        ("compare", "no.nc", "no.zarr"),
        ("models", "show", "no-model"),
        ("models", "add", "no-model"),
        ("models", "remove", MODEL),
        ("train", "no.toml", "--data", ".", "--run", "r"),
        ("train", "no.nc", "--from", MODEL, "--publish", "m", "-q"),
        ("train", "no.nc", "--from", "no-model", "--publish", "m"),
        ("train", "no.nc", "--from", MODEL, "--publish", "a model"),
    ],
)
def test_refusals_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = refused(monkeypatch, capsys, *arguments)
    assert code == 1
    assert error.startswith("hpcodec: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("squash", "a.nc"),
        ("models", "squash"),
        ("models", "add"),
        ("compress",),
        ("compress", "a.nc", "--quality", "9"),
        ("compress", "a.nc", "--batch", "0"),
        ("compress", "a.nc", "--ratio", "16", "--rmse", "0.3"),
        ("decompress", "a.zarr", "--level", "fine"),
        ("train", "a.toml"),
        ("train", "a.toml", "b.toml", "--data", ".", "--run", "r"),
        ("train", "a.toml", "--data", ".", "--run", "r", "--steps", "9"),
        ("train", "a.nc", "--from", MODEL),
        ("train", "a.nc", "--from", MODEL, "--publish", "m", "--resume"),
    ],
)
def test_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, error = refused(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "Usage" in error


def test_an_existing_output(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    single_source: str,
    single_store: str,
) -> None:
    code, error = refused(
        monkeypatch, capsys, "compress", single_source, single_store, "--ratio", "4"
    )
    assert code == 1
    assert "exists" in error


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(verb: str) -> None:
    out, error = run(*verb.split(), "--help")
    assert "Usage" in out
    assert error == ""
    assert run(*verb.split(), "-h")[0] == out


def test_help_is_quick_and_imports_no_torch() -> None:
    code = (
        "import sys, hpcodec; from hpcodec import cli; sys.argv = ['hpcodec', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'xarray', 'zarr', 'numcodecs', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    start = time.perf_counter()
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, check=True, capture_output=True, text=True, timeout=60)
    assert time.perf_counter() - start < 2
    assert "compress" in done.stdout


def test_a_pipe_gets_results_alone(single_store: str) -> None:
    command = [sys.executable, "-m", "hpcodec.cli", "info", single_store, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["path"] == single_store
    assert done.stderr == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_on_stderr_and_on_terminals_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("compress", quiet=False) as told:
        told("t2m", 1, 2)
    assert capsys.readouterr() == ("", "")
    for quiet in (True, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress("compress", quiet=quiet) as told:
            told("t2m", 1, 2)
            told("t2m", 2, 2)
        assert ("compress t2m" in terminal.getvalue()) is not quiet
    assert capsys.readouterr().out == ""


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, single_store: str) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    cli.info(single_store)
    assert "t2m" in terminal.getvalue()
    assert "\t" not in terminal.getvalue()
