"""Fine-tuning on a user's own files: which times, what is written, what is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.cards import CARD, read_card
from hpcodec.compression import Options, compress
from hpcodec.errors import GridError, OutputError, UsageError
from hpcodec.info import describe
from hpcodec.model_folders import STATICS
from hpcodec.models import file_digest, load_model
from hpcodec.restorers import RESTORER, WEIGHTS
from hpcodec.train import finetune as tuning
from hpcodec.train.finetune import Gain, finetune, tuning_config
from hpcodec.train.parts import PARTS, parts_of
from tests.golden.make import MODELS, RESTORING
from tests.synthetic import HOURS, axes, waves
from tests.tiny import shorten_fit


def write(path: Path, times: int, members: int = 0, *, seed: int = 0, name: str = "t2m") -> Path:
    """Fields of a 5-degree grid, members before times where there are any."""
    about = {"standard_name": "air_temperature", "units": "K", "long_name": "Made Up"}
    values = waves(times * max(1, members), seed=seed)
    dims: tuple[str, ...] = ("time", "lat", "lon")
    if members:
        values, dims = values.reshape(members, times, 37, 72), ("member", *dims)
    coords = {**axes(), "time": ("time", 6 * np.arange(times), HOURS)}
    xr.Dataset({name: (dims, values, about)}, coords=coords).to_netcdf(path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that has a restorer."""
    folder = tmp_path_factory.mktemp("base") / "tiny"
    shutil.copytree(MODELS / RESTORING, folder)
    card = json.loads((folder / CARD).read_text("utf-8"))
    (folder / CARD).write_text(json.dumps(card | {"name": "tiny"}), "utf-8")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "own.nc", 8)


@pytest.fixture(scope="module")
def tuned(
    base: Path, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Gain]]:
    target = tmp_path_factory.mktemp("tuned") / "own"
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        shorten_fit(patch)
        gain = finetune([source], str(base), target, steps=6, tell=told.append)
    assert told[0] == "preparing fields of t2m"
    assert "measuring on times that nothing was learned from" in told
    assert [path.name for path in target.parent.iterdir()] == ["own"]
    yield target, gain
    load_model.cache_clear()


def test_later_times_are_held_back(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number}.nc", 10) for number in range(2)]
    parts = parts_of(paths)
    assert [spec.name for spec in parts.specs] == ["t2m"]
    assert parts.train == {(paths[0], "t2m"): [*range(10)], (paths[1], "t2m"): [0, 1, 2, 3]}
    assert parts.val == {(paths[1], "t2m"): [4, 5, 6]}
    assert parts.test == {(paths[1], "t2m"): [7, 8, 9]}


def test_members_of_one_time_stay_together(tmp_path: Path) -> None:
    path = write(tmp_path / "m.nc", 5, members=2)
    parts = parts_of([path])
    times = [{step % 5 for step in parts.steps(part)[path, "t2m"]} for part in PARTS]
    assert times == [{0, 1, 2}, {3}, {4}]
    assert sorted(parts.train[path, "t2m"]) == [0, 1, 2, 5, 6, 7]


def test_many_times_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcodec.train.parts._MOST", (4, 2, 1))
    path = write(tmp_path / "a.nc", 20)
    parts = parts_of([path])
    assert parts.train[path, "t2m"] == [0, 4, 9, 13]
    assert (parts.val[path, "t2m"], parts.test[path, "t2m"]) == ([14, 16], [17])


