from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import healpy
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec import remap_operators
from hpcodec.errors import GridError, LevelError, MissingValueError, UsageError
from hpcodec.grid import LatLonGrid, cell_count
from hpcodec.grids import GaussianGrid, Grid, HealpixGrid, PointGrid
from hpcodec.stages.healpix import METHODS, Remap, remap_for
from tests.scattered import spiral, tilted

GRID = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
COARSE = LatLonGrid.regular((90.0, -10.0, 19), (0.0, 10.0, 36))
GAUSS = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(24)[0]))
GRIDS: dict[str, Grid] = {
    "poles": GRID,
    "south first": LatLonGrid.regular((-90.0, 10.0, 19), (0.0, 10.0, 36)),
    "no poles": LatLonGrid.regular((87.5, -5.0, 36), (2.5, 5.0, 72)),
    "from -180": LatLonGrid.regular((90.0, -10.0, 19), (-180.0, 10.0, 36)),
    "westward": LatLonGrid.regular((90.0, -10.0, 19), (350.0, -10.0, 36)),
    "odd columns": LatLonGrid.regular((85.0, -10.0, 18), (0.0, 8.0, 45)),
    "gaussian": LatLonGrid.from_coordinates(GAUSS, np.arange(48) * 7.5),
    "octahedral": GaussianGrid.octahedral(16),
    "points": PointGrid.from_coordinates(*spiral(2000)),
    "rows and columns": PointGrid.from_coordinates(*tilted(40, 80)),
}


# What is counted, as conservative weights are, is symmetric only up to ties.
SYMMETRIC = METHODS[:2]


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCODEC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        remap_operators.operators_for.cache_clear()
        yield
        remap_operators.operators_for.cache_clear()


def smooth(grid: Grid) -> npt.NDArray[np.float64]:
    """Degree-3 harmonics: smooth on the sphere, poles included."""
    theta, phi = _angles(grid)
    x, y, z = healpy.ang2vec(theta, phi).T
    return np.asarray(280 + 20 * z**2 + 8 * x * y - 5 * x * z + 3 * x**3).reshape(grid.shape)


def rough(grid: Grid) -> npt.NDArray[np.float64]:
    noise = np.random.default_rng(3).standard_normal(grid.shape)
    theta, phi = _angles(grid)
    coast = np.sign(np.sin(3 * phi) + np.cos(5 * theta)).reshape(grid.shape)
    return np.asarray(smooth(grid) + 4 * coast + noise)


def _angles(grid: Grid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    latitude, longitude = grid.points
    return np.deg2rad(90 - latitude).clip(0, np.pi), np.deg2rad(longitude)


def at_cells(level: int) -> npt.NDArray[np.float64]:
    x, y, z = healpy.pix2vec(2**level, np.arange(cell_count(level)), nest=True)
    return np.asarray(280 + 20 * z**2 + 8 * x * y - 5 * x * z + 3 * x**3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=list(GRIDS))
@pytest.mark.parametrize("level", [0, 2, 4])
def test_constant_field_stays_constant(grid: Grid, level: int, method: str) -> None:
    remap = remap_for(grid, level, method)
    cells = remap.to_healpix(np.full(grid.shape, 287.65))
    assert cells.shape == (cell_count(level),)
    assert cells.dtype == np.float32
    np.testing.assert_allclose(cells, 287.65, rtol=2e-7)
    values = remap.to_grid(cells)
    assert values.shape == grid.shape
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, 287.65, rtol=2e-7)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=list(GRIDS))
def test_smooth_field_arrives_at_its_cells_and_comes_back(grid: Grid) -> None:
    remap = remap_for(grid, 4)
    cells = remap.to_healpix(smooth(grid))
    np.testing.assert_allclose(cells, at_cells(4), atol=0.15)
    np.testing.assert_allclose(remap.to_grid(cells), smooth(grid), atol=0.15)


@pytest.mark.parametrize("level", [0, 1, 2, 3, 5, 6])
def test_level_far_from_the_grid_stays_within_the_field(level: int) -> None:
    remap = remap_for(COARSE, level)
    cells = remap.to_healpix(rough(COARSE))
    assert np.isfinite(cells).all()
    assert np.abs(cells - rough(COARSE).mean()).max() < 2 * np.ptp(rough(COARSE))
    assert remap.floor(rough(COARSE))[0] < rough(COARSE).std()


@pytest.mark.parametrize("method", SYMMETRIC)
@settings(max_examples=8, deadline=None)
@given(turn=st.integers(0, 35), origin=st.sampled_from([-360.0, 0.0, 360.0]))
def test_rolled_longitudes_give_the_same_cells(method: str, turn: int, origin: float) -> None:
    rolled = LatLonGrid.regular((90.0, -10.0, 19), (origin + 10.0 * turn, 10.0, 36))
    got = remap_for(rolled, 2, method).to_healpix(np.roll(rough(COARSE), -turn, axis=1))
    np.testing.assert_allclose(
        got, remap_for(COARSE, 2, method).to_healpix(rough(COARSE)), atol=2e-3
    )


