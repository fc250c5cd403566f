"""Field-space attention over the tokens of a face (Witte et al. 2025; Meuer et al. 2026, 3).

    field (n, side, side, width) -> normalise, modulate -> attention in windows -> added
                                 -> normalise, modulate -> MLP with overlap     -> added

A token is everything under one cell of the token level. Every intermediate state is the input
field plus updates: there is no other stream.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SHIFT", "WINDOW", "FieldSpaceBlock"]

WINDOW = 4
"""Tokens along the edge of an attention window."""

SHIFT = WINDOW // 2
"""Tokens of halo that one block consumes: the next block's windows straddle this block's seams."""


class FieldSpaceBlock(nn.Module):
    """Attention, then an MLP, each added to the field (Witte et al. 2025, eqs. 5 to 8).

    Parameters
    ----------
    width : int
        Numbers in a token.
    heads : int
        Attention heads; divides ``width``.
    expansion : int
        Hidden width of the MLP over ``width``.
    condition : int
        Length of the embedding that shifts and scales the normalised field.
    """

    def __init__(self, width: int, heads: int, expansion: int, condition: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(condition, 4 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.bias = nn.Parameter(torch.zeros(heads, WINDOW**2, WINDOW**2))
        self.project = nn.Linear(width, width)
        self.expand = nn.Linear(width, expansion * width)
        # Token overlap: each hidden number also sees itself in the eight tokens around.
        self.overlap = nn.Conv2d(expansion * width, expansion * width, 3, groups=expansion * width)
        self.reduce = nn.Linear(expansion * width, width)
        # Zero-initialised gates: an untrained block leaves the field as it is.
        for gate in (self.modulate, self.project, self.reduce):
            nn.init.zeros_(gate.weight)
            nn.init.zeros_(gate.bias)

    def forward(self, field: Tensor, condition: Tensor) -> Tensor:
        """Updated field, ``SHIFT`` tokens smaller on each side.

        Parameters
        ----------
        field : Tensor
            ``(n, side, side, width)``, side a multiple of ``WINDOW``.
        condition : Tensor
            ``(n, condition)``.
        """
        shift, scale, shift_mlp, scale_mlp = self.modulate(condition)[:, None, None].chunk(4, -1)
        field = field + self._attend(self.norm(field) * (1 + scale) + shift)
        field = field[:, 1:-1, 1:-1]
        hidden = self.expand(self.norm(field) * (1 + scale_mlp) + shift_mlp)
        hidden = self.overlap(hidden.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        update: Tensor = self.reduce(functional.gelu(hidden))
        return field[:, 1:-1, 1:-1] + update

    def _attend(self, field: Tensor) -> Tensor:
        count, side, _, width = field.shape
        across = side // WINDOW
        grid = field.view(count, across, WINDOW, across, WINDOW, width)
        windows = grid.transpose(2, 3).reshape(count * across**2, WINDOW**2, width)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(windows).chunk(3, -1)
        )
        bias = self.bias.to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
        tokens: Tensor = self.project(mixed.transpose(1, 2).flatten(-2))
        grid = tokens.view(count, across, across, WINDOW, WINDOW, width).transpose(2, 3)
        return grid.reshape(count, side, side, width)
