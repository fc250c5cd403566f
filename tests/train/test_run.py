from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hpcodec.errors import UsageError
from hpcodec.train.fields import read_index
from hpcodec.train.run import matching
from tests.train.conftest import Lab


def test_matching(lab: Lab) -> None:
    index = read_index(lab.prepared)
    assert {field.variable for field in matching(index, ("train/ts*",))} == {"ts"}
    assert len(matching(index, ("train/*", "val/*"))) == len(index)
    with pytest.raises(UsageError, match="got none of them"):
        matching(index, ("test/*",))


def test_resume_and_checkpoint_go_together(
    lab: Lab, finished: tuple[Path, list[float]], tmp_path: Path
) -> None:
    folder, _ = finished
    with pytest.raises(UsageError, match=r"has a checkpoint\. Give --resume"):
        lab.open(folder)
    with pytest.raises(UsageError, match=r"has no checkpoint\. Drop --resume"):
        lab.open(tmp_path, resume=True)


def test_start_from_other_weights(
    lab: Lab, finished: tuple[Path, list[float]], tmp_path: Path
) -> None:
    weights = torch.load(finished[0] / "best.pt", weights_only=True)
    path = tmp_path / "model.safetensors"
    save_file(weights | {"tables": torch.zeros(3)}, path)
    run = lab.open(tmp_path / "run", start=path)
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert run.step == 0


def test_start_takes_what_agrees(
    lab: Lab, finished: tuple[Path, list[float]], tmp_path: Path
) -> None:
    """Weights of another architecture serve as far as names and shapes are the same."""
    weights = torch.load(finished[0] / "best.pt", weights_only=True)
    whole = [name for name in weights if name.startswith("decompress.")]
    lacking, changed, *_ = (name for name in weights if name.startswith("details."))
    other = {name: value for name, value in weights.items() if name != lacking}
    other[changed] = torch.full((3, 2), 7.0)
    path = tmp_path / "model.safetensors"
    save_file(other, path)
    state = lab.open(tmp_path / "run", start=path).network.state_dict()
    assert state.keys() == weights.keys()
    for name, value in state.items():
        assert value.shape == weights[name].shape
        assert torch.equal(value, weights[name]) or name in (lacking, changed)
    assert whole
    assert not torch.equal(state[lacking], weights[lacking])
