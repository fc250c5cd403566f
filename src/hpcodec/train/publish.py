"""Publish: a trained network becomes a model that others can load.

best weights --fit tables--> model.safetensors --measure on validation--> card.json
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from hpcodec.cards import CARD, OperatingPoint
from hpcodec.entropy.activity import known_features
from hpcodec.entropy.arrays import to_arrays
from hpcodec.entropy.tables import EntropyModel
from hpcodec.fields import CompressedField, Scaling
from hpcodec.grid import FINEST_LEVEL
from hpcodec.models import file_digest
from hpcodec.networks.field_space import FieldSpaceAutoencoder
from hpcodec.restorers import WEIGHTS
from hpcodec.stages.transform import Coder, static_pyramid
from hpcodec.stages.wire import pack
from hpcodec.train.config import TrainConfig
from hpcodec.train.entropy import fit_entropy
from hpcodec.train.evaluate import Score, evaluate, load_validation
from hpcodec.train.fields import PreparedField, read_index
from hpcodec.train.run import matching

__all__ = ["commit", "publish"]

# Training fields that the entropy model is learned from: a few to begin with, coded without one,
# then more, coded as the product does; and at how many steps each.
_FIRST_FIELDS, _FIELDS = 10, 30
_FIELD_STEPS = 2

Told = Callable[[str], None]


def publish(
    config: TrainConfig,
    prepared: Path,
    statics: Path,
    run: Path,
    target: Path,
    tell: Told = lambda line: None,
    *,
    fields_at: Sequence[int] = (_FIRST_FIELDS, _FIELDS),
    points: Sequence[tuple[int, float]] = (),
    entropy: EntropyModel | None = None,
) -> None:
    """Write ``model.safetensors`` and ``card.json`` of a finished run to ``target``.

    Parameters
    ----------
    config : TrainConfig
        Of the run.
    prepared : Path
        Folder of prepared fields, training and validation.
    statics : Path
        Safetensors file of the static fields.
    run : Path
        Folder of the run, with its best weights and metrics.
    target : Path
        Folder of the model.
    tell : callable
        Called with a line about what is going on.
    fields_at : sequence of int
        How many training fields the entropy model is learned from, each time anew.
    points : sequence of (int, float)
        Bottleneck levels and quantisation steps of the card; by default those of shipped models.
    entropy : EntropyModel, optional
        By which symbols are chosen at first.
    """
    state = torch.load(run / "best.pt", map_location="cpu", weights_only=True)
    network = FieldSpaceAutoencoder(config.architecture)
    network.load_state_dict(state)
    network.eval()
    static = load_file(statics)
    pyramid = static_pyramid(static["orography"], static["land"])
    index = read_index(prepared)
    training = matching(index, config.train)
    tell("learning the entropy model from training fields")
    known = known_features(static["orography"], static["land"])
    coder = Coder(network, pyramid, entropy)
    for count in fields_at:
        coded = list(_coded(coder, prepared, training, config, count))
        entropy = fit_entropy([field for _, field in coded], known, config.seed)
        coder = Coder(network, pyramid, entropy)
    tell("measuring on validation fields")
    fields = load_validation(
        prepared, matching(index, config.validation), config.architecture.variables
    )
    assert entropy is not None, fields_at
    scores = evaluate(network, pyramid, fields, points or _points(), entropy)
    target.mkdir(parents=True, exist_ok=True)
    _save(state, entropy, target / WEIGHTS)
    scales = {field.name: field.scale for field in fields}
    found = _summary(scores, scales)
    card = {
        "name": config.name,
        "description": config.description,
        "architecture": asdict(config.architecture),
        "serves": [dict(rule) for rule in config.serves],
        "operating_points": [asdict(point) for point in found],
        "shifts": _shifts(coded, entropy, found, 1 + len(config.architecture.variables)),
        "weights": file_digest(target / WEIGHTS),
        "statics": file_digest(statics),
        "training": _provenance(config, training, run),
        "validation": [_told(score) for score in scores],
    }
    (target / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def _save(state: dict[str, torch.Tensor], entropy: EntropyModel, path: Path) -> None:
    weights = {name: value.contiguous() for name, value in state.items()}
    coding = {name: torch.from_numpy(array) for name, array in to_arrays(entropy).items()}
    save_file(weights | coding, path)


def _told(score: Score) -> dict[str, Any]:
    return {
        "field": score.name,
        "bottleneck": score.bottleneck,
        "step": score.step,
        "bytes": score.size,
        "rmse": float(f"{score.rmse:.4g}"),
    }


def _points() -> list[tuple[int, float]]:
    """Every octave at the two finest bottlenecks, every four at the others."""
    fine = [(FINEST_LEVEL, 2.0**k) for k in range(-5, 4)]
    usual = [(FINEST_LEVEL - 1, 2.0**k) for k in range(-2, 8)]
    coarse = [(level, 2.0**k) for level in range(3, FINEST_LEVEL - 1) for k in (0, 4)]
    return fine + usual + coarse


def _coded(
    coder: Coder,
    prepared: Path,
    training: Sequence[PreparedField],
    config: TrainConfig,
    count: int,
) -> Iterator[tuple[int, CompressedField]]:
    """Training fields coded at random steps, the same for the same configuration.

    Each with the embedding of its variable.
    """
    rng = np.random.default_rng([config.seed, 77])
    chosen = rng.permutation(len(training))[:count]
    low, high = config.log2_step
    for field in load_validation(
        prepared, [training[i] for i in chosen], config.architecture.variables
    ):
        for step in 2 ** rng.uniform(low + 1, high + 1, _FIELD_STEPS):
            (compressed,), _ = coder.encode(
                field.cells,
                scaling=[Scaling(0, 1)],
                bottleneck=field.level,
                steps=[step],
                variable=field.variable,
                level=field.level,
            )
            yield field.variable, compressed


def _shifts(
    coded: Sequence[tuple[int, CompressedField]],
    entropy: EntropyModel,
    points: Sequence[OperatingPoint],
    variables: int,
) -> list[float]:
    """Of every variable the median of how far its steps are from those of ``points``."""
    finest = max(point.bottleneck for point in points)
    fine = sorted((p for p in points if p.bottleneck == finest), key=lambda p: p.size)
    sizes, octaves = np.log2([(p.size, p.step) for p in fine]).T
    found: list[list[float]] = [[] for _ in range(variables)]
    for variable, field in coded:
        if field.bottleneck == finest:
            expected = np.interp(np.log2(len(pack(field, entropy))), sizes, octaves)
            found[variable].append(float(np.log2(field.step) - expected))
    return [round(float(np.median(own)), 2) if own else 0.0 for own in found]


def _summary(scores: Sequence[Score], scales: dict[str, float]) -> list[OperatingPoint]:
    """Geometric means over the fields, of bytes and of errors in units of the fields' scales."""
    points = []
    for bottleneck, step in dict.fromkeys((s.bottleneck, s.step) for s in scores):
        here = [s for s in scores if (s.bottleneck, s.step) == (bottleneck, step)]
        size = np.exp(np.mean([np.log(s.size) for s in here]))
        rmse = np.exp(np.mean([np.log(s.rmse / scales[s.name]) for s in here]))
        rounded = (float(f"{value:.5g}") for value in (step, size, rmse))
        points.append(OperatingPoint(bottleneck, *rounded))
    return points


def _provenance(
    config: TrainConfig, training: Sequence[PreparedField], run: Path
) -> dict[str, Any]:
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    metrics = [json.loads(line) for line in lines]
    best = min(metrics, key=lambda line: float(line["figure"]))
    return {
        "steps": best["step"],
        "of": config.steps,
        "batch": config.batch,
        "seed": config.seed,
        "start": config.start,
        "commit": commit(),
        "figures": [{"step": line["step"], "figure": line["figure"]} for line in metrics],
        "credits": list(config.credits),
        "data": [{"file": f.file, "sha256": f.sha256, "step": f.step} for f in training],
    }


def commit() -> str:
    """Commit of the code that runs; empty outside a repository."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()
