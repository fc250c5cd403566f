"""Error figures, spectra and the picture."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import healpy
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec import remap_operators
from hpcodec.errors import GridError, MissingValueError, OutputError, UsageError
from hpcodec.figures import ErrorFigures, ErrorSum, spectrum, spectrum_cells
from hpcodec.grid import LatLonGrid, cell_count
from hpcodec.maps import plot_maps

GRID = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
UPSIDE = LatLonGrid.regular((-90.0, 5.0, 37), (355.0, -5.0, 72))
GAUSS = LatLonGrid.from_coordinates(
    np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(24)[0])), np.arange(48) * 7.5
)
WEIGHTS = np.cos(np.deg2rad(GRID.latitude))[:, None] * np.ones(72)

Doubles = npt.NDArray[np.float64]


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCODEC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        remap_operators.operators_for.cache_clear()
        yield
        remap_operators.operators_for.cache_clear()


def pair(seed: int, steps: int = 3, grid: LatLonGrid = GRID) -> tuple[Doubles, Doubles]:
    """Decoded and true fields, (steps, rows, columns)."""
    random = np.random.default_rng(seed)
    truth = 280 + 20 * random.standard_normal((steps, *grid.shape))
    return truth + 0.1 + random.standard_normal(truth.shape), truth


def figures(decoded: npt.ArrayLike, truth: npt.ArrayLike, grid: LatLonGrid = GRID) -> ErrorFigures:
    errors = ErrorSum(grid.area_weights)
    errors.add(decoded, truth)
    return errors.figures()


def harmonic(grid: LatLonGrid, degree: int, order: int) -> Doubles:
    """Sectoral or zonal harmonic on a grid, (rows, columns)."""
    latitude = np.deg2rad(grid.latitude)[:, None]
    longitude = np.deg2rad(grid.longitude)
    if order == 0:
        zonal = np.polynomial.Legendre.basis(degree)(np.sin(latitude))
        return np.asarray(zonal + 0 * longitude)
    assert order == degree
    return np.asarray(np.cos(latitude) ** degree * np.cos(order * longitude))


def test_figures_are_the_direct_formulas() -> None:
    decoded, truth = pair(1)
    error, weights = decoded - truth, np.broadcast_to(WEIGHTS, truth.shape)
    rmse = np.sqrt(np.average(error**2, weights=weights))
    expected = {
        "rmse": rmse,
        "max_error": np.abs(error).max(),
        "bias": np.average(error, weights=weights),
        "psnr": 20 * np.log10((truth.max() - truth.min()) / rmse),
        "minimum": truth.min(),
        "maximum": truth.max(),
        "count": truth.size,
    }
    assert figures(decoded, truth).to_dict() == pytest.approx(expected, rel=1e-12)


def test_cells_weigh_the_same() -> None:
    decoded, truth = np.random.default_rng(2).standard_normal((2, 4, cell_count(1)))
    errors = ErrorSum()
    errors.add(decoded, truth)
    assert errors.figures().rmse == pytest.approx(np.sqrt(np.mean((decoded - truth) ** 2)))
    assert errors.figures().bias == pytest.approx(np.mean(decoded - truth))


def test_a_row_counts_by_the_cosine_of_its_latitude() -> None:
    truth = np.zeros((1, *GRID.shape))
    pole, equator = truth.copy(), truth.copy()
    pole[:, 0], equator[:, 18] = 1, 1
    assert figures(pole, truth).bias == pytest.approx(0, abs=1e-12)
    assert figures(equator, truth).bias == pytest.approx(1 / WEIGHTS[:, 0].sum())
    assert figures(pole, truth).max_error == 1


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 7), unique=True), st.integers(0, 2**32 - 1))
def test_batches_equal_one_go(cuts: list[int], seed: int) -> None:
    decoded, truth = pair(seed, steps=8, grid=GAUSS)
    truth[np.random.default_rng(seed).random(truth.shape) < 0.3] = np.nan
    errors = ErrorSum(GAUSS.area_weights)
    for ours, theirs in zip(
        np.split(decoded, sorted(cuts)), np.split(truth, sorted(cuts)), strict=True
    ):
        errors.add(ours, theirs)
    whole = figures(decoded, truth, GAUSS).to_dict()
    assert errors.figures().to_dict() == pytest.approx(whole, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_missing_values_are_ignored(missing: float) -> None:
    decoded, truth = pair(3)
    gone = np.random.default_rng(4).random(truth.shape) < 0.4
    weights = np.where(gone, 0, np.broadcast_to(WEIGHTS, truth.shape))
    expected = np.sqrt(np.average((decoded - truth) ** 2, weights=weights))
    holes = np.where(gone, missing, truth)
    for ours in (decoded, np.where(gone, np.nan, decoded)):
        result = figures(ours, holes)
        assert result.rmse == pytest.approx(expected)
        assert result.count == (~gone).sum()
        assert result.minimum == truth[~gone].min()


def test_float32_is_summed_in_float64() -> None:
    decoded, truth = pair(5)
    ours, theirs = decoded.astype(np.float32), truth.astype(np.float32)
    expected = figures(ours.astype(np.float64), theirs.astype(np.float64))
    assert figures(ours, theirs) == expected


@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_a_decoded_value_that_is_not_finite_shows(damage: float) -> None:
    decoded, truth = pair(6)
    decoded[1, 5, 5] = damage
    result = figures(decoded, truth)
    assert not math.isfinite(result.rmse)
    assert not math.isfinite(result.max_error)
    assert result.to_dict()["rmse"] is None


@pytest.mark.parametrize(
    ("decoded", "truth", "psnr"),
    [(5.0, 5.0, math.inf), (6.0, 5.0, -math.inf)],
    ids=["exact", "range zero"],
)
def test_constant_fields(decoded: float, truth: float, psnr: float) -> None:
    result = figures(np.full((2, 37, 72), decoded), np.full((2, 37, 72), truth))
    assert result.psnr == psnr
    assert result.bias == pytest.approx(decoded - truth)
    assert result.to_dict()["psnr"] is None


@pytest.mark.parametrize("steps", [0, 2])
def test_nothing_to_compare(steps: int) -> None:
    result = figures(np.zeros((steps, 37, 72)), np.full((steps, 37, 72), np.nan))
    assert result.to_dict() == {**dict.fromkeys(result.to_dict(), None), "count": 0}


def test_figures_go_through_json() -> None:
    for values in (*pair(7), np.full((1, 37, 72), 3, dtype=np.float32)):
        plain = figures(values, values[:, ::-1]).to_dict()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert {type(value) for value in plain.values()} <= {float, int, type(None)}


@pytest.mark.parametrize(
    ("ours", "theirs"), [((2, 37, 72), (1, 37, 72)), ((72,), (72,)), ((2, 36, 72), (2, 36, 72))]
)
def test_shapes_that_do_not_fit(ours: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    with pytest.raises(GridError, match=r"expected .*got"):
        figures(np.zeros(ours), np.zeros(theirs))


@pytest.mark.parametrize("grid", [GRID, UPSIDE, GAUSS], ids=["north first", "upside", "gaussian"])
@pytest.mark.parametrize(("degree", "order"), [(2, 2), (3, 0), (6, 6)])
def test_spectrum_of_a_harmonic_peaks_at_its_degree(
    grid: LatLonGrid, degree: int, order: int
) -> None:
    field = 280 + 7 * harmonic(grid, degree, order)
    power = spectrum(field, grid)
    assert power.shape == (2 * 2**grid.natural_level + 1,)
    assert power[0] == pytest.approx(280**2, rel=1e-3)
    assert power[1:].argmax() + 1 == degree
    areas = np.broadcast_to(grid.area_weights, grid.shape)
    variance = np.average((field - 280) ** 2, weights=areas)
    assert power[degree] == pytest.approx(variance, rel=0.05)
    assert power[degree] > 0.95 * power[1:].sum()


def test_spectrum_sums_to_the_mean_square() -> None:
    lm = healpy.Alm.getlmax(healpy.Alm.getsize(16))
    alm = np.random.default_rng(8).standard_normal(healpy.Alm.getsize(lm)).astype(complex)
    cells = healpy.reorder(healpy.alm2map(alm, 16, lmax=lm, pol=False), r2n=True)
    assert spectrum_cells(cells).sum() == pytest.approx(np.mean(cells**2), rel=1e-3)


def test_spectrum_of_a_large_constant_is_clean() -> None:
    power = spectrum_cells(np.full(cell_count(4), 1e5, dtype=np.float32))
    assert power[0] == pytest.approx(1e10)
    assert power[1:].max() < 1e-20


def test_spectrum_refuses_what_is_no_whole_field() -> None:
    with pytest.raises(MissingValueError, match="Fill"):
        spectrum_cells(np.full(192, np.nan))
    with pytest.raises(GridError, match="whole sphere"):
        spectrum_cells(np.zeros(191))
    with pytest.raises(GridError, match="one field"):
        spectrum_cells(np.zeros((2, 192)))
    with pytest.raises(MissingValueError):
        spectrum(np.full(GRID.shape, np.inf), GRID)


def draw(path: Path, original: Doubles, decoded: Doubles, grid: LatLonGrid = GRID) -> None:
    told = figures(decoded[None], original[None], grid)
    plot_maps(
        path, original, decoded, grid, name="t2m $", units="K", figures=told, title="a $title$ " * 9
    )


def image(path: Path) -> Doubles:
    """Pixels of a PNG, (height, width, 4), checked for its signature."""
    from matplotlib.image import imread

    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(imread(path), dtype=np.float64)


def test_plot_is_a_png_and_leaves_nothing_behind(tmp_path: Path) -> None:
    field = 280 + 20 * harmonic(GRID, 2, 2)
    draw(tmp_path / "a.png", field, field + 0.1 * harmonic(GRID, 6, 6))
    height, width, _ = image(tmp_path / "a.png").shape
    assert (height > 900, width > 1400) == (True, True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_plot_shows_one_globe_whatever_the_order_of_the_axes(tmp_path: Path) -> None:
    field = harmonic(GRID, 3, 0) + harmonic(GRID, 2, 2) * np.sin(np.deg2rad(GRID.longitude))
    field[3, 7] = np.nan
    decoded = field + 0.1 * harmonic(GRID, 6, 6)
    draw(tmp_path / "a.png", field, decoded)
    draw(tmp_path / "b.png", field[::-1, ::-1], decoded[::-1, ::-1], UPSIDE)
    first, second = (image(tmp_path / f"{name}.png") for name in "ab")
    assert np.array_equal(first[:480], second[:480])


NOWHERE = np.full(GRID.shape, np.nan)


@pytest.mark.parametrize(
    ("original", "decoded"),
    [
        (np.full(GRID.shape, 5.0), np.full(GRID.shape, 5.0)),
        (np.full(GRID.shape, 5.0), np.full(GRID.shape, 6.0)),
        (np.where(harmonic(GRID, 2, 2) > 0, 1.0, np.nan), harmonic(GRID, 2, 2)),
        (NOWHERE, NOWHERE),
        (harmonic(GRID, 2, 2), NOWHERE),
    ],
    ids=["exact", "constant", "holes", "empty", "lost"],
)
def test_plot_of_odd_fields(tmp_path: Path, original: Doubles, decoded: Doubles) -> None:
    draw(tmp_path / "odd.png", original, decoded)
    assert image(tmp_path / "odd.png").ndim == 3


def test_plot_on_a_gaussian_grid_without_units(tmp_path: Path) -> None:
    field = harmonic(GAUSS, 3, 0)
    told = figures(field[None], field[None], GAUSS)
    path = str(tmp_path / "gauss.PNG")
    plot_maps(path, field, field, GAUSS, name="", units="", figures=told, title="")
    assert image(Path(path)).ndim == 3


def test_plot_into_a_missing_folder(tmp_path: Path) -> None:
    field = harmonic(GRID, 2, 2)
    with pytest.raises(OutputError, match=r"expected .*Make it first"):
        draw(tmp_path / "nowhere" / "a.png", field, field)


def test_plot_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    field = harmonic(GRID, 2, 2)
    with pytest.raises(OutputError, match="Choose another"):
        draw(tmp_path / "a.png", field, field)


def test_plot_refuses_other_formats_and_grids(tmp_path: Path) -> None:
    field = harmonic(GRID, 2, 2)
    with pytest.raises(UsageError, match=r"\.png"):
        draw(tmp_path / "a.pdf", field, field)
    told = figures(field[None], field[None])
    with pytest.raises(GridError, match="one step"):
        plot_maps(
            tmp_path / "a.png", field, field, GAUSS, name="", units="", figures=told, title=""
        )
    assert not list(tmp_path.iterdir())


def test_plot_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    field = harmonic(GRID, 2, 2)
    with pytest.raises(UsageError, match=r"pip install 'hpcodec\[plot\]'"):
        draw(tmp_path / "a.png", field, field)
