"""Nudge: what to add to a field so that encoding it tells less, by a gradient through the decoder.

cells, what they were encoded to --nudge--> cells to add, in steps of quantisation

An encoder that goes from coarse to fine gives each symbol the value that is best for its own level.
What it does to the guesses of finer levels shows only when these are decoded. The gradient of bits
and squared error with respect to a symbol says which way the finer levels would have liked it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpcodec.entropy.choice import worth_of_a_bit
from hpcodec.fields import CompressedField
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, level_of
from hpcodec.networks.field_space import Setting
from hpcodec.networks.rate import dequantise
from hpcodec.networks.scales import merge, split
from hpcodec.networks.sphere import to_faces, to_nested
from hpcodec.stages.trail import Trail
from hpcodec.stages.transform import Coder

__all__ = ["nudge"]

Floats = npt.NDArray[np.float32]

# Measured on the validation fields, docs/design/rate.md: the part of the way to where the gradient
# says that a symbol's own level and the finer ones together do best, and the most steps.
_PART, _MOST = 0.5, 0.5


@dataclass(eq=False)
class _Level:
    """Symbols of one level, told to the network one component after the other.

    The gradient follows what a re-encoding would do: where a symbol is not zero, another guess
    changes the symbol and so its bits; where it is zero, another guess changes the error.
    """

    symbols: Tensor
    carried: Tensor
    wanted: Tensor
    step: Tensor
    told: list[Tensor] = field(default_factory=list)
    missed: list[Tensor] = field(default_factory=list)
    bits: Tensor = field(default_factory=lambda: torch.zeros(()))

    def __call__(self, component: int, guess: Tensor) -> tuple[Tensor, Tensor]:
        """Symbols of a component and the surprise they tell; see ``networks.field_space.Code``."""
        symbols = self.symbols[:, component].requires_grad_()
        exact = (self.wanted[:, component] - guess - self.carried[:, component]) / self.step
        changes = (guess - guess.detach()) * (symbols != 0)
        surprise = dequantise(symbols, self.step)
        self.bits = self.bits + _price(symbols) * (symbols.detach().sign() * exact).sum()
        self.told.append(symbols)
        self.missed.append((surprise / self.step - exact).detach())
        return symbols, surprise + self.carried[:, component] - changes

    def nudge(self) -> Tensor:
        """Steps to add to each component ``(1, 3, 12, nside, nside)``, once there are gradients."""
        gradients = [symbols.grad for symbols in self.told]
        finer = [
            gradient / 2 - own
            for gradient, own in zip(gradients, self.missed, strict=True)
            if gradient is not None
        ]
        return (-_PART * torch.stack(finer, 1)).clamp(-_MOST, _MOST)


def nudge(
    coder: Coder,
    cells: Floats,
    compressed: CompressedField,
    *,
    variable: int = 0,
    after: Trail | None = None,
) -> Floats:
    """What to add to ``cells``, in units of the step, before they are encoded once more.

    Parameters
    ----------
    coder : Coder
        With the network.
    cells : ndarray of float32
        ``(1, 12 * 4**level)``, nested order, normalised: what decoding should give.
    compressed : CompressedField
        What ``cells``, nudged or not, were encoded to.
    variable, after
        As when encoding.

    Returns
    -------
    ndarray of float32
        ``(1, 12 * 4**level)``; zero in the mean of each base cell.
    """
    network = coder.network
    device = coder.statics[BASE_LEVEL].device
    setting = Setting(
        variable=torch.full((1,), variable, device=device),
        step=torch.tensor([compressed.step], device=device),
        bottleneck=compressed.bottleneck,
    )
    statics = {at: part[None] for at, part in coder.statics.items()}
    wanted, coarse = dict[int, Tensor](), to_faces(torch.from_numpy(cells).to(device))
    for at in range(level_of(cells.shape[-1]), BASE_LEVEL, -1):
        coarse, wanted[at] = split(coarse)
    base = to_faces(torch.from_numpy(compressed.base[None]).to(device, torch.float32))
    parent = base * setting.step_at(BASE_LEVEL + 1)[:, 0]
    parent = parent if after is None else parent + after.base
    worth, levels = worth_of_a_bit(compressed.step), dict[int, _Level]()
    with torch.enable_grad():
        cost = torch.zeros((), device=device)
        for at in sorted(wanted):
            step = setting.step_at(at)
            level = _level(compressed, at, wanted[at], step[:, 0], after)
            residual = network.residual(at, parent, statics, setting, level)
            parent = merge(parent, residual)
            cost = cost + ((residual - wanted[at]) / step).square().sum()
            if level is not None:
                levels[at], cost = level, cost + worth * level.bits
        if levels:
            cost.backward()  # type: ignore[no-untyped-call]  # torch
    added = torch.zeros_like(base)
    for at in sorted(wanted):
        own = levels[at].nudge() if at in levels else torch.zeros_like(wanted[at])
        added = merge(added, own * 2.0 ** (at - FINEST_LEVEL))
    return to_nested(added).cpu().numpy()


def _level(
    compressed: CompressedField, at: int, wanted: Tensor, step: Tensor, after: Trail | None
) -> _Level | None:
    """Symbols of a level; None beyond the bottleneck."""
    number = at - BASE_LEVEL - 1
    if number >= len(compressed.residuals):
        return None
    nested = torch.from_numpy(compressed.residuals[number]).to(wanted.device, torch.float32)
    carried = torch.zeros_like(wanted)
    if after is not None:
        share = compressed.carry[number + 1]
        carried = torch.stack([after.carried(at, c, share) for c in range(len(nested))], 1)
    return _Level(to_faces(nested)[None], carried, wanted, step)


def _price(symbols: Tensor) -> float:
    """Bits of one more step away from zero: about those that a one costs more than a zero."""
    size = symbols.abs()
    zeros, ones = int((size == 0).sum()), int((size == 1).sum())
    return max(math.log2(2 * (zeros + 1) / (ones + 1)), 0.0)
