"""The entropy model: learned from the symbols of coded training fields, kept as whole numbers.

CompressedFields --sample--> features and symbols --fit--> ActivityNetwork
CompressedFields, ActivityNetwork --count--> occurrences in every table --tables--> integers
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from hpcodec.base_field import predicted_base
from hpcodec.entropy.activity import (
    COMPONENTS,
    FEATURES,
    Known,
    Surroundings,
    on_faces,
    places,
)
from hpcodec.entropy.integer_network import HIDDEN, ActivityNetwork
from hpcodec.entropy.tables import (
    BINS,
    LARGEST,
    TABLE_SHAPE,
    TOTAL,
    EntropyModel,
    Plan,
    Tables,
    base_plan,
    base_size,
    groups,
    high_part,
    plan_for,
    table_row,
)
from hpcodec.fields import CompressedField
from hpcodec.grid import BASE_LEVEL

__all__ = ["count_symbols", "fit_entropy", "fit_network", "tables_from_counts"]

# A context seen as often as this is trusted as much as the smooth guess.
_TRUST = 30.0

_SAMPLE = 4000  # symbols of one pass of one field
_STEPS = 4500
_BATCH = 8192
_RATE = 4e-3

# The table of a mean magnitude of about 8, a third of an octave between tables.
_THIRD = math.log(2) / 3
_TOP = math.log(8)


def fit_entropy(fields: Iterable[CompressedField], known: Known, seed: int = 0) -> EntropyModel:
    """Entropy model that codes ``fields``, and others like them, well.

    Parameters
    ----------
    fields : iterable of CompressedField
        Coded training fields.
    known : dict of int to ndarray of uint8
        From :func:`hpcodec.entropy.activity.known_features`.
    seed : int
        Of the sample and of the first weights.
    """
    kept = list(fields)
    network = fit_network(kept, known, seed)
    counts = np.zeros(TABLE_SHAPE, np.int64)
    for compressed in kept:
        count_symbols(compressed, network, known, counts)
    return EntropyModel(tables_from_counts(counts), network, known)


@dataclass(frozen=True, eq=False)
class _Pass:
    """What one pass codes: features ``(places, FEATURES)`` and symbols ``(places,)``."""

    component: int
    features: npt.NDArray[np.uint8]
    symbols: npt.NDArray[np.int32]


def _passes(compressed: CompressedField, known: Known) -> Iterator[_Pass]:
    residuals = compressed.residuals
    for number, nested in enumerate(residuals):
        level = BASE_LEVEL + 1 + number
        around = Surroundings(
            level, compressed.base, residuals[:number], compressed.step, known[level]
        )
        symbols = np.asarray(on_faces(nested), np.int32)
        for component in range(COMPONENTS):
            for phase, where in enumerate(places(symbols.shape[-1])):
                features = around.features(component, phase, symbols)
                yield _Pass(component, features, symbols[component].reshape(-1)[where])


class _Learner(nn.Module):
    """The activity network while it learns: real weights, rounded where they are used."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (FEATURES, HIDDEN, HIDDEN, 1)
        self.weight = nn.ParameterList(
            torch.randn(COMPONENTS, i, o) * (2 / i) ** 0.5 / (1 if o > 1 else 4)
            for i, o in pairwise(sizes)
        )
        self.bias = nn.ParameterList(torch.zeros(COMPONENTS, o) for o in sizes[1:])
        with torch.no_grad():
            self.bias[-1] += BINS / 2
            self.weight[-1] *= 8
        # Chance of a symbol that is not zero, as a function of the table.
        self.occurs = nn.Parameter(torch.tensor([0.5, 1.0, 0.0]))

    # Units of a layer's inputs and weights: one in so many parts.
    PARTS = (64, 32, 32)
    WEIGHTS = (32, 32, 8)

    def forward(self, component: int, features: Tensor) -> Tensor:
        """Activity ``(n,)``, real, of features ``(n, FEATURES)``."""
        state = features / self.PARTS[0]
        for layer, (weight, bias) in enumerate(zip(self.weight, self.bias, strict=True)):
            unit = self.WEIGHTS[layer]
            limited = weight[component].clamp(-127 / unit, 127 / unit)
            state = state @ _rounded(limited, unit) + bias[component]
            if layer < len(self.PARTS) - 1:
                state = _rounded(state - 0.5 / 32, 32).clamp(0, 255 / 32)
        return state[:, 0]

    def nats(self, activity: Tensor, symbols: Tensor) -> Tensor:
        """Ideal code length of ``symbols``: zero or not, sign, and a geometric magnitude."""
        scale = (activity - (BINS - 1)) * _THIRD + _TOP
        occurs = (
            self.occurs[0] + self.occurs[1] * scale + self.occurs[2] * functional.softplus(scale)
        )
        size = symbols.abs()
        told = functional.softplus(-occurs) + math.log(2) + functional.softplus(scale)
        longer = (size - 1).clamp_min(0) * functional.softplus(-scale)
        return torch.where(size == 0, functional.softplus(occurs), told + longer)

    def whole(self) -> ActivityNetwork:
        """The network in whole numbers."""
        weights = [
            torch.round(w.clamp(-127 / u, 127 / u) * u).to(torch.int8).numpy()
            for w, u in zip(self.weight, self.WEIGHTS, strict=True)
        ]
        units = [p * u for p, u in zip(self.PARTS, self.WEIGHTS, strict=True)]
        limit = ActivityNetwork.MOST_BIAS
        biases = [
            torch.round(b * u).clamp(-limit, limit).to(torch.int32).numpy()
            for b, u in zip(self.bias, units, strict=True)
        ]
        return ActivityNetwork(tuple(weights), tuple(biases))


