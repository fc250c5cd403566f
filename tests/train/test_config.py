from __future__ import annotations

from pathlib import Path

import pytest

from hpcodec.band_networks import BANDS
from hpcodec.errors import UsageError
from hpcodec.networks.architecture import Architecture
from hpcodec.restorers import RESTORER
from hpcodec.train.bands import bands_config
from hpcodec.train.config import TrainConfig, read_config, read_toml
from hpcodec.train.restorer import restorer_config

LEAST = """
name = "tiny"
description = "A model for tests."
train = ["train/*.nc"]
validation = ["val/*.nc"]
"""

SHIPPED = sorted((Path(__file__).parents[2] / "weights").glob("*/train.toml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "train.toml"
    path.write_text(text, "utf-8")
    return path


def test_defaults(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, LEAST))
    assert config == TrainConfig("tiny", "A model for tests.", ("train/*.nc",), ("val/*.nc",))
    assert config.architecture == Architecture()


def test_every_key(tmp_path: Path) -> None:
    rest = """
credits = ["ERA5"]
augment = false
start = "any-l9"
steps = 5
batch = 2
rate = 1
seed = 3
log2_step = [-1.0, 1.0]
bottlenecks = [3, 4]
validate_every = 2
serves = [{ standard_name = "air_temperature", units = ["K"] }]

[architecture]
level = 6
variables = ["air_temperature"]
"""
    config = read_config(written(tmp_path, LEAST + rest))
    assert config.bottlenecks == (3, 4)
    assert config.serves[0]["units"] == ["K"]
    assert config.architecture == Architecture(level=6, variables=("air_temperature",))
    assert hash(config.architecture)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_configurations(path: Path) -> None:
    if path.parent.name == RESTORER:
        assert restorer_config(read_toml(path), path).shape.blocks > 0
    elif path.parent.name == BANDS:
        assert bands_config(read_toml(path), path).steps > 0
    else:
        assert read_config(path).name == path.parent.name


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("stepz = 3", "unknown key 'stepz'. Did you mean 'steps'"),
        ("[architecture]\nwitdh = 3", "unknown key 'witdh'. Did you mean 'width'"),
        ("architecture = 3", "expected a table as 'architecture'; got 3"),
        ('steps = "many"', "expected int as 'steps'; got 'many'"),
        ("steps = 1.5", "expected int as 'steps'; got 1.5"),
        ("seed = true", "expected int as 'seed'; got True"),
        ("augment = 1", "expected bool as 'augment'; got 1"),
        ('bottlenecks = "345"', "as 'bottlenecks'; got '345'"),
        ('[architecture]\nlevel = "8"', "expected int as 'level'; got '8'"),
    ],
)
def test_refused_keys_and_values(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(written(tmp_path, LEAST + extra))
    assert message in str(caught.value)
    assert "train.toml" in str(caught.value)


def test_missing_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing .* 'validation'"):
        read_config(written(tmp_path, LEAST.replace('validation = ["val/*.nc"]', "")))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"{}", b"name = ", b"\x89HDF\r\n"])
def test_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="expected a training configuration in"):
        read_config(path)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(UsageError, match="expected a training configuration in"):
            read_config(path)
