"""Small maps in a terminal."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import healpy
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.terminal_map import COLUMNS, ROWS, draw

CELLS = np.asarray(healpy.pix2ang(8, np.arange(768), nest=True, lonlat=True)[1], np.float32)
"""Latitude of each cell of level 3."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """One of 24-bit colours as stdout."""
    there = Terminal()
    monkeypatch.setattr(sys, "stdout", there)
    for name, value in {"TERM": "xterm-256color", "COLORTERM": "truecolor"}.items():
        monkeypatch.setenv(name, value)
    for name, value in {"COLUMNS": "200", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return there


def colour(text: str, row: int) -> list[int]:
    """Red, green and blue of the first character of a line."""
    return [
        int(part) for part in text.splitlines()[row].split("38;2;")[1].split("m")[0].split(";")[:3]
    ]


def test_a_map_is_small_and_north_is_up() -> None:
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="truecolor", width=COLUMNS
    )
    console.print(draw(CELLS))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert len(text.splitlines()) == ROWS
    plain = draw(CELLS).plain.splitlines()
    assert {len(line) for line in plain} <= set(range(COLUMNS - 20, COLUMNS + 1))
    assert max(len(line.strip()) for line in plain) == COLUMNS
    red, green, blue = colour(text, 0)
    assert min(red, green) > 200 > 80 > blue  # the yellow end of viridis
    red, green, blue = colour(text, ROWS - 1)
    assert max(red, green) < 80 < blue  # the dark one


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_nothing_and_a_constant_are_drawn(value: float) -> None:
    text = draw(np.full(768, value, np.float32))
    triplets = {
        style.color.triplet
        for span in text.spans
        if not isinstance(style := span.style, str) and style.color is not None
    }
    assert len(triplets) == 1


def test_info_shows_a_map_where_it_fits(
    monkeypatch: pytest.MonkeyPatch, single_store: str, rich_store: str
) -> None:
    terminal = on_terminal(monkeypatch)
    cli.info(single_store)
    assert "t2m, level 3: 2" in terminal.getvalue()
    assert terminal.getvalue().count("\N{UPPER HALF BLOCK}") > 400
    terminal.truncate(0)
    monkeypatch.setenv("LINES", "30")
    cli.info(rich_store)
    assert "38;2;" not in terminal.getvalue()
    cli.info(rich_store, maps=True)
    assert "msl, first field, level 3:" in terminal.getvalue()
    assert "ta, first field, level 3:" in terminal.getvalue()


def test_info_shows_none_where_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], single_store: str
) -> None:
    terminal = on_terminal(monkeypatch)
    cli.info(single_store, maps=False)
    cli.info(single_store, as_json=True)
    monkeypatch.setenv("NO_COLOR", "1")
    cli.info(single_store)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("COLORTERM", "")
    cli.info(single_store)
    assert "38;2;" not in terminal.getvalue()
    assert capsys.readouterr().err == ""


def test_a_pipe_gets_no_map(monkeypatch: pytest.MonkeyPatch, single_store: str) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    result = CliRunner().invoke(cli.app, ["info", single_store, "--map"])
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "expected a wide terminal" in result.stderr
    quiet = CliRunner().invoke(cli.app, ["info", single_store])
    assert (quiet.stdout, quiet.stderr) == (result.stdout, "")
    plain = CliRunner().invoke(cli.app, ["info", single_store, "--map", "--json"])
    assert json.loads(plain.stdout)["variables"]
    assert plain.stderr == ""


def test_it_needs_no_torch() -> None:
    code = "import sys, hpcodec.terminal_map; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
