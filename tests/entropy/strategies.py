"""Symbols and entropy models for hypothesis."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from tests.tiny import fitted_entropy, flat_entropy

Integers = npt.NDArray[np.int32]

EXTREMES = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), 2**31 - 1, 24, -24, -25])

MODELS = st.sampled_from([flat_entropy, fitted_entropy])
"""Functions that give a model, so that learning it waits until a test asks."""


@st.composite
def symbols(draw: st.DrawFn, *shape: int) -> Integers:
    """Integers of every magnitude, in bulk small or large, with a few of any size strewn in."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = 2.0 ** draw(st.floats(-3, 30))
    drawn = np.clip(np.rint(rng.laplace(0, spread, shape)), -(2**31), 2**31 - 1)
    values = drawn.astype(np.int64).astype(np.int32)
    for place, value in draw(st.dictionaries(st.integers(0, values.size - 1), EXTREMES)).items():
        values.flat[place] = value
    return values
