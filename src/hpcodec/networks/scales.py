"""A field as the means of its parents and a residual that sums to zero inside each.

field --split--> means one level coarser, residual --merge--> field
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["merge", "split"]


def split(field: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each parent and the three residual components of its children.

    Field-space multi-scale decomposition (Meuer et al. 2026, eq. 1), written in the zero-sum
    components so that each number of the residual is free: children are the mean plus or minus
    each of the components.

    Parameters
    ----------
    field : Tensor
        ``(n, 12, side, side)``, faces.

    Returns
    -------
    mean : Tensor
        ``(n, 12, side / 2, side / 2)``.
    residual : Tensor
        ``(n, 3, 12, side / 2, side / 2)``.
    """
    a, b = field[..., 0::2, 0::2], field[..., 0::2, 1::2]
    c, d = field[..., 1::2, 0::2], field[..., 1::2, 1::2]
    # Pairwise, as in `merge`, so that the mean of merged children is exactly their parent.
    residual = torch.stack([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 4
    return ((a + d) + (b + c)) / 4, residual


def merge(mean: Tensor, residual: Tensor) -> Tensor:
    """Inverse of :func:`split`: children from their parents and residual."""
    x, y, xy = residual.unbind(1)
    field = mean.new_empty(*mean.shape[:-2], 2 * mean.shape[-2], 2 * mean.shape[-1])
    field[..., 0::2, 0::2], field[..., 0::2, 1::2] = mean + (x + y + xy), mean + (y - x - xy)
    field[..., 1::2, 0::2], field[..., 1::2, 1::2] = mean + (x - y - xy), mean + (xy - x - y)
    return field