@pytest.mark.parametrize("method", SYMMETRIC)
@pytest.mark.parametrize("level", [1, 3])
def test_flipped_axes_give_the_same_cells(method: str, level: int) -> None:
    expected = remap_for(COARSE, level, method).to_healpix(rough(COARSE))
    south, west = GRIDS["south first"], GRIDS["westward"]
    got = remap_for(south, level, method).to_healpix(rough(COARSE)[::-1])
    np.testing.assert_allclose(got, expected, atol=2e-3)
    # Westward from 350 E, so that the column at 0 E comes last.
    got = remap_for(west, level, method).to_healpix(rough(COARSE)[:, ::-1])
    np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(a=st.floats(-50, 50), b=st.floats(-50, 50), seed=st.integers(0, 2**32 - 1))
def test_both_directions_are_linear(method: str, a: float, b: float, seed: int) -> None:
    remap = remap_for(COARSE, 2, method)
    x, y = np.random.default_rng(seed).standard_normal((2, *COARSE.shape))
    atol = 1e-5 * (1 + abs(a) + abs(b))
    u, v = remap.to_healpix(x), remap.to_healpix(y)
    np.testing.assert_allclose(remap.to_healpix(a * x + b * y), a * u + b * v, atol=atol, rtol=0)
    got = remap.to_grid(a * u.astype(np.float64) + b * v.astype(np.float64))
    np.testing.assert_allclose(got, a * remap.to_grid(u) + b * remap.to_grid(v), atol=atol, rtol=0)


@pytest.mark.parametrize("level", [2, 3])
def test_least_squares_comes_closest(level: int) -> None:
    remap = remap_for(GRID, level)
    operators = remap_operators.operators_for(GRID, level, "least_squares")
    source = rough(GRID)
    plain = operators.direct @ (source.ravel() - source.mean())
    error = (operators.back @ plain).reshape(GRID.shape) + source.mean() - source
    interpolated = float(np.sqrt(np.mean(GRID.area_weights * error**2)))
    floor, largest = remap.floor(source)
    assert floor < 0.95 * interpolated
    assert floor < 0.9 * remap_for(GRID, level, "idw").floor(source)[0]
    assert largest >= floor


def test_overdetermined_cells_minimise_the_misfit() -> None:
    """Far below the grid's own level the few iterations reach the least-squares solution."""
    operators = remap_operators.operators_for(GRID, 1, "least_squares")
    source = (rough(GRID) - 280).ravel()
    root = np.sqrt(operators.weight.astype(np.float64))
    best = np.linalg.lstsq(root[:, None] * operators.back.toarray(), root * source)[0]
    misfit = [
        np.linalg.norm(root * (operators.back @ cells - source))
        for cells in (best, operators.cells_of(source.astype(np.float32)))
    ]
    assert misfit[1] < 1.01 * misfit[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3), (0,)])
def test_batched_equals_one_by_one(method: str, leading: tuple[int, ...]) -> None:
    remap = remap_for(COARSE, 2, method)
    fields = np.random.default_rng(0).standard_normal((*leading, *COARSE.shape))
    cells = remap.to_healpix(fields)
    assert cells.shape == (*leading, 192)
    values = remap.to_grid(cells)
    assert values.shape == fields.shape
    for index in np.ndindex(leading):
        np.testing.assert_array_equal(cells[index], remap.to_healpix(fields[index]))
        np.testing.assert_array_equal(values[index], remap.to_grid(cells[index]))


@pytest.mark.parametrize("method", METHODS)
def test_large_offset_keeps_its_digits(method: str) -> None:
    remap = remap_for(COARSE, 2, method)
    part = rough(COARSE) - 280
    cells = remap.to_healpix(part)
    # Float32 holds 1e5 to 0.004.
    np.testing.assert_allclose(remap.to_healpix(part + 1e5) - 1e5, cells, atol=0.006)
    got = remap.to_grid(cells.astype(np.float64) + 1e5) - 1e5
    np.testing.assert_allclose(got, remap.to_grid(cells), atol=0.006)


def test_integers_and_float32_are_taken() -> None:
    remap = remap_for(COARSE, 1)
    whole = np.rint(rough(COARSE)).astype(np.int16)
    np.testing.assert_array_equal(
        remap.to_healpix(whole), remap.to_healpix(whole.astype(np.float32))
    )


