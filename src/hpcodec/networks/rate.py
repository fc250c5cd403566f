"""Quantisation of the compressed field, and what it costs.

surprise / step -> symbols (integers, mostly zero) -> surprise, quantised
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["dequantise", "information", "quantise"]

# Measured on the validation fields. The sparser a level's symbols, the dearer each of them, and
# the larger the surprise has to be to deserve one: from 0.5 of a step where all do to 0.9.
_SPARSE, _DENSE = 0.9, 0.5
_LIKELY = 0.62

# What lies beyond the dead zone is on average a little farther out than the symbol says.
_OUTWARD = 0.1


def quantise(surprise: Tensor, step: Tensor) -> Tensor:
    """Symbols of the surprise of one level: whole numbers, in the dtype of the input.

    Uniform reconstruction with a dead zone: smaller surprises round towards zero, which costs a
    little error and saves many bits.

    Parameters
    ----------
    surprise : Tensor
        ``(n, …)``, normalised units.
    step : Tensor
        Broadcast over it.
    """
    scaled = surprise / step
    share = _share(scaled.abs() > _LIKELY)
    threshold = _SPARSE - (_SPARSE - _DENSE) * share.sqrt()
    return scaled.sign() * torch.floor(scaled.abs() + (1 - threshold))


def dequantise(symbols: Tensor, step: Tensor) -> Tensor:
    """Surprise that :func:`quantise` turned into ``symbols``, to within the step."""
    outward = _OUTWARD * (1 - _share(symbols != 0).sqrt())
    return (symbols + symbols.sign() * outward) * step


def _share(where: Tensor) -> Tensor:
    """Part of each field's numbers for which ``where`` is true; exact, being a count."""
    share = where.flatten(1).sum(1) / where[0].numel()
    return share.view(-1, *[1] * (where.ndim - 1))


def information(surprise: Tensor, step: Tensor) -> Tensor:
    """Smooth stand-in for the bits of each symbol, in nats, for training.

    Grows with the logarithm of large surprises, as an adaptive code's length does, and with the
    square of small ones, which the dead zone leaves in the field as error.
    """
    return 0.5 * torch.log1p(4 * (surprise / step).square())
