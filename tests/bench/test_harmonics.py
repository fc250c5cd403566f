from __future__ import annotations

import numpy as np
import pytest

from hpcodec.bench.harmonics import analyse, largest_degree, power, synthesise
from hpcodec.grid import LatLonGrid
from tests.bench.fields import GRID

pytest.importorskip("ducc0")

MIDDLES = LatLonGrid.regular((-87.5, 5.0, 36), (2.5, 5.0, 72))
NODES = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))[::-1]
GAUSSIAN = LatLonGrid.from_coordinates(NODES, np.arange(0, 360, 5.625))
GRIDS = [(GRID, 35), (MIDDLES, 35), (GAUSSIAN, 31)]


@pytest.mark.parametrize(("grid", "degree"), GRIDS)
def test_power_is_that_of_a_known_harmonic(grid: LatLonGrid, degree: int) -> None:
    assert largest_degree(grid) == degree
    sine = np.sin(np.deg2rad(grid.latitude))[:, None]
    field = 280 + 3 * sine + 0 * np.asarray(grid.longitude)
    found = power(field, grid)
    assert found is not None
    assert found[1] == pytest.approx(9 * 4 * np.pi / 3, rel=1e-3)
    assert found[2:].max() < 1e-6


@pytest.mark.parametrize(("grid", "degree"), GRIDS)
def test_there_and_back(grid: LatLonGrid, degree: int) -> None:
    latitude = np.deg2rad(grid.latitude)[:, None]
    longitude = np.deg2rad(grid.longitude)
    field = np.sin(latitude) + np.cos(latitude) ** 3 * np.cos(3 * longitude)
    back = synthesise(analyse(field, grid, degree), grid, degree)
    np.testing.assert_allclose(back, field, atol=1e-6)


def test_rows_without_quadrature() -> None:
    rows = np.linspace(-89, 89, 45) + 0.3 * np.sin(np.arange(45))
    grid = LatLonGrid.from_coordinates(rows, np.arange(0, 360, 5.0))
    assert largest_degree(grid) is None
    assert power(np.zeros(grid.shape), grid) is None
