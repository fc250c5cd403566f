"""Journals: read as they were told, whole or old when a run is killed, of one request only."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hpcodec.errors import OutputError
from hpcodec.journal import open_journal

REQUEST = {"command": "hpcodec compress a", "ratio": 64, "rmse": {"t2m": 0.3}, "shape": (3, 4)}


def test_states_come_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    journal = open_journal(path, REQUEST)
    assert journal.state("t2m") == {}
    assert not path.exists()
    journal.tell("t2m", {"done": 2, "sums": [0.1 + 0.2, math.inf, -0.0]})
    journal.tell("msl", {"done": 1})
    journal.tell("msl", {"done": 2})
    again = open_journal(path, REQUEST)
    assert again.state("t2m") == {"done": 2, "sums": [0.1 + 0.2, math.inf, -0.0]}
    assert again.state("msl") == {"done": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["journal.json"]


def test_another_request_is_refused_but_for_what_is_free(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    open_journal(path, REQUEST).tell("t2m", {"done": 2})
    other = {**REQUEST, "command": "hpcodec compress a --resume"}
    assert open_journal(path, other, ("command",)).request["command"] == "hpcodec compress a"
    with pytest.raises(OutputError, match="expected command"):
        open_journal(path, other)
    with pytest.raises(OutputError, match=r"expected rmse \{\"t2m\": 0.3\}, .* got \{\}"):
        open_journal(path, {**REQUEST, "rmse": {}})
    with pytest.raises(OutputError, match="got true"):
        open_journal(path, {**REQUEST, "new_option": True})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"request": 1, "states": {}}'])
def test_a_damaged_journal_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.json"
    path.write_text(text)
    with pytest.raises(OutputError, match="damaged"):
        open_journal(path, REQUEST)


def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "gone" / "journal.json", REQUEST)
    with pytest.raises(OutputError, match="expected to write"):
        journal.tell("t2m", {"done": 1})
