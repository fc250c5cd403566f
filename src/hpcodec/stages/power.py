"""Power that decoding loses of each level, told in a byte, and given back by those who ask for it.

wanted and decoded residual --power_lost--> 0 to 64 --amplitude--> factor for the residual
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hpcodec.grid import BASE_LEVEL

__all__ = ["amplitude", "power_lost"]

_OCTAVE = 16
_MOST = 64  # four times the amplitude: beyond, what is left is no picture of what was


def power_lost(wanted: Tensor, decoded: Tensor) -> list[int]:
    """Of residuals ``(n, 3, 12, nside, nside)``, each field's loss in 16ths of an octave."""
    power, left = (part.square().flatten(1).sum(1) for part in (wanted, decoded))
    # Where nothing is left there is nothing to give back to.
    octaves = torch.where(left > 0, torch.log2(power / left), torch.zeros_like(left))
    return torch.round(octaves.nan_to_num() * _OCTAVE).clamp(0, _MOST).to(torch.int64).tolist()


def amplitude(power: Sequence[int], level: int) -> float:
    """Factor that gives the residual of ``level`` its power back; 1 beyond the coded levels."""
    number = level - BASE_LEVEL - 1
    return float(2.0 ** (power[number] / (2 * _OCTAVE))) if number < len(power) else 1.0
