"""A stage that tells the residual of one level: three components of each parent, one by one.

fields (n, inputs, side, side) [+ attended features] --trunk--> features of each parent
features, components decoded before --guess--> next component
features, all decoded components    --settle--> what the symbols around say about each other

Convolutions over the parents' own grid: they see every parent, where attention sees tokens of four.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpcodec.networks.stage import in_parts

__all__ = ["COMPONENTS", "ResidualStage"]

COMPONENTS = 3
"""Numbers in the residual of a parent: four children, less their mean."""

_REACH = 3  # parents on each side that a linear guess sees

_PART = 2**14  # cells that a CPU works on at a time: measured, a face of level 8

_KERNELS = 4  # linear guesses, mixed: smooth fields want others than rough ones

_LARGEST = 8.0  # symbols beyond say no more about what comes next


class ResidualStage(nn.Module):
    """Guess of a level's residual from the decoded parents and what is decoded of the level.

    Parameters
    ----------
    inputs : int
        Fields in, the first of which is the decoded parents.
    attended : int
        Attended features in; may be 0.
    width : int
        Features of each parent.
    blocks : int
        Residual convolution blocks, at least two.
    condition : int
        Length of the embedding that shifts and scales the features.
    """

    def __init__(
        self, inputs: int, attended: int, *, width: int, blocks: int, condition: int
    ) -> None:
        super().__init__()
        self.halo = blocks + 2
        self.stem = nn.Conv2d(inputs + attended, width, 3)
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 3) for _ in range(blocks))
        self.add = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(blocks))
        self.modulate = nn.Linear(condition, 2 * width * blocks)
        # Each decoded component is told as its symbol and as its value.
        self.hidden = nn.ModuleList(
            nn.Conv2d(width + 2 * before, width, 3) for before in range(COMPONENTS + 1)
        )
        counts = (1,) * COMPONENTS + (COMPONENTS,)
        self.head = nn.ModuleList(nn.Conv2d(width, count, 1) for count in counts)
        # Near-linear from the start: what needs no context is learned in a few steps.
        self.linear = nn.Conv2d(1, _KERNELS * COMPONENTS, 2 * _REACH + 1, bias=False)
        self.share = nn.Linear(condition, _KERNELS)
        for gate in (self.modulate, *self.add, *self.head, self.linear):
            for parameter in gate.parameters():
                nn.init.zeros_(parameter)

    def trunk(self, fields: Tensor, attended: Tensor | None, condition: Tensor) -> Tensor:
        """Features of each parent, with a ring around them.

        Parameters
        ----------
        fields : Tensor
            ``(n, inputs, side + 2 * halo, side + 2 * halo)``.
        attended : Tensor, optional
            ``(n, attended, side, side)``.
        condition : Tensor
            ``(n, condition)``.

        Returns
        -------
        Tensor
            ``(n, width + 3, side + 2, side + 2)``: the features, then the linear guess.
        """
        if attended is None:
            return in_parts(self._trunk, _PART, fields, condition)
        edge = functional.pad(attended, (self.halo,) * 4, mode="replicate").to(fields.dtype)
        return in_parts(self._trunk, _PART, torch.cat([fields, edge], 1), condition)

    def _trunk(self, fields: Tensor, condition: Tensor) -> Tensor:
        ring = self.halo - _REACH - 1  # of the rest the kernel takes its reach, the ring one cell
        inset = slice(ring, fields.shape[-1] - ring)
        kernels = self.linear(fields[:, :1, inset, inset]).unflatten(1, (_KERNELS, COMPONENTS))
        smooth = torch.einsum("nk,nkcyx->ncyx", self.share(condition).to(kernels.dtype), kernels)
        features = self.stem(fields.contiguous(memory_format=torch.channels_last))
        shift, scale = self.modulate(condition)[..., None, None].chunk(2, 1)
        parts = zip(shift.chunk(len(self.mix), 1), scale.chunk(len(self.mix), 1), strict=True)
        for mix, add, (shift, scale) in zip(self.mix, self.add, parts, strict=True):
            update = mix(functional.silu(features * (1 + scale) + shift))
            features = features[..., 1:-1, 1:-1] + add(functional.silu(update))
        return torch.cat([functional.silu(features), smooth.to(features.dtype)], 1)

    def guess(self, component: int, features: Tensor, seen: list[Tensor]) -> Tensor:
        """Component ``(n, 1, side, side)`` from ``trunk``'s features and what is decoded.

        ``seen`` holds the symbols and values of the components before, each ``(n, 1, side, side)``.
        """
        smooth = features[:, component - COMPONENTS, None, 1:-1, 1:-1]
        return self._answer(component, features, seen) + smooth

    def settle(self, features: Tensor, seen: list[Tensor]) -> Tensor:
        """Correction ``(n, 3, side, side)`` of the decoded components, now that all are known."""
        return self._answer(COMPONENTS, features, seen)

    def _answer(self, number: int, features: Tensor, seen: list[Tensor]) -> Tensor:
        if not seen:
            return in_parts(partial(self._head, number), _PART, features)
        squashed = torch.cat([part.clamp(-_LARGEST, _LARGEST) / 4 for part in seen], 1)
        around = functional.pad(squashed, (1,) * 4, mode="replicate").to(features.dtype)
        return in_parts(partial(self._head, number), _PART, features, around)

    def _head(self, number: int, features: Tensor, *around: Tensor) -> Tensor:
        known = torch.cat([features[:, :-COMPONENTS], *around], 1)
        hidden = self.hidden[number](known.contiguous(memory_format=torch.channels_last))
        answer: Tensor = self.head[number](functional.silu(hidden))
        return answer
