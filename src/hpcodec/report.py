"""What became of the variables of a dataset, and what the root of a store says of it.

VariableReport --record--> attribute of the root
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from hpcodec.records import Record, RecordedError

__all__ = [
    "MOST_COMMAND",
    "VariableReport",
    "bound_attributes",
    "bound_text",
    "command_line",
    "record",
    "record_size",
    "report_table",
]

MOST_COMMAND = 60
"""Characters of a command line that a store keeps."""

_FIGURES = ("rmse", "max_error", "remap_rmse")
_BOUNDS = ("bound", "relative_bound")


@dataclass(frozen=True)
class VariableReport:
    """What became of a variable; errors on the source grid, weighted by cos latitude.

    Parameters
    ----------
    name, units, model : str
        Of the variable, and the model that compressed it.
    steps : int
        Fields.
    bottleneck, level : int
        Finest coded level, and level of the remapped source.
    source_bytes, payload_bytes : int
        As float32, and compressed (base and masks included, metadata not).
    mask_bytes : int
        Of the compressed ones, those that tell where values are missing.
    numbers : float
        Numbers in a source field over numbers in its compressed field.
    rmse, max_error : float
        Of the decoded fields.
    remap_rmse : float
        What of it the remap alone costs.
    correction_bytes : int
        Of the payload, what keeps the bound.
    bound, relative_bound : float
        Error that any point may have, in the variable's unit, and relative to the range of each
        field; 0 for any.
    detailed : bool
        Whether its last field is a base field and a detail.
    """

    name: str
    units: str
    model: str
    steps: int
    bottleneck: int
    level: int
    source_bytes: int
    payload_bytes: int
    mask_bytes: int
    numbers: float
    rmse: float
    max_error: float
    remap_rmse: float
    correction_bytes: int = 0
    bound: float = 0.0
    relative_bound: float = 0.0
    detailed: bool = False


def command_line() -> str:
    """Beginning of the command that runs; empty in a program of another name."""
    called = sys.argv[0].rpartition("/")[2] == "hpcodec"
    return " ".join(["hpcodec", *sys.argv[1:]])[:MOST_COMMAND] if called else ""


def record(
    reports: Sequence[VariableReport], layout: dict[str, Any], command: str
) -> dict[str, Any]:
    """What the root of a store says of itself; ``layout`` is the source's."""
    figures = {one.name: {key: getattr(one, key) for key in _FIGURES} for one in reports}
    bounds = {one.name: {key: getattr(one, key) for key in _BOUNDS} for one in reports}
    masks = {one.name: one.mask_bytes for one in reports}
    return _record(figures, bounds, masks, layout, command)


def record_size(names: Sequence[str], layout: dict[str, Any], *, bounded: bool = False) -> int:
    """Bytes that the root's attribute takes at most, and a digit more or less in the codings."""
    figures = {name: dict.fromkeys(_FIGURES, -1.234e-100) for name in names}
    bounds = {name: dict.fromkeys(_BOUNDS, 1.2345678901234567e-100) for name in names}
    masks = dict.fromkeys(names, 10**8)
    widest = _record(figures, bounds if bounded else {}, masks, layout, command_line())
    return len(json.dumps(widest, separators=(",", ":"))) + 16 + 4 * len(names)


def report_table(
    reports: Sequence[VariableReport],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of what ``hpcodec compress`` prints."""
    columns = (
        "variable",
        "steps",
        "model",
        "coded to",
        "in numbers",
        "ratio, payload",
        "RMSE",
        "max error",
        "remap alone",
        "bound",
        "corrections",
    )
    rows: list[tuple[str, ...]] = [
        (
            r.name,
            f"{r.steps:,}",
            r.model,
            "detail" if r.detailed else f"level {r.bottleneck} of {r.level}",
            "-" if r.detailed else f"{r.numbers:g}x",
            _ratio(r.source_bytes, r.payload_bytes, r.mask_bytes),
            f"{r.rmse:.4g} {r.units}",
            f"{r.max_error:.4g} {r.units}",
            f"{r.remap_rmse:.4g} {r.units}",
            bound_text(r.bound, r.relative_bound, r.units),
            f"{r.correction_bytes / r.payload_bytes:.0%} of the bytes",
        )
        for r in reports
    ]
    return columns, rows


def _ratio(source: int, compressed: int, masks: int) -> str:
    rest = f" ({source / (compressed - masks):.1f} without masks)" if masks else ""
    return f"{source / compressed:.1f}{rest}"


def bound_text(bound: float, relative: float, units: str) -> str:
    """Bounds in words.

    Examples
    --------
    >>> bound_text(0.5, 0, "K")
    '0.5 K'
    """
    parts = [f"{bound:g} {units}".rstrip()] if bound else []
    parts += [f"{100 * relative:g}% of the range"] if relative else []
    return " and ".join(parts) or "none"


def bound_attributes(record: Record, name: str, *, on_cells: bool) -> dict[str, Any]:
    """Attributes of a decompressed variable that tell its bound; none where it has none.

    Parameters
    ----------
    record : Record
        Of the store.
    name : str
        Of the variable.
    on_cells : bool
        Whether it is on HEALPix cells, where the bound does not hold.
    """
    about = record.error.get(name)
    bounds = {key: getattr(about, key, 0) for key in _BOUNDS}
    told = {f"hpcodec_{key}": bound for key, bound in bounds.items() if bound}
    if about is None or not told:
        return {}
    if on_cells:
        return {"hpcodec_bound": "holds on the source grid, not on HEALPix cells"}
    return {**told, "hpcodec_max_error": about.max_error}


def _record(
    errors: Mapping[str, Mapping[str, float]],
    bounds: Mapping[str, Mapping[str, float]],
    masks: Mapping[str, int],
    layout: dict[str, Any],
    command: str,
) -> dict[str, Any]:
    told = Record(
        version=version("hpcodec"),
        command=command,
        error={
            name: RecordedError(
                **{key: float(f"{figure:.4g}") for key, figure in figures.items()},
                **bounds.get(name, {}),
            )
            for name, figures in errors.items()
        },
        masks={name: size for name, size in masks.items() if size},
        source=layout,
    )
    return told.to_dict()
