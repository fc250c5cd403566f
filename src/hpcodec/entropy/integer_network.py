"""From features to how large a symbol may be: a small network of whole numbers.

    features --ActivityNetwork--> activity, in thirds of an octave of the symbol's magnitude

Weights have 8 bits, states 8 bits, and no sum exceeds 2**24, so that float32 products and sums of
them are exact in any order: the integer networks of Balle et al. (2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["HIDDEN", "ActivityNetwork"]

Integers = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

HIDDEN = 32

# Places that the network takes at a time. So few stay in the cache, and a BLAS does not share them
# out: its threads would go on waiting for more on the cores that torch is to use next.
_ROWS = 512


@dataclass(frozen=True, eq=False)
class ActivityNetwork:
    """Two hidden layers of whole numbers for each component.

    Parameters
    ----------
    weights : tuple of ndarray of int8
        ``(3, FEATURES, HIDDEN)``, ``(3, HIDDEN, HIDDEN)`` and ``(3, HIDDEN, 1)``.
    biases : tuple of ndarray of int32
        ``(3, HIDDEN)``, ``(3, HIDDEN)`` and ``(3, 1)``.
    """

    weights: tuple[npt.NDArray[np.int8], ...]
    biases: tuple[Integers, ...]

    SHIFTS = (6, 5, 8)
    """Each layer's sums are divided by two to the power of these, rounding down."""

    MOST_BIAS = 1 << 22

    def __call__(self, component: int, features: Bytes) -> npt.NDArray[np.int64]:
        """Activity ``(places,)`` of the symbols with ``features`` ``(places, FEATURES)``."""
        layers = [
            (
                weight[component].T * np.float32(0.5**shift),
                bias[component][:, None] * np.float32(0.5**shift),
            )
            for weight, bias, shift in zip(self.weights, self.biases, self.SHIFTS, strict=True)
        ]
        activity = np.empty(len(features), np.int64)
        for start in range(0, len(features), _ROWS):
            part = slice(start, start + _ROWS)
            state = features[part].T.astype(np.float32)
            for weight, bias in layers:
                whole = weight @ state
                whole += bias
                np.floor(whole, out=whole)
                state = np.clip(whole, 0, 255)
            activity[part] = whole[0]
        return activity
