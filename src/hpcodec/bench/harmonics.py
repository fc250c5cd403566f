"""Spherical harmonics of fields on latitude-longitude grids, by ducc0.

field, grid --analyse--> coefficients --synthesise--> field
field, grid --power--> power of each degree
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.grid import LatLonGrid

__all__ = ["Doubles", "analyse", "degrees_of", "largest_degree", "orders_of", "power", "synthesise"]

Doubles = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]


def largest_degree(grid: LatLonGrid) -> int | None:
    """Largest degree that the grid's quadrature gives; None where ducc0 has none for it."""
    geometry = _geometry(grid)
    if geometry is None or find_spec("ducc0") is None:
        return None
    rows, columns = grid.shape
    return min(rows - (2 if geometry == "CC" else 1), (columns - 1) // 2)


def analyse(field: npt.ArrayLike, grid: LatLonGrid, degree: int) -> Complexes:
    """Coefficients up to ``degree``, order by order: ``(n,)`` complex128."""
    import ducc0

    north = np.asarray(field, np.float64)[:: _southward(grid)]
    options: dict[str, Any] = {"spin": 0, "lmax": degree, "mmax": degree, "nthreads": 1}
    full = ducc0.sht.analysis_2d(
        map=np.ascontiguousarray(north)[None], geometry=_geometry(grid), **options
    )
    return np.asarray(full[0])


def synthesise(coefficients: Complexes, grid: LatLonGrid, degree: int) -> Doubles:
    """Field ``(rows, columns)`` of coefficients from :func:`analyse`."""
    import ducc0

    rows, columns = grid.shape
    values = ducc0.sht.synthesis_2d(
        alm=coefficients[None],
        spin=0,
        lmax=degree,
        mmax=degree,
        ntheta=rows,
        nphi=columns,
        geometry=_geometry(grid),
        nthreads=1,
    )
    return np.asarray(values[0][:: _southward(grid)])


def degrees_of(degree: int) -> npt.NDArray[np.int64]:
    """Degree of each coefficient up to ``degree``."""
    return np.concatenate([np.arange(order, degree + 1) for order in range(degree + 1)])


def orders_of(degree: int) -> npt.NDArray[np.int64]:
    """Order of each coefficient up to ``degree``."""
    return np.concatenate([np.full(degree + 1 - order, order) for order in range(degree + 1)])


def power(field: npt.ArrayLike, grid: LatLonGrid) -> Doubles | None:
    """Sum over orders of squared coefficients for each degree; None where there is no quadrature.

    Parameters
    ----------
    field : array_like
        ``(rows, columns)``, finite.
    grid : LatLonGrid
        Of the field.
    """
    degree = largest_degree(grid)
    if degree is None:
        return None
    values = np.asarray(field, np.float64)
    coefficients = analyse(values - values.mean(), grid, degree)
    both = np.where(orders_of(degree) > 0, 2, 1)  # of m and -m one is kept
    squares = both * np.abs(coefficients) ** 2
    return np.asarray(np.bincount(degrees_of(degree), squares), np.float64)


def _geometry(grid: LatLonGrid) -> str | None:
    """ducc0's name of the rows: with poles, in the middle of even belts, or Gaussian."""
    latitude = np.sort(grid.latitude)
    rows = latitude.size
    spacing = 180 / rows
    gaussian = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(rows)[0]))
    candidates = {
        "CC": np.linspace(-90, 90, rows),
        "F1": np.linspace(-90 + spacing / 2, 90 - spacing / 2, rows),
        "GL": gaussian,
    }
    for name, rows_of in candidates.items():
        if np.abs(rows_of - latitude).max() < 2e-3:
            return name
    return None


def _southward(grid: LatLonGrid) -> int:
    """Stride that puts the rows from north to south."""
    return 1 if grid.latitude[0] > grid.latitude[-1] else -1
