"""Consecutive times: what one field tells of the next.

The surprises of a field (what its network could not guess: a lake, a cold pool, a front) are still
there at the next time, in part. A field that follows another codes only what is new.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CARRY_ALL", "Trail"]

CARRY_ALL = 64
"""A carry that keeps the whole."""


@dataclass(frozen=True, eq=False)
class Trail:
    """Base field and surprises of the field before, for one field.

    Parameters
    ----------
    base : Tensor
        ``(1, 12, 8, 8)``, normalised units.
    surprises : dict of int to Tensor
        For each coded level ``(1, 3, 12, nside, nside)``, normalised units.
    """

    base: Tensor
    surprises: dict[int, Tensor]

    def likeness(self, level: int, surprise: Tensor) -> int:
        """Carry with which the trail comes closest to a first component's surprise."""
        before = self.surprises[level][:, 0]
        power = before.square().sum()
        share = torch.where(power > 0, (before * surprise).sum() / power, power)
        return int(torch.round(share * CARRY_ALL).clamp(0, CARRY_ALL))

    def carried(self, level: int, component: int, carry: int) -> Tensor:
        """Surprise expected of a component, ``(1, 12, nside, nside)``."""
        return self.surprises[level][:, component] * (carry / CARRY_ALL)
