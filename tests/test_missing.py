"""What a network is shown where nothing is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.errors import MissingValueError
from hpcodec.missing import fill_nearest, fill_smoothly

Floats = npt.NDArray[np.float32]


def holed(seed: int, part: float) -> Floats:
    rng = np.random.default_rng(seed)
    field = rng.normal(280, 5, (13, 18)).astype("f4")
    field[rng.random(field.shape) < part] = rng.choice([np.nan, np.inf, -np.inf])
    field[2, 3] = 281
    return field


@pytest.mark.parametrize("fill", [fill_nearest, fill_smoothly])
@given(seed=st.integers(0, 2**32), part=st.floats(0, 1))
def test_values_stay_and_the_rest_is_between_them(
    fill: Callable[[Floats], Floats], seed: int, part: float
) -> None:
    field = holed(seed, part)
    before, filled = field.copy(), fill(field)
    kept = np.isfinite(field)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[kept], field[kept])
    assert field[kept].min() <= filled.min() <= filled.max() <= field[kept].max()
    np.testing.assert_array_equal(field, before)


def test_whole_fields_pass_untouched() -> None:
    whole = holed(0, 0)
    assert fill_smoothly(whole) is whole
    np.testing.assert_array_equal(fill_nearest(whole), whole)


@pytest.mark.parametrize("shape", [(37, 72), (4, 4), (5, 9), (180, 360)])
def test_one_value_makes_a_constant_field(shape: tuple[int, int]) -> None:
    field = np.full(shape, np.nan, "f4")
    field[1, 2] = 281.3
    np.testing.assert_array_equal(fill_smoothly(field), np.full(shape, 281.3, "f4"))


def test_no_value_at_all() -> None:
    nothing = np.full((6, 8), np.nan, "f4")
    assert not fill_smoothly(nothing).any()
    with pytest.raises(MissingValueError, match=r"without\. Leave it out"):
        fill_nearest(nothing)


def test_the_surface_is_smooth() -> None:
    latitude = np.linspace(90, -90, 73)[:, None]
    field = (280 + 20 * np.cos(np.deg2rad(2 * latitude)) + np.zeros(144)).astype("f4")
    gap = field.copy()
    gap[20:40, 30:60] = np.nan
    surface = fill_smoothly(gap)
    steps = [np.abs(np.diff(one, axis=axis)).max() for one in (surface, field) for axis in (0, 1)]
    assert steps[0] < 2 * steps[2]
    assert steps[1] < 2
    assert np.abs(fill_nearest(gap) - field).max() > np.abs(surface - field).max()


@given(shift=st.integers(0, 8))
def test_nearest_knows_no_first_meridian(shift: int) -> None:
    field = np.full((3, 9), np.nan, "f4")
    field[1, 2] = 7
    turned = fill_nearest(np.roll(field, shift, 1))
    np.testing.assert_array_equal(turned, np.full((3, 9), 7, "f4"))
