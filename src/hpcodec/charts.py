"""Pictures for a page: maps, histogram, errors by latitude and spectra, as text of SVG elements.

field, grid --draw_map--> SVG with a picture of 256 colours;  ErrorSpread --draw_...--> SVG

Ink is ``currentColor``, so that a page shows them in its own colours, dark or light.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import healpy
import numpy as np
import numpy.typing as npt

from hpcodec.globe import HEIGHT, Doubles, project, sampled
from hpcodec.grid import LatLonGrid, cell_count
from hpcodec.maps import LINES, draw_spectra, labelled, plain
from hpcodec.spread import ErrorSpread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "ERRORS",
    "VALUES",
    "draw_histogram",
    "draw_latitudes",
    "draw_map",
    "draw_power",
    "has_matplotlib",
    "shared",
]

VALUES, ERRORS = "viridis", "RdBu_r"
"""Colour maps that the colour-blind can read: a sequence, and two sides of zero."""

_WIDTH = 1000  # of a map, in units of its elements
_SIZE = (5.6, 3.5)
_LAND_LEVEL = 7  # cells of half a degree: a coast drawn finer is no more than bytes
_MISSING, _OFF = 255, 0  # places in a palette; between them is the colour map
# Errors are noise, which no PNG makes small; fewer shades do, and an odd number has one of zero.
_SHADES = {VALUES: _MISSING - 1, ERRORS: 33}


def has_matplotlib() -> bool:
    """Whether there can be pictures."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def shared(land: npt.NDArray[np.uint8]) -> str:
    """What all maps of a page refer to: coasts, graticule, outline and colour bars.

    Parameters
    ----------
    land : ndarray of uint8
        Land in parts of 255, ``(12 * 4**level,)``, nested order.
    """
    from matplotlib import colormaps

    poles = np.linspace(-90, 90, 91)
    around = [project(poles, 180 + 0 * poles), project(poles[::-1], -180 + 0 * poles)]
    lines = [project(poles, east + 0 * poles) for east in range(-120, 121, 60)]
    lines += [project([north] * 2, [-180, 180]) for north in range(-60, 61, 30)]
    outline = _path([np.stack([np.concatenate(part) for part in zip(*around, strict=True)], 1)])
    bars = "".join(
        f'<linearGradient id="{name}">'
        + "".join(
            f'<stop offset="{at / 16:g}" stop-color="{_hex(colormaps[name](at / 16))}"/>'
            for at in range(17)
        )
        + "</linearGradient>"
        for name in (VALUES, ERRORS)
    )
    return (
        f'<svg class="defs" width="0" height="0" aria-hidden="true"><defs>{bars}'
        f'<path id="outline" d="{outline}Z"/>'
        f'<path id="graticule" d="{_path([np.stack(line, 1) for line in lines])}"/>'
        f'<path id="coasts" d="{_path(_coasts(land))}"/></defs></svg>'
    )


def draw_map(
    field: Doubles,
    grid: LatLonGrid,
    *,
    colours: str,
    low: float,
    high: float,
    units: str,
    alt: str,
    pixels: int = 1000,
) -> str:
    """Map of a field ``(rows, columns)``, NaN where it has no value, with a colour bar.

    Parameters
    ----------
    field, grid : ndarray, LatLonGrid
        Values and where they lie. Values beyond ``low`` and ``high`` have the last colours.
    colours : str
        :data:`VALUES` or :data:`ERRORS`.
    low, high : float
        Ends of the colour bar, in ``units``.
    units, alt : str
        Told below it, and to those who do not see it.
    pixels : int
        Width of the picture.
    """
    values, there = sampled(field, grid, pixels)
    spread = (high - low) or 1.0
    steps = _SHADES[colours] - 1
    shades = np.rint(np.nan_to_num((values - low) / spread).clip(0, 1) * steps)
    places = np.where(np.isfinite(values), 1 + shades, _MISSING)
    picture = _picture(np.where(there, places, _OFF).astype(np.uint8), colours)
    height = round(HEIGHT * _WIDTH)
    finite = field[np.isfinite(field)]
    over = float(finite.min(initial=low)) < low, float(finite.max(initial=high)) > high
    return (
        f'<svg class="map" viewBox="0 0 {_WIDTH} {height + 92}" role="img" '
        f'aria-label="{escape(alt)}">'
        f'<image width="{_WIDTH}" height="{height}" href="{picture}"/>'
        '<use href="#graticule"/><use href="#coasts"/><use href="#outline"/>'
        f"{_bar(colours, low, high, over, units, height + 22)}</svg>"
    )


def draw_histogram(spread: ErrorSpread, units: str, bound: tuple[float, float], alt: str) -> str:
    """Share of the area with an error of each size; the least and the largest bound as lines."""

    def draw(axis: Axes) -> None:
        axis.stairs(100 * spread.shares, spread.edges, fill=True, color=LINES["decoded"][0])
        lowest = min(100 * spread.shares[spread.shares > 0], default=1.0)
        axis.set_yscale("log")
        axis.set_ylim(max(lowest / 2, 1e-6), 200)  # a pole is no area
        axis.axvline(0, color="#000000", lw=0.8)
        for number in sorted(set(bound)) if bound[1] else ():
            for side in (-number, number):
                axis.axvline(side, color=LINES["error"][0], ls="--", lw=1.5)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
        axis.set_xlabel(plain(labelled("decoded \N{MINUS SIGN} original", units)))
        axis.set_ylabel("% of the area, log scale")

    return _chart(draw, alt)


