from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import GridError
from hpcodec.fields import Scaling
from hpcodec.grid import cell_count
from hpcodec.stages.normalise import (
    denormalise,
    lowered,
    measure_limits,
    measure_scaling,
    normalise,
    raised,
    within,
)
from tests.tiny import smooth_cells

SCALINGS = st.builds(Scaling, st.floats(-1e5, 1e5), st.floats(1e-6, 1e6))


@given(scaling=st.lists(SCALINGS, min_size=1, max_size=4), seed=st.integers(0, 2**32))
def test_denormalise_inverts(scaling: list[Scaling], seed: int) -> None:
    cells = np.random.default_rng(seed).normal(size=(len(scaling), 48)).astype("f4")
    kept = cells.copy()
    physical = denormalise(cells, scaling)
    assert physical.dtype == np.float32
    np.testing.assert_array_equal(cells, kept)
    for row, one in enumerate(scaling):
        # Two roundings to float32, one of them beside the offset.
        allowed = 1e-6 * (1 + abs(one.offset) / one.scale)
        np.testing.assert_allclose(
            normalise(physical, scaling)[row], cells[row], rtol=1e-6, atol=allowed
        )


@settings(max_examples=25, deadline=None)
@given(
    level=st.integers(3, 6),
    offset=st.floats(-1000, 1000),
    factor=st.sampled_from([2.0**k for k in range(-30, 31, 10)]),
)
def test_scaling_follows_the_unit(level: int, offset: float, factor: float) -> None:
    (field,) = smooth_cells(level)
    plain, other = measure_scaling(field), measure_scaling((field * factor).astype("f4"))
    assert other.scale == pytest.approx(plain.scale * factor, rel=1e-6)
    assert other.offset == pytest.approx(plain.offset * factor, rel=1e-6)
    shifted = measure_scaling((field + np.float32(offset)).astype("f4"))
    assert shifted.scale == pytest.approx(plain.scale, rel=1e-2)


def test_normal_noise_has_scale_one() -> None:
    field = np.random.default_rng(0).normal(5, 2, cell_count(7)).astype("f4")
    scaling = measure_scaling(field)
    assert scaling.offset == pytest.approx(5, abs=0.05)
    assert scaling.scale == pytest.approx(2, rel=0.05)


def test_steady_pattern_does_not_count() -> None:
    weather = np.random.default_rng(0).normal(size=cell_count(7)).astype("f4")
    pattern = np.linspace(-100, 100, cell_count(5)).repeat(16).astype("f4")
    assert measure_scaling(weather + pattern).scale == pytest.approx(
        measure_scaling(weather).scale, rel=0.01
    )


@pytest.mark.parametrize("value", [0, -3.5, 280.1, 1e-40])
def test_a_constant_field_has_the_least_scale(value: float) -> None:
    scaling = measure_scaling(np.full(cell_count(6), value, "f4"))
    assert scaling == Scaling(float(np.float32(value)), float(np.finfo(np.float32).tiny))


@pytest.mark.parametrize("value", [1, 1e-10, 1e-28])
def test_rain_in_one_place_has_a_scale(value: float) -> None:
    field = np.zeros(cell_count(6), "f4")
    field[1000] = value
    scaling = measure_scaling(field)
    assert 0 < scaling.scale < value
    assert np.isfinite(normalise(field[None], [scaling])).all()


@given(st.floats(2.0**-149, 2.0**-96, width=32), st.sampled_from([1, 400, 48000]))
def test_scale_survives_float32(value: float, places: int) -> None:
    field = np.zeros(cell_count(6), "f4")
    field[:places] = value
    assert np.float32(measure_scaling(field).scale) > 0


def test_whole_spheres_only() -> None:
    with pytest.raises(GridError, match="whole sphere"):
        measure_scaling(np.zeros(100, "f4"))


@given(
    fields=st.integers(1, 3).flatmap(
        lambda n: st.lists(
            st.lists(st.floats(width=32, allow_nan=False), min_size=6, max_size=6),
            min_size=n,
            max_size=n,
        )
    ),
    seed=st.integers(0, 2**32),
)
def test_nothing_is_beyond_the_limits(fields: list[list[float]], seed: int) -> None:
    truth = np.array(fields, "f4").reshape(-1, 2, 3)
    limits = measure_limits(truth)
    np.testing.assert_array_equal(within(truth, limits), truth)
    noise = np.random.default_rng(seed).normal(0, 1e3, truth.shape)
    decoded = (truth.astype("f8") + noise).clip(-3e38, 3e38).astype("f4")
    shown = within(decoded, limits)
    assert shown.dtype == np.float32
    for one, (low, high) in zip(shown, limits, strict=True):
        assert one.min() >= low
        assert one.max() <= high
    # Never farther from the truth, and what lies within is left alone.
    assert (np.abs(shown.astype("f8") - truth) <= np.abs(decoded.astype("f8") - truth)).all()
    for one, was, (low, high) in zip(shown, decoded, limits, strict=True):
        inside = (was >= low) & (was <= high)
        np.testing.assert_array_equal(one[inside], was[inside])


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    exponent=st.floats(0.2, 1),
)
def test_a_power_is_undone(values: list[float], exponent: float) -> None:
    fields = np.array([values], "f4")
    powers = raised(fields, exponent)
    assert powers.dtype == np.float32
    np.testing.assert_array_equal(np.sign(powers), np.sign(fields))
    order = np.argsort(fields[0])
    assert (np.diff(powers[0][order]) >= 0).all()
    np.testing.assert_allclose(lowered(powers, exponent), fields, rtol=1e-5)
