"""The convolutional autoencoder as a codec of the bench."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.bench.case import read_cases
from hpcodec.bench.cnn import Autoencoder, cnn_float32
from hpcodec.errors import FormatError
from hpcodec.grid import cell_count
from tests.bench.fields import write


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a network that adds nothing to the means of 4 x 4 cells."""
    network = Autoencoder()
    for last in (network.down[-1], network.up[-1]):
        for parameter in last.parameters():
            torch.nn.init.zeros_(parameter)
    path = tmp_path_factory.mktemp("cnn") / "cnn.safetensors"
    save_file(network.state_dict(), path)
    return str(path)


def test_it_stores_a_sixteenth_of_the_numbers(weights: str, tmp_path: Path) -> None:
    (case,) = read_cases([write(tmp_path)])
    codec = cnn_float32(case, weights)
    assert codec.sweep == (2,)  # level 4 is what suits five degrees
    code = codec.encode(case.filled, 2)
    assert len(code) == 4 * cell_count(2) + 8
    decoded = codec.decode(code)
    assert decoded.shape == case.truth.shape
    # Means over level 2, smoothed: planetary waves are left.
    assert 0.02 < np.std(decoded - case.truth) / np.std(case.truth) < 0.2
    assert decoded.mean() == pytest.approx(case.truth.mean(), abs=1)


def test_the_numbers_are_what_is_decoded(weights: str, tmp_path: Path) -> None:
    (case,) = read_cases([write(tmp_path)])
    codec = cnn_float32(case, weights)
    code = codec.encode(case.filled, 2)
    other = bytearray(code)
    other[8:12] = np.array([40], "<f4").tobytes()
    assert np.abs(codec.decode(bytes(other)) - codec.decode(code)).max() > 10


def test_it_is_in_the_tables(weights: str, tmp_path: Path) -> None:
    source, report = write(tmp_path), str(tmp_path / "a.json")
    ratio = 4 * 37 * 72 / (4 * cell_count(2) + 8)
    options = ["--codec", "cnn-float32", "--cnn", weights, "--json", report]
    result = CliRunner().invoke(cli.app, ["bench", source, "--ratio", f"{ratio:.4f}", *options])
    assert result.exit_code == 0, (result.output, result.exception)
    row = next(line for line in result.stdout.splitlines() if line.startswith("cnn-float32"))
    assert row.split("\t")[1] == f"{4 * cell_count(2) + 8}"
    (field,) = json.loads(Path(report).read_text())["fields"]
    assert field["codecs"]["cnn-float32"]["kind"] == "paper"


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (case,) = read_cases([write(tmp_path)])
    other, text = tmp_path / "other.safetensors", tmp_path / "text"
    save_file({"a": torch.zeros(2)}, other)
    text.write_text("no weights")
    for path in (other, text, tmp_path / "none"):
        with pytest.raises(FormatError, match="expected weights of the convolutional autoencoder"):
            cnn_float32(case, str(path))
