"""The training loop: draw, code, step; validate and checkpoint now and then.

Every step draws from its own seed, so a run that stops and resumes goes on as if it had not.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hpcodec.grid import BASE_LEVEL
from hpcodec.networks.field_space import FieldSpaceAutoencoder, Setting
from hpcodec.networks.scales import split
from hpcodec.train.config import TrainConfig
from hpcodec.train.evaluate import POINTS, Score, ValidationField, evaluate
from hpcodec.train.fields import Batch, TrainingFields
from hpcodec.train.step import Backward

__all__ = ["Report", "Run", "measure_spread"]

_WARM_UP = 200
_CLIP = 1.0
_LINEAR = 0.1


@dataclass(frozen=True)
class Report:
    """What a run tells after a step; ``scores`` only after a validation.

    The losses are scalar tensors, so that a device need not wait for every one to be read.
    """

    step: int
    loss: Tensor
    rate: Tensor
    error: Tensor
    scores: tuple[Score, ...] = ()


class Run:
    """One training run.

    Parameters
    ----------
    config : TrainConfig
        What to train.
    network : FieldSpaceAutoencoder
        To be trained in place, on its device.
    fields : TrainingFields
        What to draw from.
    validation : sequence of ValidationField
        What to validate on.
    statics : dict of int to Tensor
        Static fields of whole spheres for validation, on the network's device.
    folder : Path
        For the checkpoint and the metrics file.
    points : sequence of (int, float)
        Bottleneck levels and quantisation steps to validate at.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: FieldSpaceAutoencoder,
        fields: TrainingFields,
        validation: Sequence[ValidationField],
        statics: dict[int, Tensor],
        folder: Path,
        points: Sequence[tuple[int, float]] = POINTS,
    ) -> None:
        self.config, self.network, self.fields = config, network, fields
        self.validation, self.statics, self.folder = validation, statics, folder
        self.points = points
        self.device = network.spread.device
        self.backward = Backward(network)
        self.step = 0
        self.best = math.inf
        self.idle = 0  # validations since the best
        self.optimiser = torch.optim.AdamW(
            _groups(network), lr=config.rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True
        )
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """File of the latest checkpoint."""
        return self.folder / "checkpoint.pt"

    @property
    def best_weights(self) -> Path:
        """File of the weights that did best on the validation fields."""
        return self.folder / "best.pt"

    def resume(self) -> None:
        """Go on from the checkpoint of an earlier run with the same configuration."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best = state["step"], state["best"]
        self.idle = state.get("idle", 0)

    def __iter__(self) -> Iterator[Report]:
        """Train to the configured number of steps, or to the end of patience; report each."""
        config = self.config
        while self.step < config.steps and not 0 < config.patience <= self.idle:
            report = self._advance()
            if self.step % config.validate_every == 0 or self.step == config.steps:
                scores = self.validate(report)
                report = dataclasses.replace(report, scores=scores)
            yield report

    def _advance(self) -> Report:
        config, network = self.config, self.network
        rng = np.random.default_rng([config.seed, self.step])
        batch = self.fields.draw(rng, config.batch)
        torch.manual_seed(int(rng.integers(2**62)))
        for group in self.optimiser.param_groups:
            group["lr"] = config.rate * group["part"] * self._schedule()
        low, high = config.log2_step
        steps = 2 ** rng.uniform(low, high, len(batch.field))
        setting = Setting(
            variable=batch.variable,
            step=torch.from_numpy(steps).to(self.device, torch.float32),
            bottleneck=min(int(rng.choice(config.bottlenecks)), batch.level),
        )
        network.train()
        losses = self.backward(batch, setting, self._given(rng, batch, setting.bottleneck))
        nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        self.optimiser.step()
        self.step += 1
        return Report(self.step, losses.loss.detach(), losses.rate.detach(), losses.error.detach())

    def _given(self, rng: np.random.Generator, batch: Batch, bottleneck: int) -> int:
        """Level shown to the encoder, which works where its bottleneck is among what is decoded."""
        wide = self.network.architecture.wide
        level = batch.level if rng.random() < 0.75 else batch.level - 1
        faces_alone = batch.field.shape[1] == 1
        if batch.level > wide or (faces_alone and bottleneck < batch.level - 1):
            return bottleneck
        return max(level, bottleneck)

    def _schedule(self) -> float:
        """Part of the largest rate: warm-up, then cosines to a hundredth of where they start."""
        bounds = (0, *self.config.restarts, self.config.steps)
        cycle = max(i for i, start in enumerate(bounds[:-1]) if start <= self.step)
        done = (self.step - bounds[cycle]) / (bounds[cycle + 1] - bounds[cycle])
        warm = min(
            1.0, (self.step - bounds[cycle] + 1) / min(_WARM_UP, self.config.steps // 3 or 1)
        )
        return warm * 0.5**cycle * (0.505 + 0.495 * math.cos(math.pi * done))

    def validate(self, report: Report | None = None) -> tuple[Score, ...]:
        """Scores of the present weights: kept if they are the best, in a checkpoint in any case.

        Before the first step, ``report`` is None, and weights to start from may remain the best.
        """
        self.network.eval()
        scores = evaluate(self.network, self.statics, self.validation, self.points)
        mean = float(np.mean([score.figure for score in scores]))
        self.idle += 1
        if mean < self.best:
            self.best, self.idle = mean, 0
            torch.save(self.network.state_dict(), self.best_weights)
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "idle": self.idle,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as metrics:
            names = ("loss", "rate", "error") if report else ()
            losses = {name: float(getattr(report, name)) for name in names}
            scored = [asdict(score) for score in scores]
            line = {"step": self.step, **losses, "figure": mean, "scores": scored}
            metrics.write(json.dumps(line) + "\n")
        return tuple(scores)


def _groups(network: nn.Module) -> list[dict[str, object]]:
    """Parameters and the part of the learning rate that each has.

    What is guessed linearly is all that there is to guess of a smooth field: to a thousandth.
    """
    fine = [p for name, p in network.named_parameters() if ".linear." in name]
    known = {id(p) for p in fine}
    rest = [p for p in network.parameters() if id(p) not in known]
    return [{"params": rest, "part": 1.0}, {"params": fine, "part": _LINEAR}]


@torch.no_grad()
def measure_spread(network: FieldSpaceAutoencoder, fields: TrainingFields, draws: int = 8) -> None:
    """Set the typical size of each level's residual from a few batches."""
    sizes: dict[int, list[float]] = {level: [] for level in network.levels}
    for draw in range(draws):
        batch = fields.draw(np.random.default_rng([draw]), 64)
        field = batch.field
        for level in range(batch.level, BASE_LEVEL, -1):
            field, residual = split(field)
            sizes[level].append(float(residual.square().mean().sqrt()))
    # Where no field reaches a level, its spread stays one.
    network.spread.copy_(torch.tensor([np.median(size or [1.0]) for size in sizes.values()]))