def _fresh(level: int, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """The cache file of operators that are built into ``folder``."""
    patch.setenv("HPCODEC_CACHE_DIR", str(folder))
    remap_operators.operators_for.cache_clear()
    remap_operators.operators_for(COARSE, level, "least_squares")
    remap_operators.operators_for.cache_clear()
    (path,) = folder.iterdir()
    return path


def _rewrite(path: Path, **changed: npt.NDArray[Any]) -> None:
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays.update(changed)
    np.savez(path, **arrays)


def test_cache_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = remap_for(COARSE, 2).to_healpix(rough(COARSE))
    _fresh(2, tmp_path, monkeypatch)
    monkeypatch.setattr(remap_operators, "_build", None)
    np.testing.assert_array_equal(remap_for(COARSE, 2).to_healpix(rough(COARSE)), expected)


@pytest.mark.parametrize("damage", ["empty", "noise", "cut", "flipped", "index", "weights", "npy"])
def test_damaged_cache_file_is_rebuilt(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = remap_for(COARSE, 2).to_healpix(rough(COARSE))
    path = _fresh(2, tmp_path, monkeypatch)
    whole = path.read_bytes()
    with np.load(path) as stored:
        indices, data = stored["back_indices"], stored["back_data"]
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "noise":
            path.write_bytes(np.random.default_rng(0).bytes(5000))
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "flipped":
            middle = len(whole) // 2
            path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
        case "index":
            _rewrite(path, back_indices=indices + np.int32(192))
        case "weights":
            _rewrite(path, back_data=data * np.float32(np.nan))
        case _:
            with path.open("wb") as file:
                np.save(file, data)
    np.testing.assert_array_equal(remap_for(COARSE, 2).to_healpix(rough(COARSE)), expected)
    assert path.stat().st_size == len(whole)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    remap_operators.operators_for.cache_clear()


def test_unwritable_cache_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = remap_for(COARSE, 2).to_healpix(rough(COARSE))
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    monkeypatch.setenv("HPCODEC_CACHE_DIR", str(occupied / "below"))
    remap_operators.operators_for.cache_clear()
    np.testing.assert_array_equal(remap_for(COARSE, 2).to_healpix(rough(COARSE)), expected)
    remap_operators.operators_for.cache_clear()


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'least_squares'"):
        remap_for(COARSE, 2, "least_square")


@pytest.mark.parametrize("level", [-1, 11])
def test_level_out_of_reach_is_refused(level: int) -> None:
    with pytest.raises(LevelError, match="0 to 10"):
        Remap(COARSE, level, "idw")


@pytest.mark.parametrize("shape", [(), (36,), (36, 19), (18, 36), (19, 36, 1), (684,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GridError, match=r"expected last axes \(19, 36\)"):
        remap_for(COARSE, 2).to_healpix(np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (191,), (192, 1)])
def test_other_cells_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GridError, match=r"expected last axes \(192,\)"):
        remap_for(COARSE, 2).to_grid(np.zeros(shape))


def test_complex_values_are_refused() -> None:
    with pytest.raises(GridError, match="complex128"):
        remap_for(COARSE, 2).to_healpix(np.zeros(COARSE.shape, dtype=complex))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_values_are_refused(bad: float) -> None:
    remap = remap_for(COARSE, 2)
    field, cells = np.zeros(COARSE.shape), np.zeros(192)
    field[3, 4] = cells[7] = bad
    with pytest.raises(MissingValueError, match="expected finite"):
        remap.to_healpix(field)
    with pytest.raises(MissingValueError, match="expected finite"):
        remap.to_grid(cells)


@pytest.mark.parametrize("order", ["nested", "ring"])
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_healpix_cells_are_taken_as_they_are(level: int, order: str) -> None:
    grid = HealpixGrid(level, order)
    values = np.random.default_rng(4).normal(size=grid.shape).astype(np.float32)
    nested = np.empty_like(values)
    nested[grid.nested] = values
    for finer in (level, level + 1):
        remap = remap_for(grid, finer)
        cells = remap.to_healpix(values)
        np.testing.assert_allclose(cells, nested.repeat(4 ** (finer - level)), atol=1e-6)
        np.testing.assert_allclose(remap.to_grid(cells), values, atol=1e-6)


def test_finer_healpix_cells_are_averaged() -> None:
    grid = HealpixGrid(5, "ring")
    remap = remap_for(grid, 4)
    np.testing.assert_allclose(remap.to_healpix(smooth(grid)), at_cells(4), atol=0.15)
    assert remap.floor(smooth(grid))[0] < 0.05


@pytest.mark.parametrize("name", ["poles", "gaussian", "odd columns", "octahedral", "points"])
@pytest.mark.parametrize("level", [2, 3, 4])
def test_conservative_remap_keeps_the_global_mean(name: str, level: int) -> None:
    grid = GRIDS[name]
    values = np.random.default_rng(level).gamma(0.3, size=grid.shape).astype(np.float32)
    remap = remap_for(grid, level, "conservative")
    areas = remap_operators._areas(grid).astype(np.float64).reshape(grid.shape)
    mean = (areas * values).sum() / areas.sum()
    cells = remap.to_healpix(values)
    assert cells.mean(dtype=np.float64) == pytest.approx(mean, rel=1e-6)
    back = remap.to_grid(cells).astype(np.float64)
    assert (areas * back).sum() / areas.sum() == pytest.approx(mean, rel=1e-6)
