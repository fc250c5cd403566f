from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.errors import MissingValueError, UsageError
from hpcodec.missing import fill_missing, fill_nearest

Floats = npt.NDArray[np.float32]


def fields() -> Floats:
    return np.arange(2 * 5 * 8, dtype="f4").reshape(2, 5, 8)


def test_whole_fields_pass_untouched() -> None:
    whole = fields()
    assert fill_missing(whole, "", "tas") is whole
    np.testing.assert_array_equal(fill_nearest(whole[0]), whole[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refused_unless_told(value: float) -> None:
    holed = fields()
    holed[1, 2, 3:5] = value
    with pytest.raises(MissingValueError, match=r"'tas' has 2 missing or infinite.*--fill"):
        fill_missing(holed, "", "tas")


@pytest.mark.parametrize(("fill", "number"), [("0", 0), ("-1.5", -1.5), ("2e2", 200)])
def test_a_number(fill: str, number: float) -> None:
    holed = fields()
    holed[0, 0, 0], holed[1, 4, 7] = np.nan, np.inf
    filled = fill_missing(holed, fill, "tas")
    assert filled.dtype == np.float32
    assert filled[0, 0, 0] == filled[1, 4, 7] == number
    kept = np.isfinite(holed)
    np.testing.assert_array_equal(filled[kept], holed[kept])
    assert np.isnan(holed[0, 0, 0])  # the input is left alone


@pytest.mark.parametrize("fill", ["closest", "1,5", "0x10"])
def test_neither_word_nor_number(fill: str) -> None:
    holed = np.full((1, 4, 4), np.nan, "f4")
    with pytest.raises(UsageError, match=f"got '{fill}'"):
        fill_missing(holed, fill, "tas")


@pytest.mark.parametrize("fill", ["nan", "inf", "-inf", "1e99"])
def test_a_fill_must_be_finite(fill: str) -> None:
    holed = np.full((1, 4, 4), np.nan, "f4")
    with pytest.raises(UsageError, match=f"got '{fill}'"):
        fill_missing(holed, fill, "tas")


def test_nearest_goes_round_the_globe() -> None:
    field = np.full((3, 8), np.nan, "f4")
    field[1, 0], field[1, 4] = 1, 5
    filled = fill_nearest(field)
    assert filled[1].tolist() == [1, 1, filled[1, 2], 5, 5, 5, filled[1, 6], 1]
    assert filled[1, 7] == 1  # the last column is next to the first


def test_nearest_needs_a_value() -> None:
    with pytest.raises(MissingValueError, match=r"without\. Leave it out"):
        fill_nearest(np.full((3, 4), np.nan, "f4"))
    holed = np.stack([np.ones((3, 4), "f4"), np.full((3, 4), np.inf, "f4")])
    with pytest.raises(MissingValueError, match="Leave it out"):
        fill_missing(holed, "nearest", "tas")


@given(seed=st.integers(0, 2**32), part=st.floats(0, 0.95))
def test_nearest_invents_nothing(seed: int, part: float) -> None:
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(6, 9)).astype("f4")
    holed = np.where(rng.random(field.shape) < part, np.float32(np.nan), field)
    holed[2, 3] = field[2, 3]
    filled = fill_missing(holed[None], "nearest", "tas")[0]
    assert np.isin(filled, holed).all()
    kept = np.isfinite(holed)
    np.testing.assert_array_equal(filled[kept], holed[kept])


@given(shift=st.integers(0, 8))
def test_nearest_knows_no_first_meridian(shift: int) -> None:
    field = np.full((3, 9), np.nan, "f4")
    field[1, 2] = 7
    turned = fill_nearest(np.roll(field, shift, 1))
    np.testing.assert_array_equal(turned, np.full((3, 9), 7, "f4"))