def draw_latitudes(spread: ErrorSpread, north: Doubles, units: str, alt: str) -> str:
    """Root of the mean square, mean and largest error of each band of latitude ``north``."""

    def draw(axis: Axes) -> None:
        axis.plot(spread.most, north, "-", color="#909090", lw=0.7, label="largest")
        axis.plot(spread.rmse, north, "-", color=LINES["error"][0], lw=1.5, label="RMSE")
        axis.plot(spread.bias, north, "--", color=LINES["decoded"][0], lw=1.5, label="bias")
        axis.axvline(0, color="#000000", lw=0.8)
        axis.set(ylim=(-90, 90), ylabel="latitude", yticks=range(-90, 91, 30))
        axis.set_yticklabels([f"{abs(d)}°{'SN'[d > 0] if d else ''}" for d in range(-90, 91, 30)])
        axis.set_xlabel(plain(labelled("error", units)))
        axis.legend(frameon=False)

    return _chart(draw, alt)


def draw_power(powers: Mapping[str, Doubles], units: str, alt: str) -> str:
    """Variance of original, decoded and error by spherical-harmonic degree."""

    def draw(axis: Axes) -> None:
        draw_spectra(axis, powers, units)
        axis.set_title("")

    return _chart(draw, alt)


def _chart(draw: Callable[[Axes], None], alt: str) -> str:
    """What matplotlib draws, as an element whose names are of it alone, if ``alt`` is."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": alt, "font.size": 11}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        draw(figure.add_subplot())
        figure.patch.set_visible(False)
        for axis in figure.axes:
            axis.patch.set_visible(False)
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(alpha=0.3)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    box, body = re.search(r'viewBox="([^"]*)"', text), text.partition("</defs>")[2]
    assert box is not None
    return _own(
        f'<svg class="chart" viewBox="{box[1]}" role="img" aria-label="{escape(alt)}">{body}'
    )


def _own(svg: str) -> str:
    """``svg`` with the page's ink and fonts, and no names but those that it refers to."""
    used = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = svg.replace("#000000", "currentColor").replace("xlink:href", "href")
    return re.sub(r"<!--.*?-->|\n\s*", " ", svg, flags=re.S).strip()


def _picture(pixels: npt.NDArray[np.uint8], colours: str) -> str:
    """Data URI of a PNG of 256 colours: a third of the bytes of one of all colours."""
    from matplotlib import colormaps
    from PIL import Image

    palette = np.full((256, 3), 150, np.uint8)
    shades = colormaps[colours](np.linspace(0, 1, _SHADES[colours]), bytes=True)
    palette[1 : 1 + len(shades)] = shades[:, :3]
    image = Image.fromarray(pixels, "P")
    image.putpalette(palette.tobytes())
    stream = io.BytesIO()
    image.save(stream, "png", optimize=True, transparency=_OFF)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _bar(
    colours: str, low: float, high: float, over: tuple[bool, bool], units: str, top: int
) -> str:
    """Colour bar with round numbers below it, and arrows where values go over its ends."""
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    left, width, tall = 100, 800, 22
    parts = [f'<rect x="{left}" y="{top}" width="{width}" height="{tall}" fill="url(#{colours})"/>']
    for beyond, end, tip, at in ((over[0], 100, 78, 0.0), (over[1], 900, 922, 1.0)):
        if beyond:
            arrow = f"{end},{top} {end},{top + tall} {tip},{top + tall / 2:g}"
            parts.append(f'<polygon points="{arrow}" fill="{_hex(colormaps[colours](at))}"/>')
    ticks = [t for t in MaxNLocator(5).tick_values(low, high) if low <= t <= high]
    form = ScalarFormatter(useOffset=False, useMathText=False)
    form.create_dummy_axis()
    for tick, label in zip(ticks, form.format_ticks(ticks), strict=True):
        place = left + width * (tick - low) / ((high - low) or 1.0)
        parts.append(f'<text x="{place:.0f}" y="{top + 54}" text-anchor="middle">{label}</text>')
    unit = escape(f"{form.get_offset()} {units}".strip())
    parts.append(f'<text x="{_WIDTH}" y="{top + 54}" text-anchor="end">{unit}</text>')
    return "".join(parts)


def _coasts(land: npt.NDArray[np.uint8]) -> list[Doubles]:
    """Lines between land and sea, as places in a picture."""
    from contourpy import contour_generator

    parts = land.reshape(cell_count(_LAND_LEVEL), -1).mean(1)
    north, east = np.linspace(-90, 90, 361), np.linspace(-180, 180, 721)
    longitude, latitude = np.meshgrid(east, north)
    on_grid = healpy.get_interp_val(parts, longitude, latitude, nest=True, lonlat=True)
    lines: Any = contour_generator(east, north, on_grid).lines(127.5)
    return [np.stack(project(line[:, 1], line[:, 0]), 1) for line in lines if len(line) > 9]


def _path(lines: list[Doubles]) -> str:
    """Lines of an SVG path, to half a pixel."""
    parts = []
    for line in lines:
        x, y = np.rint(2 * _WIDTH * line[0]) / 2
        steps = np.diff(np.rint(2 * _WIDTH * line), axis=0) / 2
        moves = "".join(f"l{across:g},{down:g}" for across, down in steps if across or down)
        parts.append(f"M{x:g},{y:g}{moves}")
    return re.sub(r"(?<!\d)0\.", ".", "".join(parts)).replace(",-", "-")


def _hex(colour: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])
