"""What details lack, guessed from what was decoded around: a small convolutional network.

inputs, activity, variable --Restorer--> corrections of coefficients, in steps

At low rates most fine coefficients decode to zero, though relief, coasts and the coefficients
around tell something of them. The network sees the two finest halvings of a detail as 16 channels
at a quarter of its resolution (:mod:`hpcodec.quarters`), which keeps it fast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpcodec.networks.architecture import CHANNELS, RestorerShape

__all__ = ["ACTIVITIES", "INPUTS", "Restorer"]

ACTIVITIES = 5
"""Halvings whose mean magnitude is told."""

_STATICS = 2 * CHANNELS + 2
_CODED = CHANNELS + CHANNELS - 1  # symbols, and what relief explains

INPUTS = _CODED + _STATICS
"""Channels: of symbols, of what relief explains, of orography and land, and of the latitude."""


class Restorer(nn.Module):
    """Guesses what coefficients are, beyond what was decoded of them.

    Parameters
    ----------
    shape : RestorerShape
        Its configuration.
    """

    def __init__(self, shape: RestorerShape) -> None:
        super().__init__()
        width, embedding = shape.width, shape.embedding
        self.variable = nn.Embedding(1 + len(shape.variables), embedding)
        self.activity = nn.Sequential(
            nn.Linear(ACTIVITIES, embedding), nn.GELU(), nn.Linear(embedding, embedding)
        )
        self.first = _convolution(INPUTS + CHANNELS, width)
        self.blocks = nn.ModuleList(_Block(width, embedding) for _ in range(shape.blocks))
        self.last = _convolution(width, CHANNELS)
        nn.init.zeros_(self.last.weight)

    def forward(self, inputs: Tensor, activity: Tensor, variable: Tensor) -> Tensor:
        """Corrections ``(n, CHANNELS, rows, columns)``, in steps.

        Parameters
        ----------
        inputs : Tensor
            ``(n, INPUTS, rows, columns)``: coefficients in steps, then static fields.
        activity : Tensor
            ``(n, ACTIVITIES)``, logarithms.
        variable : Tensor
            ``(n,)``, embeddings.
        """
        told = functional.gelu(self.activity(activity) + self.variable(variable))
        coded, statics = inputs[:, :_CODED], inputs[:, _CODED:]
        small = torch.tanh(coded[:, :CHANNELS])
        features = self.first(torch.cat([torch.asinh(coded), statics, small], 1))
        for block in self.blocks:
            features = block(features, told)
        return torch.as_tensor(self.last(features))


class _Block(nn.Module):
    """Adds what two convolutions make of features and of what is told of the whole."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(width, width), _convolution(width, width)
        self.told = nn.Linear(embedding, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Tensor, told: Tensor) -> Tensor:
        inner = self.first(features) + self.told(told)[:, :, None, None]
        return features + torch.as_tensor(self.second(functional.gelu(inner)))


def _convolution(before: int, after: int) -> nn.Conv2d:
    """3x3, rows and columns beyond the edge repeat the last; its constants begin at zero."""
    made = nn.Conv2d(before, after, 3, padding=1, padding_mode="replicate")
    nn.init.zeros_(made.bias)  # type: ignore[arg-type]
    return made