def _rounded(values: Tensor, parts: int) -> Tensor:
    """Values in whole parts; the gradient passes as if they were not."""
    return values + (torch.round(values * parts) / parts - values).detach()


def fit_network(fields: Sequence[CompressedField], known: Known, seed: int = 0) -> ActivityNetwork:
    """Activity network that tells the magnitudes of the symbols of ``fields`` best."""
    drawn: list[list[tuple[Tensor, ...]]] = [[] for _ in range(COMPONENTS)]
    rng = np.random.default_rng(seed)
    for compressed in fields:
        # Every field counts alike, however many bytes it takes.
        busy = sum(int(np.log2(1.0 + np.abs(r)).sum()) for r in compressed.residuals) + 500
        for one in _passes(compressed, known):
            chosen = rng.permutation(one.symbols.size)[:_SAMPLE]
            weight = np.full(chosen.size, one.symbols.size / chosen.size / busy, np.float32)
            parts = one.features[chosen], one.symbols[chosen].astype(np.float32), weight
            drawn[one.component].append(tuple(torch.from_numpy(part) for part in parts))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        learner = _Learner()
        if drawn[0]:
            _learn(
                learner, [tuple(torch.cat(part) for part in zip(*d, strict=True)) for d in drawn]
            )
    with torch.no_grad():
        return learner.whole()


def _learn(learner: _Learner, samples: Sequence[tuple[Tensor, ...]]) -> None:
    optimiser = torch.optim.Adam(learner.parameters(), lr=_RATE)
    for step in range(_STEPS):
        done = step / _STEPS
        for group in optimiser.param_groups:
            group["lr"] = (
                _RATE * min(1.0, (step + 1) / 50) * (0.505 + 0.495 * math.cos(math.pi * done))
            )
        component = step % COMPONENTS
        features, symbols, weight = samples[component]
        # Drawn as often as it weighs would repeat the rare ones: drawn alike, weighed instead.
        chosen = torch.randint(len(symbols), (_BATCH,))
        activity = learner(component, features[chosen].float())
        nats = learner.nats(activity, symbols[chosen]) * weight[chosen]
        optimiser.zero_grad()
        (nats.mean() / weight.mean()).backward()  # type: ignore[no-untyped-call]  # torch
        optimiser.step()


def count_symbols(
    compressed: CompressedField,
    network: ActivityNetwork,
    known: Known,
    counts: npt.NDArray[np.int64],
) -> None:
    """Add the symbols of ``compressed`` to ``counts``, of ``TABLE_SHAPE``."""
    base = compressed.base if compressed.carry else predicted_base(compressed.base)
    _count(base, base_plan(base_size(base)), counts[0])
    for one in _passes(compressed, known):
        plan = plan_for(network(one.component, one.features))
        _count(one.symbols, plan, counts[table_row(one.component)])


def _count(symbols: npt.NDArray[np.int32], plan: Plan, counts: npt.NDArray[np.int64]) -> None:
    high = np.clip(high_part(symbols, plan), -LARGEST, LARGEST) + LARGEST
    for number, chosen in groups(plan):
        counts[number] += np.bincount(high[chosen], minlength=2 * LARGEST + 1)


def tables_from_counts(counts: npt.NDArray[np.int64]) -> Tables:
    """Integer tables from counts: every symbol possible, every table summing to ``TOTAL``.

    Contexts seen rarely lean on a two-sided geometric distribution of the mean magnitude that
    their row shows in the contexts around.
    """
    tables = np.empty(TABLE_SHAPE, np.int64)
    for row, seen in enumerate(counts):
        means = _magnitudes(seen)
        for number, mean in enumerate(means):
            guess = _geometric(mean)
            share = (seen[number] + _TRUST * guess) / (seen[number].sum() + _TRUST)
            tables[row, number] = _integers((share + share[::-1]) / 2)
    return tables.astype(np.uint32)


def _magnitudes(seen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean magnitude in each context, filled in from the nearest that was seen."""
    size = np.abs(np.arange(-LARGEST, LARGEST + 1))
    total = seen.sum(1)
    known = np.flatnonzero(total > 0)
    if not known.size:
        return np.full(len(seen), 1.0)
    means = (seen[known] * size).sum(1) / total[known]
    return np.asarray(np.interp(np.arange(len(seen)), known, means))


def _geometric(mean: float) -> npt.NDArray[np.float64]:
    """Two-sided geometric distribution of a mean magnitude, on -24 to 24."""
    ratio = np.clip(mean / (1 + mean), 1e-3, 0.97)
    share = ratio ** np.abs(np.arange(-LARGEST, LARGEST + 1))
    return np.asarray(share / share.sum())


def _integers(share: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    whole = np.maximum(1, np.floor(share * (TOTAL - len(share)))).astype(np.int64)
    whole[LARGEST] += TOTAL - whole.sum()
    return whole
