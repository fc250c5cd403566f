"""What is told of the surroundings of symbols of bands: causal, whole, small."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.entropy.band_features import SIGNED, SIZES, BandFeatures, varying
from hpcodec.entropy.band_places import PASSES, boxes
from hpcodec.stages.wavelets import band_shapes

Integers = npt.NDArray[np.int32]

SHAPES = [(16, 17), (33, 64), (37, 72), (64, 61)]


def drawn(shape: tuple[int, int], seed: int, spread: float = 2.0) -> list[Integers]:
    random = np.random.default_rng(seed)
    return [np.rint(spread * random.laplace(size=one)).astype("i4") for one in band_shapes(shape)]


def passes(symbols: list[Integers]) -> list[tuple[int, int, npt.NDArray[np.int16]]]:
    """Features of every pass, as a decoder has them."""
    known = [symbols[0], *(np.zeros_like(band) for band in symbols[1:])]
    around, found = BandFeatures(known), []
    for number in range(1, len(symbols)):
        for phase, (row, column) in enumerate(PASSES):
            found.append((number, phase, around.features(number, phase)))
            known[number][row::2, column::2] = symbols[number][row::2, column::2]
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_features_are_as_many_as_said_and_fit_into_bytes(shape: tuple[int, int]) -> None:
    symbols = drawn(shape, 0, 1e5)
    for number, phase, features in passes(symbols):
        row, column = PASSES[phase]
        places = symbols[number][row::2, column::2].size
        assert features.shape == (SIGNED[phase] + SIZES, places)
        assert np.abs(features[: SIGNED[phase]]).max(initial=0) <= 127
        sizes = features[SIGNED[phase] :]
        assert sizes.min(initial=0) >= 0
        assert sizes.max(initial=0) <= 255


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(SHAPES), st.integers(0, 99), st.data())
def test_nothing_is_told_of_what_comes_later(
    shape: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    symbols = drawn(shape, seed)
    before = passes(symbols)
    last = data.draw(st.integers(0, len(before) - 1))
    changed = [band.copy() for band in symbols]
    for later, other, _ in before[last:]:
        row, column = PASSES[other]
        changed[later][row::2, column::2] += 7
    after = passes(changed)
    for one, two in zip(before[: last + 1], after[: last + 1], strict=True):
        np.testing.assert_array_equal(one[2], two[2])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_field_turned_turns_what_has_a_sign_and_nothing_else(shape: tuple[int, int]) -> None:
    symbols = drawn(shape, 3)
    for (_, phase, one), (_, _, two) in zip(
        passes(symbols), passes([-band for band in symbols]), strict=True
    ):
        np.testing.assert_array_equal(one[: SIGNED[phase]], -two[: SIGNED[phase]])
        np.testing.assert_array_equal(one[SIGNED[phase] :], two[SIGNED[phase] :])


def test_a_box_goes_round_the_globe_and_repeats_the_last_row() -> None:
    band = np.arange(12, dtype=np.int32).reshape(3, 4)
    wide = np.pad(np.pad(band, ((0, 0), (1, 1)), mode="wrap"), ((1, 1), (0, 0)), mode="edge")
    wanted = sum(wide[y : y + 3, x : x + 4] for y in range(3) for x in range(3))
    np.testing.assert_array_equal(boxes(band, 1)[0], wanted)
    np.testing.assert_array_equal(boxes(band, 0, 1, 2)[1], wanted)


def test_sums_beyond_whole_numbers_of_32_bits_leave_differences_alone() -> None:
    band = np.full((300, 700), 1 << 14, np.int32)
    assert (boxes(band, 4)[0] == 81 << 14).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_does_not_vary_is_one_number_of_a_pass(shape: tuple[int, int]) -> None:
    for _, phase, features in passes(drawn(shape, 5)):
        same = set(range(len(features))) - set(varying(phase))
        assert len(same) == 4
        assert all(np.ptp(features[one]) == 0 for one in same)
