"""The network of bands while it learns, with the tables of what it tells.

features, symbols --BandLearner--> nats;   BandLearner --whole--> BandNetwork
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from hpcodec.entropy.band_features import SIGNED, SIZES
from hpcodec.entropy.band_network import ACTIVITIES, HIDDEN, LEANS, OUTPUTS, BandNetwork
from hpcodec.entropy.band_places import BANDS, PASSES
from hpcodec.entropy.tables import LARGEST, TOTAL

__all__ = ["BandLearner"]

_PARTS, _UNITS = (64, 32, 32), (32, 32, 16)  # of a layer's inputs and weights: one in so many


class BandLearner(nn.Module):
    """The network while it learns: real weights, rounded where they are used; and tables."""

    def __init__(self) -> None:
        super().__init__()
        both, hidden = (len(PASSES), BANDS), HIDDEN

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape) * (2 / shape[-2]) ** 0.5)

        self.first = nn.ParameterList(drawn(BANDS, one + SIZES, hidden) for one in SIGNED)
        self.second = drawn(*both, hidden, hidden)
        self.last = nn.Parameter(0.2 * torch.randn(*both, hidden, OUTPUTS))
        self.bias = nn.ParameterList(torch.zeros(*both, one) for one in (hidden, hidden, OUTPUTS))
        with torch.no_grad():
            self.bias[-1][..., 0] += 10
        self.logits = nn.Parameter(_first_logits())

    def forward(self, at: tuple[int, int], features: Tensor) -> tuple[Tensor, Tensor]:
        """Activity and lean ``(n,)``, real, of features ``(n, features)``."""
        direction, phase = at
        weights = self.first[phase][direction], self.second[phase, direction]
        state = features / _PARTS[0]
        for layer, weight in enumerate((*weights, self.last[phase, direction])):
            state = state @ _weight(weight, _UNITS[layer]) + self.bias[layer][phase, direction]
            if layer < len(weights):
                state = _rounded(state - 0.5 / 32, 32).clamp(0, 255 / 32)
        return state[:, 0], state[:, 1]

    @property
    def chances(self) -> Tensor:
        """Of symbols ``(ACTIVITIES, LEANS, 2 * LARGEST + 1)``; without a lean signs are alike."""
        even = (self.logits[:, :1] + self.logits[:, :1].flip(-1)) / 2
        return torch.softmax(torch.cat([even, self.logits[:, 1:]], 1), -1)

    def nats(self, activity: Tensor, lean: Tensor, symbols: Tensor) -> Tensor:
        """Ideal code length of symbols, by the chances of the nearest tables."""
        plain = torch.ceil((activity.detach() - (ACTIVITIES - 1.001)) / 3).clamp(0, 15)
        activity = (activity - 3 * plain).clamp(0, ACTIVITIES - 1.001)
        size = (symbols.abs() >> plain.long()).clamp(max=LARGEST)
        symbol = size * torch.sign(symbols) * torch.where(lean < 0, -1, 1) + LARGEST
        lean = lean.abs().clamp(max=LEANS - 1.001)
        row, column = activity.long(), lean.long()
        down, right = activity - row, lean - column
        chances = self.chances
        told = (1 - down) * (1 - right) * chances[row, column, symbol]
        told = told + (1 - down) * right * chances[row, column + 1, symbol]
        told = told + down * (1 - right) * chances[row + 1, column, symbol]
        told = told + down * right * chances[row + 1, column + 1, symbol]
        return plain * math.log(2) - torch.log(told + 1e-9)

    @torch.no_grad()
    def whole(self) -> BandNetwork:
        """The network in whole numbers, with the tables that were learned."""
        weights = [*self.first, self.second, self.last]
        units = (*[_UNITS[0]] * len(SIGNED), *_UNITS[1:])
        sums = [part * unit for part, unit in zip(_PARTS, _UNITS, strict=True)]
        biases = [
            torch.round((bias + (0.5 if one == len(sums) - 1 else 0)) * total)
            for one, (bias, total) in enumerate(zip(self.bias, sums, strict=True))
        ]
        chances = self.chances.reshape(ACTIVITIES * LEANS, -1).double().numpy()
        return BandNetwork(
            tuple(
                torch.round(weight.clamp(-127 / unit, 127 / unit) * unit).to(torch.int8).numpy()
                for weight, unit in zip(weights, units, strict=True)
            ),
            tuple(bias.to(torch.int32).numpy() for bias in biases),
            np.floor(chances * TOTAL).astype(np.int32),
        )


def _first_logits() -> Tensor:
    """Magnitudes that fall alike, by activity; the larger the lean, the likelier one sign."""
    mean = 2 ** (torch.arange(ACTIVITIES) / 3) / 256
    share = (mean / (mean + 1))[:, None]
    symbol = torch.arange(-LARGEST, LARGEST + 1)
    falling = share / 2 * (1 - share) * share ** (symbol.abs() - 1).clamp(min=0)
    logits = torch.log(torch.where(symbol == 0, 1 - share, falling) + 1e-7)[:, None]
    return logits + 0.5 * torch.arange(LEANS)[:, None] * torch.sign(symbol)


def _weight(weight: Tensor, unit: int) -> Tensor:
    return _rounded(weight.clamp(-127 / unit, 127 / unit), unit)


def _rounded(values: Tensor, parts: int) -> Tensor:
    """Values in whole parts; the gradient passes as if they were not."""
    return values + (torch.round(values * parts) / parts - values).detach()
