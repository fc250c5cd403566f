"""Training of a restorer, to the card, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hpcodec.cli import app
from hpcodec.errors import UsageError
from hpcodec.restorers import RESTORER_CARD, WEIGHTS, read_restorer_card
from hpcodec.train.config import read_toml
from hpcodec.train.examples import read_examples
from hpcodec.train.restorer import RestorerRun, restorer_config
from tests.golden.make import fronts
from tests.tiny import write_data

CONFIG = """
kind = "restorer"
description = "For tests."
train = ["train/*.nc"]
validation = ["val/*.nc"]
validation_shares = [0.1, 0.02]
steps = {steps}
batch = 2
side = 14
validate_every = 2
average = 0.5

[shape]
width = 4
blocks = 1
embedding = 2
variables = ["air_temperature"]
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "train.toml").write_text(CONFIG.format(steps=4), "utf-8")
    data = write_data(tmp_path / "data")
    run = tmp_path / "run"
    return ["train", str(tmp_path / "train.toml"), "--data", str(data), "--run", str(run)]


def test_a_run_that_goes_on_is_the_run_that_was_not_stopped(
    command: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "restorer"
    done = CliRunner().invoke(app, [*command, "--publish", str(target)])
    assert done.exit_code == 0, done.output
    card = read_restorer_card(target)
    assert card.training["steps"] == 4
    assert len(card.training["data"]) == 2
    assert [one["share"] for one in card.validation] == [0.1, 0.02]
    examples = tmp_path / "run" / "fields"
    config = restorer_config(read_toml(tmp_path / "train.toml"), tmp_path / "train.toml")
    half = RestorerRun(config, examples, tmp_path / "half", "cpu")
    for step, _, _ in half:
        if step == 2:
            break
    rest = RestorerRun(config, examples, tmp_path / "half", "cpu")
    rest.resume()
    assert rest.step == 2
    *_, (last, _, scores) = rest
    assert last == 4
    assert scores == list(card.validation)
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, UsageError)
    assert "Give --resume" in str(again.exception)


def test_examples_are_of_the_whole_grid(command: list[str], tmp_path: Path) -> None:
    assert CliRunner().invoke(app, command).exit_code == 0
    examples = read_examples(tmp_path / "run" / "fields")
    for one in examples:
        coded, lost, statics = one.load(tmp_path / "run" / "fields")
        assert len({part.shape[1:] for part in (coded, lost, statics)}) == 1
        assert abs(lost[1:]).max() < 1.5  # steps
    with pytest.raises(UsageError, match="expected examples of files"):
        read_examples(tmp_path / "run" / "fields", ["nothing*"])
    with pytest.raises(UsageError, match="expected examples in"):
        read_examples(tmp_path)


def test_what_it_learns_is_what_was_lost(tmp_path: Path, command: list[str]) -> None:
    """A loss that falls on what it is trained on: a part of what is lost can be known."""
    path = Path(command[1])
    path.write_text(CONFIG.format(steps=80).replace("every = 2", "every = 80"), "utf-8")
    run, data = tmp_path / "run", tmp_path / "data"
    for one in data.rglob("*.nc"):
        one.unlink()
        fronts().to_netcdf(one)
    assert CliRunner().invoke(app, [*command, "--publish", str(tmp_path / "r")]).exit_code == 0
    line = json.loads((run / "metrics.jsonl").read_text("utf-8").splitlines()[-1])
    assert line["figure"] < 1
    assert {path.name for path in (tmp_path / "r").iterdir()} == {WEIGHTS, RESTORER_CARD}
    assert torch.isfinite(torch.tensor(line["figure"]))


def test_an_unknown_key_names_the_nearest(command: list[str]) -> None:
    path = Path(command[1])
    path.write_text(path.read_text("utf-8").replace("side =", "sides ="), "utf-8")
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, UsageError)
    assert "unknown key 'sides'" in str(done.exception)
    assert "'side'" in str(done.exception)
