"""The pictures of one variable on a page, each with a caption that says what it shows.

View --draw_panels--> HTML figures: original, decoded, error, spectra, histogram, latitudes
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from html import escape

import numpy as np

from hpcodec.charts import (
    ERRORS,
    VALUES,
    draw_histogram,
    draw_latitudes,
    draw_map,
    draw_power,
)
from hpcodec.globe import Doubles
from hpcodec.maps import limits, on_rows, spectra
from hpcodec.report import bound_text
from hpcodec.views import View

__all__ = ["draw_panels"]

_AROUND = 40_030  # kilometres around the Earth


def draw_panels(view: View, step: str, pixels: int) -> str:
    """HTML of the figures of one variable.

    Parameters
    ----------
    view : View
        Of the variable.
    step : str
        Name of the field that the maps show; empty if it has none.
    pixels : int
        Width of the maps.
    """
    coding, name = view.item.coding, view.item.name
    units = str(view.item.attributes.get("units", ""))
    which = _which(view, step)
    maps = _maps(view, units, which, pixels)
    if view.exact:
        return "".join(maps[:2])  # charts of no error at all would be empty
    powers = spectra(view.truth, view.decoded, coding.grid)
    parts = [
        *maps,
        _figure(
            "Spectra", draw_power(powers, units, f"Spectra of {name}"), _power_words(powers, which)
        ),
        _figure(
            "How often errors are how large",
            draw_histogram(view.spread, units, view.bound, f"Histogram of errors of {name}"),
            f"Share of the area of {_all(view)} with an error of each size, on a logarithmic "
            f"scale, from the largest negative to the largest positive one. {_bound(view, units)}",
        ),
        _figure(
            "Errors by latitude",
            draw_latitudes(view.spread, view.latitude, units, f"Errors of {name} by latitude"),
            f"In each band of latitude of {_all(view)}: root of the mean square error (orange), "
            "largest error (grey) and mean error (blue, dashed; right of zero the decoded field is "
            "too high).",
        ),
    ]
    return "".join(parts)


def _maps(view: View, units: str, which: str, pixels: int) -> list[str]:
    """Original and decoded in the same colours, and their difference."""
    name, grid = view.item.name, view.item.coding.grid
    truth, shown = on_rows(view.truth, grid)
    decoded, error = on_rows(view.decoded, grid)[0], view.decoded - view.truth
    low, high = limits(view.truth, 0.1, 99.9)
    limit, most = limits(np.abs(error), 99, 100)
    limit = limit or most or 1.0
    notes = " Grey: no value." if np.isnan(view.truth).any() else ""
    if shown is not grid:
        notes += " Each pixel shows the point nearest to it, on half a degree."
    figures, unit = view.figures, f" {units}" if units else ""
    told = f"RMSE {figures.rmse:.4g}{unit}, largest error {figures.max_error:.4g}{unit}"
    draw = partial(draw_map, grid=shown, units=units, pixels=pixels)
    values = partial(draw, colours=VALUES, low=low, high=high)
    ends = f"from {low:.4g} to {high:.4g}{unit}"
    return [
        _figure(
            "Original",
            values(truth, alt=f"Map of {name}, original, {ends}"),
            f"{which} as it went in. Colours reach from the 0.1th to the 99.9th percentile of "
            f"the original; where a colour bar ends in arrows, some values are beyond.{notes}",
        ),
        _figure(
            "Decoded",
            values(decoded, alt=f"Map of {name}, decoded, {ends}"),
            f"The same field as it comes back from the store, in the same colours.{notes}",
        ),
        _figure(
            "Error",
            draw(
                on_rows(error, grid)[0],
                colours=ERRORS,
                low=-limit,
                high=limit,
                alt=f"Map of errors of {name}: {told}",
            ),
            "Decoded minus original: red where the decoded field is too high, blue where it is too "
            f"low, 99 % of the points within the colours. In this field: {told}.{notes}",
        ),
    ]


def _which(view: View, step: str) -> str:
    if view.item.steps == 1:
        return f"The field{f' ({step})' if step else ''}"
    if view.exact:
        return f"One of {view.item.steps:,} fields ({step})"
    return f"Of {view.item.steps:,} fields the one with the largest RMSE ({step})"


def _all(view: View) -> str:
    return "the field" if view.item.steps == 1 else f"all {view.item.steps:,} fields"


def _bound(view: View, units: str) -> str:
    coding = view.item.coding
    if not coding.bounded:
        return "No bound was asked for."
    told = bound_text(coding.max_error, coding.max_rel_error, units)
    least, most = view.bound
    lines = "dashed lines" if least == most else f"dashed lines at {least:.4g} and {most:.4g}"
    return f"The bound is {told}: {lines}. The largest error is {view.used:.1%} of its bound."


def _power_words(powers: Mapping[str, Doubles], which: str) -> str:
    told = (
        f"{which}: variance at each spherical-harmonic degree, of waves as long as the way around "
        "the Earth over the degree, of the original, the decoded field and the error. Where the "
        "decoded line lies below the original one, detail is lost."
    )
    worse = np.flatnonzero(powers["error"] > powers["original"] / 2)
    if not powers["original"].any() or not powers["error"].any():
        return told
    if not worse.size:
        return f"{told} Here the error has less than half of the original's power at all degrees."
    degree = int(worse[0])  # the degree before the first that is worse: they begin with 1
    if not degree:
        return told
    return (
        f"{told} Here the error stays below half of the original's power up to degree {degree}, "
        f"waves of {_AROUND / degree:,.0f} km."
    )


def _figure(heading: str, picture: str, words: str) -> str:
    return f"<figure><h3>{heading}</h3>{picture}<figcaption>{escape(words)}</figcaption></figure>"
