"""What steps are expected to give: near what they do give, and in order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.entropy.bands import encode_bands
from hpcodec.expectations import Expected
from hpcodec.stages.wavelets import from_bands, to_bands

ROWS, COLUMNS = 181, 360
AREA = np.cos(np.radians(np.linspace(90, -90, ROWS)))[:, None] + 1e-3


def bands(unit: float = 1.0) -> list[npt.NDArray[np.float64]]:
    """Of a field whose finer bands have the smaller coefficients, as those of weather."""
    rng = np.random.default_rng(3)
    found = to_bands(np.zeros((ROWS, COLUMNS)))
    for number, band in enumerate(found):
        band[:] = unit * 2.0 ** (-number / 3) * rng.laplace(size=band.shape)
    return found


def expected(base: int = 100, *, unit: float = 1.0, spared: float = 1, left: float = 1) -> Expected:
    return Expected(bands(unit), unit, AREA, COLUMNS, base, spared=spared, left=left)


@pytest.mark.parametrize("octave", [-6.0, -4.0, -3.0])
def test_bytes_and_error_are_about_those_of_a_step(octave: float) -> None:
    step = 2.0**octave
    symbols, code = encode_bands([band / step for band in bands()], 0.1)
    error = from_bands(bands()) - from_bands([step * one.astype(float) for one in symbols])
    rmse = float(np.sqrt((np.square(error) * AREA).sum() / AREA.sum() / COLUMNS))
    assert expected(0).by_size(len(code)) == pytest.approx(octave, abs=0.8)
    assert expected(0).by_error(rmse) == pytest.approx(octave, abs=0.8)


@given(st.floats(200, 1e5), st.floats(1.01, 100))
def test_fewer_bytes_and_larger_errors_take_larger_steps(size: float, times: float) -> None:
    assert expected().by_size(size) >= expected().by_size(size * times)
    error = size / 1e6
    assert expected().by_error(error) <= expected().by_error(error * times)


def test_what_a_network_spares_allows_a_finer_step() -> None:
    assert expected(spared=0.9).by_size(5000) < expected().by_size(5000)
    assert expected(left=0.9).by_error(0.1) > expected().by_error(0.1)


def test_a_step_is_in_units() -> None:
    assert expected(unit=10.0).by_size(5000) == pytest.approx(expected().by_size(5000))
    assert expected(unit=10.0).by_error(0.1) == pytest.approx(expected().by_error(0.1))


def test_no_coefficients_take_the_coarsest_step() -> None:
    nothing = [0 * band for band in bands()]
    found = Expected(nothing, 1.0, AREA, COLUMNS, 100, spared=1, left=1)
    assert found.by_size(50) == 6
