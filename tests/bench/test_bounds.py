"""Codecs at a bound: what they print, what is counted as a violation, what is left out."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.bench import bounds
from hpcodec.bench.case import Case, Floats
from hpcodec.errors import UsageError
from tests.bench.fields import case, holed, write


def test_limits() -> None:
    absolute, relative = bounds.read_limits("0.5,1%")
    truth = case().truth
    assert absolute.of(case()) == 0.5
    assert relative.of(case()) == pytest.approx(0.01 * float(np.ptp(truth)))
    assert np.isfinite(relative.of(case(truth=holed())))
    for text in ("", "x", "0", "-1%"):
        with pytest.raises(UsageError, match="expected"):
            bounds.read_limits(text)


def test_tables_and_violations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(case: Case, bound: float) -> tuple[bytes, Floats]:
        found = case.filled.copy()
        found[2, :5] += 3 * bound
        return bytes(100), found

    def fails(case: Case, bound: float) -> tuple[bytes, Floats]:
        raise ValueError("no")

    real = bounds._kinds
    monkeypatch.setattr(
        bounds, "_kinds", lambda d: {**real(d), "sz3": lambda: off, "sperr": lambda: fails}
    )
    path, report = write(tmp_path), tmp_path / "a.json"
    names = ["--codec", "hpcodec", "--codec", "sz3", "--codec", "sperr", "--device", "cpu"]
    run = ["bench", path, "--bounds", "0.8,2%", *names, "--json", str(report)]
    result = CliRunner().invoke(cli.app, run)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "t2m, a.nc, every point within 0.8 (0.8 K)"
    assert "within 2% of the range" in result.stdout
    about: list[dict[str, Any]] = json.loads(report.read_text())
    assert [field["limit"] for field in about] == ["0.8", "2% of the range"]
    for field in about:
        codecs = {codec["codec"]: codec for codec in field["codecs"]}
        assert codecs["hpcodec"]["violations"] == 0
        assert 0 < codecs["hpcodec"]["max_error"] <= field["bound"]
        if "sz3" in codecs:  # installed
            assert codecs["sz3"]["violations"] == 5
    assert "sperr" not in {codec["codec"] for field in about for codec in field["codecs"]}
    result = CliRunner().invoke(cli.app, [*run, "--ratio", "8"])
    assert result.exit_code == 2


@pytest.mark.skipif(find_spec("imagecodecs") is None, reason="needs imagecodecs")
def test_jpeg2000_with_corrections_keeps_the_bound() -> None:
    one = case()
    code, decoded = bounds._jpeg2000(one, 0.3)
    assert float(np.abs(decoded.astype(np.float64) - one.truth).max()) <= 0.3
    assert len(code) < one.raw_bytes / 3
