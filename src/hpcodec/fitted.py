"""A field after fitting, by either way: its payload, and what that says of fields like it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcodec.fields import CompressedField
from hpcodec.step_search import Hint

__all__ = ["Fitted"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A field after fitting.

    Parameters
    ----------
    payload : bytes
        Of the step chosen.
    shown : ndarray of float32
        ``(1, ...)``, what a reader gets before any correction, the field's unit.
    hint : Hint
        What it says of fields like it.
    field : CompressedField
        What the payload holds.
    octave : float
        Logarithm of its step over the scale of the field.
    halving : float
        Octaves of its step to half of what it was asked for; 0 where that is not known.
    left : float
        Part of its error that is likely to be left in the end: less than 1 of a draft.
    """

    payload: bytes
    shown: npt.NDArray[np.float32]
    hint: Hint
    field: CompressedField
    octave: float
    halving: float = 0.0
    left: float = 1.0
