from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hpcodec.networks.field_space import Setting
from hpcodec.train.config import TrainConfig
from hpcodec.train.evaluate import Score
from hpcodec.train.fields import Batch, TrainingFields
from hpcodec.train.loop import Run, measure_spread
from hpcodec.train.losses import Losses
from hpcodec.train.run import open_run
from hpcodec.train.step import Backward
from tests.tiny import network
from tests.train.conftest import Lab


def stopped(run: Run, step: int) -> list[float]:
    """Losses of a run that is stopped after ``step``, as by an interrupt."""
    losses = []
    for report in run:
        losses.append(float(report.loss))
        if report.step == step:
            break
    return losses


@pytest.mark.parametrize("stop", [3, 5])
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(
    lab: Lab, finished: tuple[Path, list[float]], tmp_path: Path, stop: int
) -> None:
    folder, whole = finished
    before = stopped(lab.open(tmp_path), stop)
    assert before == whole[:stop]
    torch.manual_seed(12345)  # whatever another process would have there
    run = lab.open(tmp_path, resume=True)
    assert run.step == 3
    after = [float(report.loss) for report in run]
    assert after == whole[3:]
    mine, theirs = (torch.load(f / "checkpoint.pt", weights_only=True) for f in (tmp_path, folder))
    assert mine["step"] == theirs["step"] == 6
    assert mine["best"] == theirs["best"]
    for name, weights in theirs["network"].items():
        assert torch.equal(mine["network"][name], weights), name
    assert [*lab.open(tmp_path, resume=True)] == []


def test_metrics(lab: Lab, finished: tuple[Path, list[float]]) -> None:
    folder, losses = finished
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert [line["loss"] for line in lines] == [losses[2], losses[5]]
    for line in lines:
        assert all(math.isfinite(line[key]) for key in ("loss", "rate", "error", "figure"))
        assert {score["name"] for score in line["scores"]} == {"tas tas, step 0"}
        assert all(score["size"] > 0 and score["rmse"] > 0 for score in line["scores"])
    assert not list(folder.glob("*.partial"))


def test_best_weights_are_kept(finished: tuple[Path, list[float]]) -> None:
    folder, _ = finished
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert checkpoint["best"] == min(line["figure"] for line in lines)
    best = torch.load(folder / "best.pt", weights_only=True)
    assert best.keys() == checkpoint["network"].keys()


def test_training_lowers_the_loss(lab: Lab, tmp_path: Path) -> None:
    config = replace(
        lab.config, steps=40, rate=2e-2, validate_every=40, levels=(4,), bottlenecks=(3,)
    )
    run = open_run(config, lab.prepared, lab.statics, tmp_path)
    losses = [float(report.loss) for report in run]
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) - 0.05


def test_other_seeds_give_other_runs(lab: Lab, tmp_path: Path) -> None:
    losses = []
    for seed in (0, 1):
        config = replace(lab.config, seed=seed)
        run = open_run(config, lab.prepared, lab.statics, tmp_path / str(seed))
        losses.append(stopped(run, 1))
    assert losses[0] != losses[1]


def test_spread_is_measured_where_there_are_fields(lab: Lab, tmp_path: Path) -> None:
    fields = lab.open(tmp_path).fields
    assert isinstance(fields, TrainingFields)
    built = network(6)
    measure_spread(built, fields)
    assert 0 < float(built.spread[0]) < 10
    assert 0 < float(built.spread[1]) < float(built.spread[0])
    assert float(built.spread[2]) == 1  # no field reaches level 6


# What the encoder is shown

Shown = list[tuple[Setting, int]]


class Batches(TrainingFields):
    """Batches of one kind, with nothing in them."""

    def __init__(self, level: int, faces: int) -> None:
        self.level, self.faces = level, faces

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        field = torch.zeros(count, self.faces, 1, 1)
        return Batch(self.level, field, field[:, None], torch.zeros(count, dtype=torch.int64))


class Watched(Backward):
    """Notes what each batch would have been trained with."""

    def __init__(self) -> None:
        self.shown: Shown = []

    def __call__(self, batch: Batch, setting: Setting, given: int) -> Losses:
        self.shown.append((setting, given))
        return Losses(*torch.zeros(3))


