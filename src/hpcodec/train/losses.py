"""What training minimises: bits of what is coded, error of what is predicted.

faces --analyse--> means at the bottleneck --code, predict, level by level--> loss
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hpcodec.networks.field_space import FieldSpaceAutoencoder, Pad, Setting
from hpcodec.networks.rate import dequantise, information, quantise
from hpcodec.networks.scales import merge, split

__all__ = ["Losses", "autoencode"]

# Below so many nats for each number, and so small a part of the squared step, less is no gain:
# other levels then have the bytes and the error.
_FEW, _CLOSE = 0.02, 0.01


@dataclass(frozen=True)
class Losses:
    """Parts of the loss of one batch, each a scalar tensor in nats.

    Parameters
    ----------
    rate : Tensor
        Logarithm of the information in the surprises of the coded levels, mean over levels and
        fields: so a smooth field counts as much as a rough one.
    error : Tensor
        Logarithm of the RMSE of every level, mean over levels and fields.
    total : Tensor
        Logarithm of the RMSE of the decoded field.
    """

    rate: Tensor
    error: Tensor
    total: Tensor

    @property
    def loss(self) -> Tensor:
        """The sum that is minimised: halving the error is worth four times the bytes."""
        return self.rate + 2 * self.error + self.total


def decompose(field: Tensor, level: int, last: int) -> dict[int, Tensor]:
    """A field ``(n, F, side, side)`` averaged to every level from its own down to ``last``."""
    means = {level: field}
    for finer in range(level, last, -1):
        means[finer - 1] = split(means[finer])[0]
    return means


def autoencode(
    network: FieldSpaceAutoencoder,
    field: Tensor,
    statics: dict[int, Tensor],
    setting: Setting,
    pad: Pad,
    *,
    levels: range,
    given: int,
) -> Losses:
    """Code and decode a batch, in closed loop, as compression does, and measure the losses.

    Parameters
    ----------
    network : FieldSpaceAutoencoder
        In training mode.
    field : Tensor
        ``(n, F, side, side)``, normalised.
    statics, setting, pad
        See :class:`FieldSpaceAutoencoder`.
    levels : range
        Levels to decode, up to the field's own; the parents of the first are given.
    given : int
        Level that the encoder is shown: below the field's own, the finer residuals are masked
        and yet to be decoded (Meuer et al. 2026, section 3.5). Not above the bottleneck, there is
        no encoder.
    """
    *_, finest = levels
    truth = decompose(field, finest, levels.start - 1)
    # The encoder moves the gradient of the whole chain; without it each level learns alone.
    chained = given > setting.bottleneck
    coded = truth
    if chained:
        shown = network.analyse(truth[given], statics, setting, pad)
        coded = decompose(shown, setting.bottleneck, levels.start - 1)
    known = coded[levels.start - 1]
    decoded = known + (torch.rand_like(known) - 0.5) * setting.step_at(levels.start)[:, 0]
    rates, errors = [], []
    for level in levels:
        parent = decoded if chained else decoded.detach()
        step = setting.step_at(level)[:, 0]
        surprises: list[Tensor] = []
        code = None
        if level <= setting.bottleneck:
            code = partial(_code, split(coded[level])[1], step, surprises)
        residual = network.residual(level, parent, statics, setting, code, pad)
        missed = (split(truth[level])[1] - residual).square().flatten(1).mean(1)
        if surprises:
            nats = information(torch.stack(surprises, 1), step[:, None]).flatten(1).mean(1)
            rates.append(torch.log(nats + _FEW).mean())
            errors.append(0.5 * torch.log(missed + _CLOSE * step.flatten().square()).mean())
        else:
            errors.append(0.5 * torch.log(missed + _floor(network, level)).mean())
        decoded = merge(parent, residual)
    total = (decoded - field).square().flatten(1).mean(1)
    zero = total.new_zeros(())
    return Losses(
        rate=torch.stack(rates).mean() if rates else zero,
        error=torch.stack(errors).mean(),
        total=0.5 * torch.log(total + _floor(network, finest)).mean() if chained else zero,
    )


def _code(
    wanted: Tensor, step: Tensor, surprises: list[Tensor], component: int, guess: Tensor
) -> tuple[Tensor, Tensor]:
    """Symbols of a component and what they tell; ``surprises`` collects what the rate is of.

    Where something is coded, the decoded value follows the encoder, not the guess.
    """
    truth = wanted[:, component]
    # The encoder answers for the error only: it could lower the rate by telling nothing.
    surprises.append(truth.detach() - guess)
    exact = (truth - guess) / step
    symbols = quantise(exact.detach(), torch.ones_like(step))
    told = torch.where(symbols == 0, symbols, symbols + exact - exact.detach())
    return symbols, dequantise(told, step)


def _floor(network: FieldSpaceAutoencoder, level: int) -> Tensor:
    """Mean square below which an error no longer counts."""
    return (0.003 * network.spread[level - network.levels.start]).square()
