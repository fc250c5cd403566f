"""A stage of field-space attention on one level of a face.

fields (n, inputs, side, side) -> tokens of 2 x 2 cells -> blocks -> fields (n, outputs, side, side)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpcodec.networks.attention import SHIFT, FieldSpaceBlock

__all__ = ["FieldSpaceStage", "in_parts", "local"]

_PART = 3 * 2**14  # two or three faces of level 8


def in_parts(transform: Callable[..., Tensor], cells: int, *batches: Tensor) -> Tensor:
    """``transform`` of batches, on a CPU about ``cells`` of their cells at a time.

    What stays in the cache goes faster than all faces of all fields at once; training, and
    another device, take them whole.
    """
    if torch.is_grad_enabled() or batches[0].device.type != "cpu":
        return transform(*batches)
    part = max(1, cells // batches[0][0, 0].numel())
    parts = zip(*(torch.split(batch, part) for batch in batches), strict=True)
    return torch.cat([transform(*one) for one in parts])


class FieldSpaceStage(nn.Module):
    """From fields on one level, a few fields on the same level, by field-space attention.

    Parameters
    ----------
    inputs, outputs : int
        Fields in and out.
    width, heads, expansion, blocks, condition : int
        See :class:`FieldSpaceBlock`.

    Notes
    -----
    A token is a cell one level coarser: it holds its four cells of every input field and, by
    token overlap, two rings of cells around them.
    """

    _OVERLAP = 2
    _LOCAL = 2

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        heads: int,
        expansion: int,
        blocks: int,
        condition: int,
    ) -> None:
        super().__init__()
        self.halo = 2 * SHIFT * blocks + self._OVERLAP
        self.tokenise = nn.Conv2d(inputs, width, 2 + 2 * self._OVERLAP, stride=2)
        self.blocks = nn.ModuleList(
            FieldSpaceBlock(width, heads, expansion, condition) for _ in range(blocks)
        )
        self.detokenise = nn.Linear(width, 4 * outputs)
        # Near-linear from the start: what needs no context is learned in a few steps.
        self.linear = nn.Conv2d(1, outputs, 5, bias=False)
        for gate in (self.detokenise.weight, self.detokenise.bias, self.linear.weight):
            nn.init.zeros_(gate)

    def forward(self, fields: Tensor, condition: Tensor) -> Tensor:
        """Output fields ``(n, outputs, side, side)``.

        Parameters
        ----------
        fields : Tensor
            ``(n, inputs, side + 2 * halo, side + 2 * halo)``.
        condition : Tensor
            ``(n, condition)``.
        """
        return in_parts(self._transform, _PART, fields, condition)

    def _transform(self, fields: Tensor, condition: Tensor) -> Tensor:
        tokens: Tensor = self.tokenise(fields).permute(0, 2, 3, 1)
        for block in self.blocks:
            tokens = block(tokens, condition)
        cells = self.detokenise(functional.gelu(tokens)).permute(0, 3, 1, 2)
        inset = self.halo - 2
        smooth: Tensor = self.linear(fields[:, :1, inset:-inset, inset:-inset])
        return functional.pixel_shuffle(cells, 2) + smooth


def local(field: Tensor) -> Tensor:
    """A field minus its mean over 5 x 5 cells: what a network can generalise from.

    ``(n, 1, side + 4, side + 4)`` to ``(n, 1, side, side)``.
    """
    return field[..., 2:-2, 2:-2] - functional.avg_pool2d(field, 5, 1)
