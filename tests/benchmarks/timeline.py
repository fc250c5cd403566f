"""What each thread does when, as a picture.

spans of compress and of decompress --draw--> PNG: a row for each stage, a panel for each call
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.figure import Figure

from tests.benchmarks.timers import ELSE, HERE, STAGES, WAITING, Span, seconds

__all__ = ["draw"]

_GAP = 0.002  # seconds: less is not to be seen

# Okabe and Ito's colours, which the colour-blind can tell apart; each row has a name besides.
_COLOURS = {
    "reading": "#0072B2",
    "gaps": "#BBBBBB",
    "remap": "#56B4E9",
    "wavelets": "#009E73",
    "restorer": "#CC79A7",
    "network": "#D55E00",
    "activity": "#F0E442",
    "entropy code": "#E69F00",
    "errors": "#888888",
    ELSE: "#444444",
    WAITING: "#DDDDDD",
    "writing": "#0072B2",
}


def draw(path: str, compress: Sequence[Span], decompress: Sequence[Span], until: float) -> None:
    """Write the picture: the first seconds of both calls, ``until`` some time."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, name, spans in zip(
        panels, ("compress", "decompress"), (compress, decompress), strict=True
    ):
        axes.set_title(f"hpcodec {name}", fontsize=10, loc="left")
        _panel(axes, [span for span in spans if span.start < until], until)
    panels[-1].set_xlabel("seconds since the call; dotted lines: another field, or a batch of them")
    figure.savefig(path, dpi=100)


def _panel(axes: Any, spans: Sequence[Span], until: float) -> None:
    here = [span for span in spans if span.thread == HERE]
    rows = [
        ("reads ahead: reading", _of(spans, "hpcodec-read", "reading"), "reading"),
        *(
            (stage, _of(here, HERE, stage), stage)
            for stage in (*STAGES, ELSE)
            if _worth(here, stage, until)
        ),
        ("writes behind: writing", _of(spans, "hpcodec-write", "writing"), "writing"),
    ]
    for number, (_, bars, stage) in enumerate(rows):
        axes.broken_barh(bars, (number - 0.4, 0.8), color=_COLOURS.get(stage, "#444444"))
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=8)
    axes.axhline(0.5, color="black", linewidth=0.6)
    axes.axhline(len(rows) - 1.5, color="black", linewidth=0.6)
    for _, own in groupby((span for span in here if span.field), lambda span: span.field):
        axes.axvline(next(own).start, color="black", linewidth=0.6, linestyle=":")
    axes.set_xlim(0, until)
    axes.invert_yaxis()


def _worth(spans: Sequence[Span], stage: str, until: float) -> bool:
    """Whether a stage takes long enough to be seen."""
    return seconds(spans)[stage] > 0.003 * until


def _of(spans: Sequence[Span], thread: str, stage: str) -> list[tuple[float, float]]:
    """Start and length of what a thread does in a stage; what is hardly apart is one."""
    bars: list[tuple[float, float]] = []
    for one in sorted(spans, key=lambda one: one.start):
        if not one.thread.startswith(thread) or one.stage != stage:
            continue
        if bars and one.start - sum(bars[-1]) < _GAP:
            bars[-1] = bars[-1][0], one.stop - bars[-1][0]
        else:
            bars.append((one.start, one.stop - one.start))
    return bars
