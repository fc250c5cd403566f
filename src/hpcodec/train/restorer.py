"""Training of a restorer: draw parts of examples, guess what was lost, step.

RestorerConfig, data folder --train_restorer--> folder with card and weights

Every step draws from its own seed, so a run that stops and resumes goes on as if it had not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from hpcodec.errors import UsageError
from hpcodec.models import file_digest
from hpcodec.networks.architecture import RestorerShape
from hpcodec.networks.restorer import Restorer
from hpcodec.restorers import RESTORER_CARD, WEIGHTS
from hpcodec.train.config import build
from hpcodec.train.examples import Example, read_examples
from hpcodec.train.publish import commit

__all__ = ["RestorerConfig", "RestorerRun", "publish_restorer", "restorer_config"]

_WARM_UP = 100
_QUIET = 3e-3  # squared steps: parts where nothing is lost do not count more and more
_UNKNOWN = 0.1  # of the parts are shown without relief, and of those without a variable
_CLIP = 1.0
_LAST = torch.channels_last


@dataclass(frozen=True)
class RestorerConfig:
    """Configuration of the training of a restorer.

    Parameters
    ----------
    kind : str
        ``restorer``.
    description : str
        One sentence for the card.
    train, validation : tuple of str
        Patterns of the files to read below the data folder.
    credits : tuple of str
        Sentences that name the producers of the data, for the card.
    shares : tuple of float
        Least and largest share of coefficients above the step, of training examples.
    validation_shares : tuple of float
        Of validation examples.
    steps, batch, side, rate, seed
        Optimiser steps, parts in a batch and their sides, largest learning rate, seed of all
        chance.
    validate_every : int
        Optimiser steps between validations and checkpoints.
    average : float
        Part of the averaged weights that is kept at each step.
    shape : RestorerShape
        Of the network.
    """

    kind: str
    description: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    credits: tuple[str, ...] = ()
    shares: tuple[float, ...] = (0.006, 0.4)
    validation_shares: tuple[float, ...] = (0.2, 0.077, 0.038, 0.019, 0.008)
    steps: int = 6000
    batch: int = 6
    side: int = 64
    rate: float = 2e-3
    seed: int = 0
    validate_every: int = 500
    average: float = 0.998
    shape: RestorerShape = field(default_factory=RestorerShape)


def restorer_config(data: dict[str, Any], path: Path) -> RestorerConfig:
    """Configuration of what the TOML file ``path`` has.

    Raises
    ------
    UsageError
        If it lacks a key, or has an unknown one, or a value of another type.
    """
    shape = build(RestorerShape, data.get("shape", {}), path)
    return build(RestorerConfig, data | {"shape": shape}, path)


class RestorerRun:
    """One training run, or the rest of one.

    Parameters
    ----------
    config : RestorerConfig
        What to train.
    examples : Path
        Folder of training and validation examples.
    folder : Path
        For the checkpoint and the metrics file.
    device : str
        Torch device.
    """

    def __init__(self, config: RestorerConfig, examples: Path, folder: Path, device: str) -> None:
        torch.manual_seed(config.seed)
        self.config, self.examples, self.folder = config, examples, folder
        self.device = torch.device(device)
        self.training = read_examples(examples, config.train)
        self.validation = read_examples(examples, config.validation)
        self._loaded = [one.load(examples) for one in self.training]
        self.network = Restorer(config.shape).to(self.device)
        self.average = Restorer(config.shape).to(self.device)
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.rate, weight_decay=0.01, betas=(0.9, 0.98)
        )
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """File of the latest checkpoint."""
        return self.folder / "checkpoint.pt"

    def resume(self) -> None:
        """Go on from the checkpoint of an earlier run with the same configuration."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def __iter__(self) -> Iterator[tuple[int, float, list[dict[str, Any]]]]:
        """Train to the configured number of steps: step, loss, and the scores of a validation."""
        while self.step < self.config.steps:
            loss = self._advance()
            last = self.step == self.config.steps
            validates = self.step % self.config.validate_every == 0 or last
            yield self.step, loss, self._validate() if validates else []

    def _advance(self) -> float:
        config = self.config
        rng = np.random.default_rng([config.seed, self.step])
        for group in self.optimiser.param_groups:
            group["lr"] = config.rate * self._schedule()
        inputs, activity, variable, wanted = self._draw(rng)
        with torch.autocast(self.device.type, torch.bfloat16):
            guess = self.network(inputs, activity, variable)
        edge = config.shape.reach // 2  # nearer to it, too much that tells is cut off
        inner = (slice(None), slice(None), slice(edge, -edge), slice(edge, -edge))
        left = (guess.float() - wanted)[inner].square().mean((1, 2, 3))
        loss = (left / (wanted[inner].square().mean((1, 2, 3)) + _QUIET)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimiser.step()
        self.step += 1
        keep = min(config.average, self.step / (self.step + 20))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for average, now in pairs:
                average.lerp_(now, 1 - keep)
        return float(loss.detach())

    def _schedule(self) -> float:
        warm = min(1.0, (self.step + 1) / _WARM_UP)
        return warm * (0.5 + 0.5 * math.cos(math.pi * self.step / self.config.steps))

    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Parts of examples: inputs, activity, variable, and what was lost."""
        config, parts = self.config, []
        for number in rng.integers(0, len(self.training), config.batch):
            example, arrays = self.training[number], self._loaded[number]
            rows, columns = arrays[0].shape[1:]
            top = int(rng.integers(0, max(1, rows - config.side + 1)))
            left = int(rng.integers(0, columns))
            along = np.arange(left, left + config.side) % columns
            down = np.minimum(np.arange(top, top + config.side), rows - 1)
            cut = [one[:, down][:, :, along].astype(np.float32) for one in arrays]
            coded, lost, statics = cut
            if rng.random() < _UNKNOWN:
                statics[:-2] = 0
            known = rng.random() >= _UNKNOWN
            variable = config.shape.index(example.variable) if known else 0
            parts.append((np.concatenate([coded, statics]), example.activity, variable, lost))
        inputs, activities, variables, wanted = zip(*parts, strict=True)
        return (
            torch.from_numpy(np.stack(inputs)).to(self.device).contiguous(memory_format=_LAST),
            torch.tensor(activities, device=self.device),
            torch.tensor(variables, device=self.device),
            torch.from_numpy(np.stack(wanted)).to(self.device),
        )

    def _validate(self) -> list[dict[str, Any]]:
        """Error with the averaged weights over that without; and a checkpoint."""
        scores = [self._score(one) for one in self.validation]
        figure = float(np.exp(np.mean([np.log(one["error"]) for one in scores])))
        line = json.dumps({"step": self.step, "figure": round(figure, 5), "scores": scores})
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(state, part := self.checkpoint.with_suffix(".part"))
        part.replace(self.checkpoint)
        return scores

    @torch.no_grad()
    def _score(self, example: Example) -> dict[str, Any]:
        coded, lost, statics = (one.astype(np.float32) for one in example.load(self.examples))
        reach = self.config.shape.reach
        whole = np.pad(
            np.concatenate([coded, statics]), ((0, 0), (0, 0), (reach, reach)), mode="wrap"
        )
        guess = self.average(
            torch.from_numpy(whole)[None].to(self.device).contiguous(memory_format=_LAST),
            torch.tensor([example.activity], device=self.device),
            torch.tensor([self.config.shape.index(example.variable)], device=self.device),
        )
        left = guess[0, :, :, reach:-reach].cpu().numpy() - lost
        ratio = math.sqrt(np.square(left).sum() / np.square(lost).sum())
        name = Path(example.file).stem
        return {"field": name, "share": example.share, "error": round(ratio, 4)}


def publish_restorer(run: RestorerRun, target: Path) -> None:
    """Write weights, as float16, and card of a finished run to ``target``.

    Raises
    ------
    UsageError
        If the run has no metrics.
    """
    try:
        lines = (run.folder / "metrics.jsonl").read_text("utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"expected metrics of a run in {run.folder}; got {error}.") from error
    metrics: Sequence[dict[str, Any]] = [json.loads(line) for line in lines]
    config = run.config
    target.mkdir(parents=True, exist_ok=True)
    state = run.average.state_dict()
    weights = {name: value.half().contiguous().cpu() for name, value in state.items()}
    save_file(weights, target / WEIGHTS)
    files = {one.file: one.sha256 for one in run.training}
    card = {
        "description": config.description,
        "shape": asdict(config.shape),
        "weights": file_digest(target / WEIGHTS),
        "training": {
            "steps": run.step,
            "of": config.steps,
            "batch": config.batch,
            "seed": config.seed,
            "commit": commit(),
            "figures": [{key: line[key] for key in ("step", "figure")} for line in metrics],
            "credits": list(config.credits),
            "data": [{"file": name, "sha256": digest} for name, digest in files.items()],
        },
        "validation": metrics[-1]["scores"],
    }
    (target / RESTORER_CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
