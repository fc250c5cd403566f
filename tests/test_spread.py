"""Errors by size and by latitude."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.figures import ErrorSum
from hpcodec.grids import GaussianGrid, PointGrid
from hpcodec.spread import BINS, ErrorSpread, bands_of
from tests.scattered import spiral

WEIGHTS = np.array([[0.2], [1.0], [1.5], [0.3]])


@given(st.integers(0, 99), st.sampled_from([0.0, 0.5, 3.0]), st.integers(1, 3))
def test_whatever_the_batches(seed: int, limit: float, batch: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(3, 4, 6))
    decoded = truth + rng.normal(size=truth.shape).clip(-2.5, 2.5)
    truth[rng.random(truth.shape) < 0.2] = np.nan
    spread, errors = ErrorSpread(WEIGHTS, limit), ErrorSum(WEIGHTS)
    for start in range(0, 3, batch):
        spread.add(decoded[start : start + batch], truth[start : start + batch])
    errors.add(decoded, truth)
    assert spread.shares.sum() == pytest.approx(1)
    assert spread.edges.shape == (BINS + 1,)
    error = decoded - truth
    np.testing.assert_allclose(spread.bias, np.nanmean(error, (0, 2)))
    np.testing.assert_allclose(spread.rmse, np.sqrt(np.nanmean(error**2, (0, 2))))
    assert spread.most.max() == errors.figures().max_error
    if limit == 3:
        middles = (spread.edges[1:] + spread.edges[:-1]) / 2
        assert (spread.shares * middles).sum() == pytest.approx(errors.figures().bias, abs=0.03)


def test_no_errors_and_no_values() -> None:
    spread = ErrorSpread(WEIGHTS, 0.0)
    assert not spread.shares.any()
    assert np.isnan(spread.rmse).all()
    field = np.ones((1, 4, 6))
    spread.add(field, np.where(np.arange(6) > 2, field, np.nan))
    assert spread.shares[BINS // 2] == 1
    assert not spread.most.any()


def test_larger_than_what_was_told_counts_at_the_end() -> None:
    spread = ErrorSpread(np.ones((1, 1)), 1.0)
    spread.add(np.array([[[5.0, -7.0, 0.0, np.inf]]]), np.zeros((1, 1, 4)))
    assert [spread.shares[0], spread.shares[-1]] == [0.25, 0.5]


def test_bands_of_points_without_rows() -> None:
    latitude, longitude = spiral(3000)
    grid = PointGrid.from_coordinates(latitude, longitude)
    north, bands = bands_of(grid)
    assert bands.shape == grid.shape
    assert np.abs(north[bands] - latitude).max() <= 90 / north.size + 1e-9
    truth = 280 + 0 * latitude
    spread = ErrorSpread(grid.area_weights, 0.0, bands)
    spread.add((truth + np.sign(latitude))[None], truth[None])
    assert spread.bias.shape == spread.most.shape == north.shape
    np.testing.assert_allclose(spread.bias[np.abs(north) > 2], np.sign(north[np.abs(north) > 2]))


@pytest.mark.parametrize("number", [16, 32])
def test_no_band_is_without_points(number: int) -> None:
    grid = GaussianGrid.octahedral(number)
    north, bands = bands_of(grid)
    assert np.bincount(bands, minlength=north.size).min() > 0
