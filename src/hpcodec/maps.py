"""A picture of a field before and after: maps, error and spectra.

original, decoded --plot_maps--> PNG: both fields, their difference, their spectra
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import healpy
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from hpcodec.errors import GridError, OutputError, UsageError
from hpcodec.figures import ErrorFigures, spectrum
from hpcodec.grids import Grid, LatLonGrid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "LINES",
    "draw_spectra",
    "labelled",
    "limits",
    "on_rows",
    "plain",
    "plot_maps",
    "spectra",
]

_Doubles: TypeAlias = npt.NDArray[np.float64]


def plot_maps(
    path: str | Path,
    original: npt.ArrayLike,
    decoded: npt.ArrayLike,
    grid: Grid,
    *,
    name: str,
    units: str,
    figures: ErrorFigures,
    title: str,
) -> None:
    """Draw both fields, their difference and the three spectra into one PNG.

    Parameters
    ----------
    path : str or Path
        Local, ending in ``.png``; an existing file is replaced, once all is drawn.
    original, decoded : array_like
        Shape ``grid.shape``, in ``units``. Missing values are grey in the maps; in the
        spectra, points missing in either count as the original's mean, without error.
    grid : Grid
        Where their values lie.
    name, units : str
        Of the variable, for the labels; may be empty.
    figures : ErrorFigures
        Told above the difference.
    title : str
        Told above all.

    Raises
    ------
    UsageError
        If matplotlib is missing or the path does not end in ``.png``.
    GridError
        If a field is not on the grid.
    OutputError
        If the path cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise UsageError(f"expected a picture ending in .png; got '{target}'. Name it so.")
    if not target.parent.is_dir():
        raise OutputError(f"expected an existing folder; '{target.parent}' is none. Make it first.")
    truth, ours = (np.asarray(values, dtype=np.float64) for values in (original, decoded))
    if not truth.shape == ours.shape == grid.shape:
        raise GridError(
            f"expected fields of shape {grid.shape}, as the grid; got {truth.shape} and "
            f"{ours.shape}. Give one step of each."
        )
    truth, ours = (np.where(np.isfinite(field), field, np.nan) for field in (truth, ours))
    figure = _figure(title)
    _draw_fields(figure, truth, ours, grid, labelled(name, units))
    _draw_error(figure, ours - truth, grid, units, figures)
    draw_spectra(_place(figure, "spectrum"), spectra(truth, ours, grid), units)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    try:
        target.write_bytes(stream.getvalue())
    except OSError as error:
        raise OutputError(
            f"expected a picture's path; '{target}' cannot be written ({error.strerror}). "
            "Choose another."
        ) from error


_DPI = 120
_SIZE = (13.3, 9.55)
_PLACES = {
    "Original": (0.65, 5.75, 5.8, 2.9),
    "Decoded": (7.2, 5.75, 5.8, 2.9),
    "field bar": (3.75, 5.2, 6.0, 0.16),
    "error": (0.65, 1.15, 5.8, 2.9),
    "error bar": (0.65, 0.6, 5.8, 0.16),
    "spectrum": (7.4, 0.6, 5.6, 3.45),
}
"""Left, bottom, width and height in inches: maps are two to one."""

_SHOWN = LatLonGrid.regular((89.75, -0.5, 360), (0.25, 0.5, 720))
"""Where points are shown that are no rows of latitude and columns of longitude."""

LINES = {"original": ("#000000", "-"), "decoded": ("#56B4E9", "--"), "error": ("#D55E00", "-")}
"""Of the palette by Okabe and Ito, which the colour-blind tell apart."""


def _figure(title: str) -> Figure:
    """Empty figure, apart from pyplot and its global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "expected matplotlib for plots; it is not installed. Install it: "
            "pip install 'hpcodec[plot]'."
        ) from error
    figure = Figure(figsize=_SIZE)
    FigureCanvasAgg(figure)
    figure.suptitle(plain(textwrap.fill(title[:200], 100)), y=0.985, va="top", fontsize=14)
    return figure


def _place(figure: Figure, what: str) -> Axes:
    left, bottom, width, height = _PLACES[what]
    across, up = _SIZE
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _draw_fields(figure: Figure, truth: _Doubles, ours: _Doubles, grid: Grid, label: str) -> None:
    """Both fields on the original's colour scale; its few extreme values go over the ends."""
    low, high = limits(truth, 0.1, 99.9)
    for heading, field in (("Original", truth), ("Decoded", ours)):
        axis = _place(figure, heading)
        image = _draw_map(axis, field, grid, cmap="viridis", vmin=low, vmax=high)
        axis.set_title(heading)
    _draw_bar(figure, "field bar", image, np.stack([truth, ours]), label)


def _draw_error(
    figure: Figure, error: _Doubles, grid: Grid, units: str, figures: ErrorFigures
) -> None:
    limit, most = limits(np.abs(error), 99.9, 100)
    limit = limit or most or 1.0
    axis = _place(figure, "error")
    image = _draw_map(axis, error, grid, cmap="RdBu_r", vmin=-limit, vmax=limit)
    unit = f" {units}" if units else ""
    told = (
        f"RMSE {figures.rmse:.3g}{unit},  largest {figures.max_error:.3g}{unit},  "
        f"bias {figures.bias:.2g}{unit},  PSNR {figures.psnr:.1f} dB"
    )
    axis.set_title("Decoded \N{MINUS SIGN} original\n", pad=4)
    middle: dict[str, Any] = {"ha": "center", "va": "bottom", "transform": axis.transAxes}
    axis.text(0.5, 1.02, plain(told.replace(" -", " \N{MINUS SIGN}")), fontsize=10, **middle)
    _draw_bar(figure, "error bar", image, error, labelled("error", units))


