"""Wavelets: there and back exactly, smooth fields in few coefficients, no seam at the meridian."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.stages.wavelets import band_rows, band_shapes, from_bands, halvings, to_bands


def noise(
    shape: tuple[int, int], seed: int = 0
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).standard_normal(shape)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(4, 90), columns=st.integers(4, 90), seed=st.integers(0, 9))
def test_any_shape_comes_back(rows: int, columns: int, seed: int) -> None:
    field = noise((rows, columns), seed)
    bands = to_bands(field)
    assert [band.shape for band in bands] == band_shapes((rows, columns))
    assert [len(rows_of) for rows_of in band_rows((rows, columns))] == [len(b) for b in bands]
    assert sum(band.size for band in bands) == field.size
    np.testing.assert_allclose(from_bands(bands), field, atol=1e-12)


@pytest.mark.parametrize("number", range(10))
def test_nearly_orthonormal(number: int) -> None:
    """An error of the coefficients is an error of the field, to within a tenth."""
    shape = (96, 192)
    bands = [np.zeros(one) for one in band_shapes(shape)]
    bands[number] = noise(bands[number].shape)
    size = np.linalg.norm(from_bands(bands)) / np.linalg.norm(bands[number])
    assert 0.9 < size < 1.1


def test_smooth_waves_have_small_details_and_no_seam() -> None:
    latitude, longitude = (
        np.linspace(np.pi / 2, -np.pi / 2, 97)[:, None],
        np.arange(192) * np.pi / 96,
    )
    field = np.cos(latitude) ** 4 * np.sin(3 * longitude + 0.3)
    finest = to_bands(field)[-3:]
    assert max(np.abs(band).max() for band in finest) < 1e-4
    turned = to_bands(np.roll(field, 32, axis=1))[-3:]
    for band, moved in zip(finest, turned, strict=True):
        np.testing.assert_allclose(np.roll(band, 16, axis=1), moved, atol=1e-12)


def test_rows_of_bands() -> None:
    assert halvings((33, 64)) == 2
    rows = band_rows((33, 64))
    assert rows[0].tolist() == [0, 4, 8, 12, 16, 20, 24, 28, 32]
    assert rows[2].tolist() == rows[3].tolist() == [2, 6, 10, 14, 18, 22, 26, 30]
    assert rows[4].tolist() == list(range(0, 33, 2))
    assert rows[6].tolist() == list(range(1, 33, 2))