def test_too_few_times(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", 2)
    with pytest.raises(UsageError, match="one to stop by; got 2"):
        parts_of([path])
    with pytest.raises(UsageError, match="got 'ts'"):
        parts_of([path], ["ts"])


def test_the_card(base: Path, source: Path, tuned: tuple[Path, Gain]) -> None:
    folder, gain = tuned
    card, earlier = read_card(folder), read_card(base)
    assert (card.name, card.weights) == ("own", file_digest(folder / WEIGHTS))
    assert card.weights != earlier.weights
    assert card.training["start"] == "tiny"
    assert card.training["start_weights"] == earlier.weights
    assert card.training["steps"] == 1 + gain.steps
    assert card.training["of"] == 7
    assert card.training["commit"] == ""
    assert card.training["gain"]["after"] == gain.after
    assert card.training["gain"]["fields"] == gain.fields == 1
    assert {item["sha256"] for item in card.training["data"]} == {file_digest(source)}
    assert [item["step"] for item in card.training["data"]] == [*range(6)]
    assert [(i["file"], i["step"]) for i in card.training["held"]] == [
        ("val/own.nc", 6),
        ("test/own.nc", 7),
    ]
    assert [line["step"] for line in card.training["figures"]] == [
        *range(len(card.training["figures"]))
    ]
    assert card.serves[0]["names"] == ["t2m"]
    assert card.serves[0]["long_names"] == ["made up"]
    # Its statics are not those that came with hpcodec, so that it has them with it.
    assert file_digest(folder / STATICS) == card.statics == earlier.statics
    assert card.restorer == earlier.restorer == file_digest(folder / RESTORER / WEIGHTS)
    assert str(source.parent) not in (folder / CARD).read_text("utf-8")


def test_it_is_used_by_its_path(source: Path, tuned: tuple[Path, Gain], tmp_path: Path) -> None:
    store = str(tmp_path / "a.zarr")
    compress(str(source), store, Options(ratio=4, model=str(tuned[0]), device="cpu", bottleneck=4))
    about = describe(store)["variables"]["t2m"]
    assert (about["model"], about["installed"]) == ("own", True)


def test_from_the_command(
    base: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_fit(monkeypatch)
    target = tmp_path / "mine"
    monkeypatch.setattr(tuning, "_VALIDATIONS", 2)
    options = ["--publish", str(target), "--steps", "2", "-v", "t2m", "--device", "cpu"]
    run = CliRunner().invoke(cli.app, ["train", str(source), "--from", str(base), *options])
    assert run.exit_code == 0, (run.output, run.exception)
    assert run.stdout.startswith(f"{target}: ")
    assert "bytes at equal error on 1 fields of later times" in run.stdout
    assert "step 1: validation RMSE in bytes: t2m" in " ".join(run.stderr.split())
    assert read_card(target).training["of"] == 3


@pytest.mark.parametrize("what", ["exists", "name", "field", "times"])
def test_a_refusal_leaves_nothing(base: Path, source: Path, tmp_path: Path, what: str) -> None:
    target, path = tmp_path / "new", source
    error: type[Exception] = UsageError
    if what == "exists":
        target.mkdir()
        error = OutputError
    elif what == "name":
        target = tmp_path / "a model"
    elif what == "times":
        path = write(tmp_path / "few.nc", 1)
    else:
        path = tmp_path / "none.nc"
        xr.Dataset({"x": ("i", [1.0, 2.0])}).to_netcdf(path)
        error = GridError
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error):
        finetune([path], str(base), target)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interruption_leaves_nothing(base: Path, source: Path, tmp_path: Path) -> None:
    def interrupted(run: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune([source], str(base), tmp_path / "new", train=interrupted)
    assert list(tmp_path.iterdir()) == []


def test_what_is_told_of_a_gain() -> None:
    gain = Gain(8.0, 7.9, 50, 4)
    assert gain.bytes == pytest.approx(1 - 2**-0.1)
    assert str(gain).startswith("6.7% fewer bytes at equal error on 4 fields")
    for after, words in ((8.1, "7.2% MORE"), (8.0, "0.0% fewer")):
        told = str(Gain(8.0, after, 0, 4))
        assert told.startswith(f"no gain: {words}")
        assert told.endswith("Keep the model it started from.")


@pytest.mark.parametrize("level", [4, 6, 9])
def test_configurations_suit_the_fields(base: Path, source: Path, level: int) -> None:
    specs = parts_of([source]).specs
    config = tuning_config(load_model(str(base)), "own", specs, level, 60)
    assert max(config.levels) == max(config.bottlenecks) == level
    assert min(config.levels) >= 4
    # Steps are told as those of level 9: what they are at the finest level does not depend on it.
    assert [bound + level - 9 for bound in config.log2_step] == [-4, 3.5]
    assert config.validate_every == 10
    for points in (tuning._watched(level), tuning._card_points(level)):
        assert {bottleneck for bottleneck, _ in points} <= {*range(3, level + 1)}
        assert len(set(points)) == len(points)
