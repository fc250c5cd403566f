"""Quantisation of the compressed field, and what it costs.

surprise / step -> symbols (integers, mostly zero) -> surprise, quantised
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["DEAD_ZONE", "dequantise", "information", "quantise"]

DEAD_ZONE = 0.62
"""A surprise below this part of a step is dropped; measured on the validation fields."""


def quantise(surprise: Tensor, step: Tensor) -> Tensor:
    """Symbols of a surprise: whole numbers, in the dtype of the input.

    Uniform reconstruction with a dead zone: smaller surprises round towards zero, which costs a
    little error and saves many bits.
    """
    scaled = surprise / step
    return scaled.sign() * torch.floor(scaled.abs() + (1 - DEAD_ZONE))


def dequantise(symbols: Tensor, step: Tensor) -> Tensor:
    """Surprise that :func:`quantise` turned into ``symbols``, to within the step."""
    return symbols * step


def information(surprise: Tensor, step: Tensor) -> Tensor:
    """Smooth stand-in for the bits of each symbol, in nats, for training.

    Grows with the logarithm of large surprises, as an adaptive code's length does, and with the
    square of small ones, which the dead zone leaves in the field as error.
    """
    return 0.5 * torch.log1p(4 * (surprise / step).square())
