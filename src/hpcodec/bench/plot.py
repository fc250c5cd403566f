"""Rate-distortion curves as a picture.

results --plot_curves--> PNG: one panel for each field, one line for each codec
"""

from __future__ import annotations

from collections.abc import Sequence

from hpcodec.bench.curves import front
from hpcodec.bench.result import Result
from hpcodec.errors import OutputError, UsageError

__all__ = ["plot_curves"]

_STYLES = {"ours": "-", "paper": "--", "classical": "-", "trivial": ":"}


def plot_curves(path: str, results: Sequence[Result]) -> None:
    """Write RMSE against ratio, both in logarithms.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    OutputError
        If the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "expected the package matplotlib for a plot; it is not installed. "
            "Do: pip install 'hpcodec[plot]'."
        ) from error
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(6.5 * columns, 5 * rows), layout="constrained")
    for number, result in enumerate(results, 1):
        axes = figure.add_subplot(rows, columns, number)
        for curve in result.curves:
            points = front(curve.points)
            axes.loglog(
                [point.ratio for point in points],
                [point.rmse for point in points],
                _STYLES[curve.kind],
                marker=".",
                **({"color": "black", "linewidth": 2.4} if curve.kind == "ours" else {}),
                label=curve.name,
            )
        axes.set_title(result.case.label, fontsize=9)
        axes.set_xlabel("ratio: bytes as float32 over all bytes of the payload")
        axes.set_ylabel(f"RMSE, {result.case.spec.units or '1'}")
        axes.grid(which="both", alpha=0.25)
        axes.legend(fontsize=7)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise OutputError(f"expected a place for a PNG; got '{path}' ({error}).") from error
