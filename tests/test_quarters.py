"""Channels of the two finest halvings."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.networks.architecture import CHANNELS
from hpcodec.quarters import LEAST, from_quarters, to_quarters
from hpcodec.stages.wavelets import from_bands, to_bands


@given(st.integers(31, 75), st.integers(31, 75), st.integers(0, 9))
def test_there_and_back(rows: int, columns: int, seed: int) -> None:
    field = np.random.default_rng(seed).standard_normal((rows, columns))
    bands = to_bands(field)
    assert len(bands) >= LEAST
    channels = to_quarters(bands)
    assert channels.shape == (CHANNELS, -(-rows // 4), -(-columns // 4))
    back = from_quarters(channels, [(band.shape[0], band.shape[1]) for band in bands])
    np.testing.assert_allclose(from_bands(back), field, atol=1e-9)