def _draw_map(axis: Axes, field: _Doubles, grid: Grid, **colours: Any) -> Any:  # noqa: ANN401
    """Image from 180 W to 180 E, north up; uneven latitudes are shown by their nearest row."""
    field, grid = on_rows(field, grid)
    longitude = (np.asarray(grid.longitude) + 180) % 360 - 180
    columns = np.argsort(longitude)
    latitude, count = np.asarray(grid.latitude), len(grid.latitude)
    even = np.linspace(latitude.min(), latitude.max(), count)
    rows = np.abs(latitude[:, None] - even).argmin(axis=0)
    width, bottom = 360 / len(columns), even[0] - (even[1] - even[0]) / 2
    left = longitude[columns[0]] - 1.5 * width
    columns = np.concatenate([columns[-1:], columns, columns[:1]])  # no gap at 180 degrees
    image = axis.imshow(
        np.ma.masked_invalid(field[np.ix_(rows, columns)]),
        origin="lower",
        extent=(left, left + 360 + 2 * width, bottom, even[-1] + even[0] - bottom),
        **colours,
    )
    axis.set(xlim=(-180, 180), ylim=(-90, 90), facecolor="0.75")
    axis.set_xticks(range(-180, 181, 60), [_degrees(d, "WE") for d in range(-180, 181, 60)])
    axis.set_yticks(range(-90, 91, 30), [_degrees(d, "SN") for d in range(-90, 91, 30)])
    axis.tick_params(labelsize=9)
    return image


def on_rows(field: _Doubles, grid: Grid) -> tuple[_Doubles, LatLonGrid]:
    """A field for a map: as it is on rows and columns, else the nearest points on such a grid."""
    if isinstance(grid, LatLonGrid):
        return field, grid
    return field.ravel()[_nearest(grid)], _SHOWN


@lru_cache(maxsize=1)
def _nearest(grid: Grid) -> npt.NDArray[np.int64]:
    """Point of a grid nearest to each point of the grid that is shown in its place."""
    points, shown = (
        healpy.ang2vec(longitude, latitude, lonlat=True)
        for latitude, longitude in (grid.points, _SHOWN.points)
    )
    return np.asarray(cKDTree(points).query(shown)[1].reshape(_SHOWN.shape), np.int64)


def _draw_bar(figure: Figure, where: str, image: Any, shown: _Doubles, label: str) -> None:  # noqa: ANN401
    """Colour bar with an arrow at each end that some of the ``shown`` values go over."""
    (low, high), (least, most) = image.get_clim(), limits(shown, 0, 100)
    over = ("neither", "min", "max", "both")[(least < low) + 2 * (most > high)]
    bar = figure.colorbar(image, cax=_place(figure, where), orientation="horizontal", extend=over)
    bar.set_label(plain(label))
    bar.ax.tick_params(labelsize=9)


def spectra(truth: _Doubles, ours: _Doubles, grid: Grid) -> dict[str, _Doubles]:
    """Variance of original, decoded and error at each degree from 1 on.

    Points missing in either field ``grid.shape`` count as the original's mean, without error.
    """
    error = ours - truth
    there = np.isfinite(error)
    mean = truth[there].mean() if there.any() else 0.0
    fields = {"original": (truth, mean), "decoded": (ours, mean), "error": (error, 0.0)}
    return {
        name: spectrum(np.where(there, field, fill), grid)[1:]
        for name, (field, fill) in fields.items()
    }


def draw_spectra(axis: Axes, powers: Mapping[str, _Doubles], units: str) -> None:
    """Lines of what :func:`spectra` gives."""
    most = max(float(power.max()) for power in powers.values())
    for (name, (colour, style)), power in zip(LINES.items(), powers.values(), strict=True):
        shown = np.where(power > 0, power, np.nan)
        axis.plot(np.arange(1, power.size + 1), shown, style, color=colour, label=name, lw=1.5)
    axis.set(xscale="log", xlim=(1, power.size))
    if most > 0:  # else there is nothing to take the logarithm of
        axis.set_yscale("log")
        axis.set_ylim(bottom=max(axis.get_ylim()[0], 1e-16 * most))  # below is rounding
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("spherical-harmonic degree")
    square = f"{units if units.isalpha() else f'({units})'}\N{SUPERSCRIPT TWO}" if units else ""
    axis.set_ylabel(plain(labelled("variance per degree", square)))
    axis.set_title("Spectrum")
    axis.tick_params(labelsize=9)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)


def limits(field: _Doubles, *percentiles: float) -> list[float]:
    """Percentiles of the finite values; 0 where there are none."""
    finite = field[np.isfinite(field)]
    return [float(np.percentile(finite, p)) if finite.size else 0.0 for p in percentiles]


def _degrees(value: int, sides: str) -> str:
    return f"{abs(value)}\N{DEGREE SIGN}{sides[value > 0] if value % 180 else ''}"


def labelled(name: str, units: str) -> str:
    """Name and unit, where there are such."""
    return f"{name} ({units})" if name and units else name or units


def plain(text: str) -> str:
    """``text`` without a meaning of its dollars to matplotlib."""
    return text.replace("$", r"\$")
