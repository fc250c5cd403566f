"""Training of the network of bands: code fields, draw symbols and what is around them, learn.

BandsConfig, data folder --train_bands--> folder with card and weights

Minutes on two cores: it is done in one go, from its seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file
from torch import Tensor

from hpcodec.band_networks import BANDS_CARD, BandsCard
from hpcodec.detail import Detailer
from hpcodec.entropy.band_features import SIGNED, BandFeatures
from hpcodec.entropy.band_network import ACTIVITIES, LEANS, BandNetwork
from hpcodec.entropy.band_places import BANDS, PASSES
from hpcodec.entropy.tables import LARGEST, TOTAL, high_part, plan_for
from hpcodec.grid import LatLonGrid
from hpcodec.models import file_digest
from hpcodec.restorers import WEIGHTS
from hpcodec.stages.wavelets import to_bands
from hpcodec.train.band_learner import BandLearner
from hpcodec.train.config import build
from hpcodec.train.examples import fields_of, step_of_share
from hpcodec.train.prepare import files_matching, source_digest
from hpcodec.train.publish import commit

__all__ = ["BandsConfig", "bands_config", "train_bands"]

_QUIET = 0.08  # places where nothing is decoded around are drawn so much less often
_SHARES = 2  # at which a field is coded
_PRIOR = 200.0  # symbols that what is learned of a table counts as
_TABLE_RATE = 4.0  # times the rate of the network

Pass = tuple[int, int]


@dataclass(frozen=True)
class BandsConfig:
    """Configuration of the training of a network of bands.

    Parameters
    ----------
    kind : str
        ``bands``.
    description : str
        One sentence for the card.
    train, validation : tuple of str
        Patterns of the files to read below the data folder.
    credits : tuple of str
        Sentences that name the producers of the data, for the card.
    shares : tuple of float
        Least and largest share of coefficients above the step, of training fields.
    validation_shares : tuple of float
        Of validation fields.
    places : int
        Drawn of each field, about.
    steps, batch, rate, seed
        Optimiser steps, places of each pass in a batch, largest learning rate, seed of all chance.
    """

    kind: str
    description: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    credits: tuple[str, ...] = ()
    shares: tuple[float, ...] = (0.006, 0.45)
    validation_shares: tuple[float, ...] = (0.3, 0.1, 0.03)
    places: int = 60_000
    steps: int = 2500
    batch: int = 4096
    rate: float = 5e-3
    seed: int = 0


def bands_config(data: dict[str, Any], path: Path) -> BandsConfig:
    """Configuration of what the TOML file ``path`` has.

    Raises
    ------
    UsageError
        If it lacks a key, or has an unknown one, or a value of another type.
    """
    return build(BandsConfig, data, path)


@dataclass(frozen=True)
class _Places:
    """What was drawn of one pass: features, symbols, and what each of them counts."""

    features: Tensor
    symbols: Tensor
    weight: Tensor


@dataclass
class _Drawn:
    """Arrays of places by pass, until they are joined."""

    parts: dict[Pass, list[tuple[npt.NDArray[Any], ...]]] = field(default_factory=dict)

    def add(self, symbols: Sequence[npt.NDArray[np.int32]], size: int, config: BandsConfig) -> None:
        """Draw from a detail whose code has ``size`` bytes: every one counts alike."""
        rng = np.random.default_rng([config.seed, len(self.parts.get((0, 0), []))])
        known = [symbols[0], *(np.zeros_like(band) for band in symbols[1:])]
        around = BandFeatures(known)
        whole = sum(band.size for band in symbols)
        for number, phase in product(range(1, len(symbols)), range(len(PASSES))):
            row, column = PASSES[phase]
            features = around.features(number, phase)
            wanted = symbols[number][row::2, column::2].reshape(-1)
            signed = SIGNED[phase]
            lively = (features[: signed + 3] != 0).any(0)
            chance = np.where(lively, 1.0, _QUIET)
            chance = np.minimum(chance * config.places * wanted.size / whole / chance.sum(), 1)
            chosen = np.flatnonzero(rng.random(wanted.size) < chance)
            weight = (1 / chance[chosen] / size).astype(np.float32)
            self.parts.setdefault(((number - 1) % BANDS, phase), []).append(
                (features[:, chosen].T, wanted[chosen], weight)
            )
            known[number][row::2, column::2] = symbols[number][row::2, column::2]

    def joined(self) -> dict[Pass, _Places]:
        """All of them, by pass."""
        return {
            at: _Places(
                *(torch.from_numpy(np.concatenate(one)) for one in zip(*parts, strict=True))
            )
            for at, parts in sorted(self.parts.items())
        }


def train_bands(config: BandsConfig, data: Path, target: Path, *, model: Path) -> Iterator[str]:
    """Train, and write weights and card to ``target``; yields what is done.

    Parameters
    ----------
    config : BandsConfig
        What to train.
    data : Path
        Folder that its patterns are below.
    target : Path
        Folder to make.
    model : Path
        Folder of a model, for its static fields.
    """
    drawn = _Drawn()
    digests: dict[str, str] = {}
    for path in files_matching(data, config.train):
        rng = np.random.default_rng([config.seed, len(digests)])
        for symbols, size in _coded(path, config, model, rng):
            drawn.add(symbols, size, config)
        digests[str(path.relative_to(data))] = source_digest(path)
        yield f"{path.name} coded"
    places = drawn.joined()
    torch.manual_seed(config.seed)
    learner = BandLearner()
    for step, loss in _learn(learner, places, config):
        if (step + 1) % 100 == 0:
            yield f"step {step + 1}: {loss:.4f} nats a symbol"
    network = _counted(learner.whole(), places)
    target.mkdir(parents=True, exist_ok=True)
    save_file(network.arrays, target / WEIGHTS)
    told = {"steps": config.steps, "seed": config.seed, "files": digests, "commit": commit()}
    validation = tuple(_scores(config, data, model, network))
    card = BandsCard(
        description=config.description,
        weights=file_digest(target / WEIGHTS),
        training=told | {"credits": list(config.credits)},
        validation=validation,
    )
    (target / BANDS_CARD).write_text(json.dumps(asdict(card), indent=1) + "\n", "utf-8")
    ratio = float(np.exp(np.mean([np.log(one["bytes"]) for one in validation])))
    yield f"validation: {ratio:.4f} of the bytes"


def _coded(
    path: Path, config: BandsConfig, model: Path, rng: np.random.Generator
) -> Iterator[tuple[list[npt.NDArray[np.int32]], int]]:
    """Symbols of details of a file's fields, and the bytes of their code."""
    least, most = np.log(config.shares)
    for grid, values, _ in fields_of(path, rng):
        bands = to_bands(values.astype(np.float64) - values.mean(dtype=np.float64))
        for share in map(float, np.exp(rng.uniform(least, most, _SHARES))):
            code, detail = _encoded(grid, bands, share, model, None)
            yield [np.asarray(one, np.int32) for one in detail], len(code)


