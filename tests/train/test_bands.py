"""Training of a network of bands, to the card, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from hpcodec.band_networks import BANDS_CARD
from hpcodec.cli import app
from hpcodec.entropy.band_network import BandNetwork
from hpcodec.entropy.tables import TOTAL
from hpcodec.errors import UsageError
from hpcodec.restorers import WEIGHTS
from tests.tiny import write_data

CONFIG = """
kind = "bands"
description = "For tests."
train = ["train/*.nc"]
validation = ["val/*.nc"]
validation_shares = [0.2, 0.02]
places = 2000
steps = 60
batch = 64
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "train.toml").write_text(CONFIG, "utf-8")
    data = write_data(tmp_path / "data")
    return [
        "train",
        str(tmp_path / "train.toml"),
        "--data",
        str(data),
        "--run",
        str(tmp_path / "r"),
    ]


def test_what_is_learned_is_in_whole_numbers_and_the_same_again(
    command: list[str], tmp_path: Path
) -> None:
    made = []
    for name in ("one", "two"):
        done = CliRunner().invoke(app, [*command, "--publish", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        made.append(load_file(tmp_path / name / WEIGHTS))
    network = BandNetwork.of(made[0])
    for name, one in made[0].items():
        np.testing.assert_array_equal(one, made[1][name])
    sums = network.tables.sum(1)
    assert (sums <= TOTAL).all()
    assert (sums > TOTAL - network.tables.shape[1]).all()
    card = json.loads((tmp_path / "one" / BANDS_CARD).read_text("utf-8"))
    assert [one["share"] for one in card["validation"]] == [0.2, 0.02]
    assert card["training"]["steps"] == 60
    assert len(card["training"]["files"]) == 2


def test_a_folder_to_write_to_is_asked_for(command: list[str]) -> None:
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, UsageError)
    assert "Add --publish" in str(done.exception)
