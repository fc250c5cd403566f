from __future__ import annotations

import healpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.triangles import Triangles
from tests.scattered import spiral


def vectors(count: int) -> np.ndarray:
    latitude, longitude = spiral(count)
    return np.asarray(healpy.ang2vec(longitude, latitude, lonlat=True))


@settings(max_examples=20, deadline=None)
@given(count=st.integers(20, 2000), seed=st.integers(0, 2**32 - 1))
def test_a_linear_function_is_interpolated_up_to_curvature(count: int, seed: int) -> None:
    points = vectors(count)
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(200, 3))
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    corners, weights = Triangles.of(points).interpolation(targets)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1)
    got = np.einsum("ij,ijk->ik", weights, points[corners])
    assert np.linalg.norm(got - targets, axis=1).max() < 10 / count


def test_a_point_is_its_own() -> None:
    points = vectors(500)
    corners, weights = Triangles.of(points).interpolation(points)
    assert (corners[np.arange(500), weights.argmax(1)] == np.arange(500)).all()
    np.testing.assert_allclose(weights.max(1), 1, atol=1e-9)


def test_areas_make_the_sphere() -> None:
    areas = Triangles.of(vectors(700)).areas
    assert areas.sum() == pytest.approx(4 * np.pi)
    assert areas.std() < 0.1 * areas.mean()
