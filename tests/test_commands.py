"""The page of commands, the man page, and what a shell completes."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def make() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "man" / "make.py"))


def test_both_pages_are_those_of_the_command(make: dict[str, Any]) -> None:
    """If not: python docs/man/make.py."""
    assert (DOCS / "commands.md").read_text("utf-8") == make["markdown"]()
    assert (DOCS / "man" / "hpcodec.1").read_text("utf-8") == make["man"]()


def test_what_they_say(make: dict[str, Any]) -> None:
    page, man = make["markdown"](), make["man"]()
    for words in ("compress SOURCE [STORE] [OPTIONS]", "models add SOURCE [OPTIONS]"):
        assert f"    hpcodec {words}\n" in page
        assert f".SS hpcodec {words}\n" in man
    assert "`--variable, -v TEXT`\n:   Only this variable; repeatable.\n" in page
    assert "`--base/--no-base`" in page
    assert "`--batch NUMBER`\n:   Fields at a time. Default: 4.\n" in page
    assert "`FILES...`" in page
    assert ".B \\-\\-max\\-rel\\-error TEXT\n" in man
    for line in man.splitlines():
        assert not line.startswith(("'", " ")), line


def test_troff_takes_it(make: dict[str, Any]) -> None:
    if not (groff := shutil.which("groff")):
        pytest.skip("groff is not installed")
    command = [groff, "-man", "-Tutf8", "-ww", str(DOCS / "man" / "hpcodec.1")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert "compress SOURCE" in re.sub("\\x1b\\[[0-9;]*m|.\\x08", "", done.stdout)  # bold


def test_the_wheel_has_it() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    ((source, target),) = built["targets"]["wheel"]["shared-data"].items()
    assert (ROOT / source).is_file()
    assert target == "share/man/man1/hpcodec.1"


def completed(shell: str, **variables: str) -> str:
    code = "import sys; sys.argv = ['hpcodec']; from hpcodec.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "_HPCODEC_COMPLETE": f"complete_{shell}", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_shell_completes_verbs_and_options() -> None:
    verbs = completed("bash", COMP_WORDS="hpcodec comp", COMP_CWORD="1").split()
    assert verbs == ["compress", "compare"]
    options = completed("bash", COMP_WORDS="hpcodec compress --max", COMP_CWORD="2").split()
    assert options == ["--max-error", "--max-rel-error"]
    assert "list" in completed("zsh", _TYPER_COMPLETE_ARGS="hpcodec models li")
    assert "remove" in completed(
        "fish", _TYPER_COMPLETE_ARGS="hpcodec models r", _TYPER_COMPLETE_FISH_ACTION="get-args"
    )
