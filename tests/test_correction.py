"""Corrections: the bound holds, here and where decoding differs by all of the reserve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.correction import corrected, correction_for, read_correction, reserve
from hpcodec.errors import FormatError, UsageError
from tests.synthetic import Floats, waves

SCALE = 2.0


def decoded_field(noise: float, seed: int = 0) -> tuple[Floats, Floats]:
    truth = waves(1, seed=seed)[0]
    rng = np.random.default_rng(seed)
    return truth, np.asarray(truth + noise * rng.standard_normal(truth.shape), np.float32)


def largest(truth: Floats, other: Floats) -> float:
    return float(np.abs(truth.astype(np.float64) - other).max())


@settings(deadline=None, max_examples=25)
@given(noise=st.floats(0, 30), bound=st.floats(0.003, 10), offset=st.sampled_from([0, 1e5, -3e7]))
def test_the_bound_holds_wherever_it_is_decoded(noise: float, bound: float, offset: float) -> None:
    truth, decoded = decoded_field(noise)
    truth, decoded = truth + np.float32(offset), decoded + np.float32(offset)
    kept = reserve(truth, SCALE)
    if bound < 2 * kept:
        return
    code = correction_for(truth, decoded, bound, SCALE)
    assert largest(truth, corrected(decoded, code)) <= bound
    rng = np.random.default_rng(1)
    for push in (kept, -kept, kept * rng.choice([-1, 1], truth.shape)):
        # An eighth of the reserve, two spacings and more, is for rounding the sum.
        moved = np.asarray(decoded + push * (1 - 2**-3), np.float32)
        assert largest(truth, corrected(moved, code)) <= bound


def test_nothing_is_corrected_within_the_bound() -> None:
    truth, decoded = decoded_field(0.01)
    assert correction_for(truth, decoded, 1, SCALE) == b""
    assert correction_for(truth, truth, 0, SCALE) == b""
    np.testing.assert_array_equal(corrected(decoded, b""), decoded)


def test_missing_points_are_not_corrected() -> None:
    truth, decoded = decoded_field(3)
    truth[3:9, 10:20] = np.nan
    code = correction_for(truth, decoded, 1, SCALE)
    found = corrected(decoded, code)
    assert float(np.nanmax(np.abs(truth - found))) <= 1
    np.testing.assert_array_equal(found[3:9, 10:20], decoded[3:9, 10:20])


def test_few_beyond_the_bound_take_few_bytes() -> None:
    truth, decoded = decoded_field(0.3)
    beyond = int((np.abs(truth - decoded) > 0.95).sum())
    assert 0 < beyond < 20
    assert len(correction_for(truth, decoded, 1, SCALE)) < 40 + 4 * beyond


def test_a_bound_that_float32_cannot_keep() -> None:
    truth, decoded = decoded_field(1)
    with pytest.raises(UsageError, match="larger maximum error"):
        correction_for(truth, decoded, reserve(truth, SCALE), SCALE)
    with pytest.raises(UsageError, match="twice what decoding"):
        correction_for(truth, decoded, 0, SCALE)


def test_damage_is_one_error() -> None:
    truth, decoded = decoded_field(3)
    code = correction_for(truth, decoded, 1, SCALE)
    infinite = np.array([np.inf], "<f4").tobytes()
    for bad in (code[:3], b"\2" + code[1:], b"\1" + infinite + code[5:], code[:7], code[:-1]):
        with pytest.raises(FormatError, match="expected"):
            read_correction(bad, truth.shape)