def shown(config: TrainConfig, folder: Path, level: int, faces: int) -> Shown:
    """What a run of a network whose level 6 is thin shows its encoder, in 120 batches."""
    config = replace(config, steps=121, validate_every=999, bottlenecks=(3, 4, 5, 6))
    run = Run(config, network(6), Batches(level, faces), [], {}, folder)
    run.backward = watched = Watched()
    stopped(run, 120)
    return watched.shown


@pytest.mark.parametrize(("level", "faces"), [(4, 12), (5, 12), (6, 12), (4, 1), (5, 1), (6, 1)])
def test_what_the_encoder_is_shown(lab: Lab, tmp_path: Path, level: int, faces: int) -> None:
    seen: dict[int, set[int]] = {}
    for setting, given in shown(lab.config, tmp_path, level, faces):
        seen.setdefault(setting.bottleneck, set()).add(given)
    for bottleneck, levels in seen.items():
        # Whole spheres are decoded from the base up, faces from two levels below their own.
        within = faces == 12 or bottleneck >= level - 1
        if level > 5 or not within:
            assert levels == {bottleneck}  # no encoder
        else:
            assert levels == {max(level - 1, bottleneck), level}
    assert set(seen) == set(range(3, level + 1))


def test_every_field_of_a_batch_has_a_step_of_its_own(lab: Lab, tmp_path: Path) -> None:
    config = replace(lab.config, batch=5, log2_step=(-1.0, 2.0))
    steps = torch.stack([setting.step for setting, _ in shown(config, tmp_path, 5, 12)])
    assert steps.shape == (120, 5)
    assert len(set(steps.flatten().tolist())) == 600
    assert 0.5 <= float(steps.min()) < 0.6
    assert 3.5 < float(steps.max()) <= 4


@pytest.mark.parametrize("levels", [(4,), (5,)])
def test_a_run_draws_the_levels_of_its_configuration(
    lab: Lab, tmp_path: Path, levels: tuple[int, ...]
) -> None:
    config = replace(lab.config, levels=levels)
    run = open_run(config, lab.prepared, lab.statics, tmp_path)
    assert run.fields.draw(np.random.default_rng(0), 1).level == levels[0]


def test_restarts_lower_the_rate_and_warm_up_again(lab: Lab, tmp_path: Path) -> None:
    config = replace(lab.config, steps=3000, restarts=(2000,))
    run = open_run(config, lab.prepared, lab.statics, tmp_path)
    rates = []
    for run.step in range(config.steps):
        rates.append(run._schedule())
    assert max(rates) <= 1
    assert min(rates) > 0
    assert max(rates[2000:]) == pytest.approx(0.5, abs=0.1)
    assert rates[1999] < 0.02
    assert rates[2000] < rates[2199]


def test_linear_guesses_learn_at_a_tenth_of_the_rate(lab: Lab, tmp_path: Path) -> None:
    """And every parameter learns."""
    run = lab.open(tmp_path)
    stopped(run, 1)
    rates = {id(p): group["lr"] for group in run.optimiser.param_groups for p in group["params"]}
    names = dict(run.network.named_parameters())
    assert set(rates) == {id(parameter) for parameter in names.values()}
    linear = {rates[id(parameter)] for name, parameter in names.items() if ".linear." in name}
    others = {rates[id(parameter)] for name, parameter in names.items() if ".linear." not in name}
    assert [*linear] == pytest.approx([rate / 10 for rate in others])
    assert len(others) == 1


def test_patience_ends_a_run(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([5.0, 4.0, 4.5, 4.5, 3.0])

    def scored(*_: object) -> list[Score]:
        return [Score("made up", 5, 1.0, 1, 1.0, next(figures))]

    monkeypatch.setattr("hpcodec.train.loop.evaluate", scored)
    config = replace(lab.config, steps=9, validate_every=1, patience=2)
    run = open_run(config, lab.prepared, lab.statics, tmp_path)
    assert run.validate()[0].figure == 5
    assert [report.step for report in run] == [1, 2, 3]
    assert (run.best, run.idle) == (4, 2)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert "loss" not in lines[0]
    resumed = open_run(config, lab.prepared, lab.statics, tmp_path, resume=True)
    assert list(resumed) == []