def _encoded(
    grid: LatLonGrid,
    bands: list[npt.NDArray[np.float64]],
    share: float,
    model: Path,
    network: BandNetwork | None,
) -> tuple[bytes, list[npt.NDArray[Any]]]:
    detailer = Detailer(grid, model)
    step = step_of_share(detailer, bands, share)
    shares = detailer.shares(bands, step, by_area=True)
    code, detail = detailer.encode(bands, step, shares, by_area=True, network=network)
    return code, detail.symbols


def _learn(
    learner: BandLearner, places: dict[Pass, _Places], config: BandsConfig
) -> Iterator[tuple[int, float]]:
    rates = config.rate, _TABLE_RATE * config.rate
    tables = [learner.logits]
    others = [one for one in learner.parameters() if one is not learner.logits]
    optimiser = torch.optim.Adam([{"params": others}, {"params": tables}])
    total = sum(float(one.weight.sum()) for one in places.values())
    for step in range(config.steps):
        fade = min(1.0, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * max(fade, 1e-3)
        rng = np.random.default_rng([config.seed, 1, step])
        loss = torch.zeros(())
        for at, one in places.items():
            chosen = torch.from_numpy(rng.integers(0, len(one.symbols), config.batch))
            sign = torch.from_numpy(rng.integers(0, 2, config.batch) * 2 - 1)
            features = one.features[chosen].float()
            features[:, : SIGNED[at[1]]] *= sign[:, None]  # a field turned is a field
            activity, lean = learner(at, features)
            told = learner.nats(activity, lean, one.symbols[chosen].long() * sign)
            loss = loss + (told * one.weight[chosen]).mean() * (len(one.symbols) / total)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        optimiser.step()
        yield step, float(loss.detach())


def _counted(network: BandNetwork, places: dict[Pass, _Places]) -> BandNetwork:
    """With tables of what was found, by the network in whole numbers."""
    entries = network.tables.shape[1]
    counts = np.zeros(network.tables.size)
    for (direction, phase), one in places.items():
        activity, lean = network(direction, phase, one.features.numpy().T)
        plan = plan_for(np.maximum(activity, 0), ACTIVITIES - 1)
        symbols = one.symbols.numpy() * np.where(lean < 0, -1, 1)
        high = np.clip(high_part(symbols, plan), -LARGEST, LARGEST) + LARGEST
        table = plan.table * LEANS + np.minimum(np.abs(lean), LEANS - 1)
        weight = one.weight.numpy() / one.weight.numpy().mean()
        counts += np.bincount(table * entries + high, weight, minlength=counts.size)
    found = counts.reshape(network.tables.shape)
    found = found + _PRIOR * network.tables / TOTAL
    tables = np.floor(found / found.sum(1, keepdims=True) * TOTAL).astype(np.int32)
    return BandNetwork(network.weights, network.biases, tables)


def _scores(
    config: BandsConfig, data: Path, model: Path, network: BandNetwork
) -> Iterator[dict[str, Any]]:
    """Bytes with the network over those without, at the same step, of validation fields."""
    for path in files_matching(data, config.validation):
        for grid, values, _ in fields_of(path, None):
            bands = to_bands(values.astype(np.float64) - values.mean(dtype=np.float64))
            for share in config.validation_shares:
                plain, _ = _encoded(grid, bands, share, model, None)
                told, _ = _encoded(grid, bands, share, model, network)
                yield {
                    "field": path.stem,
                    "share": share,
                    "bytes": round(len(told) / len(plain), 4),
                }
