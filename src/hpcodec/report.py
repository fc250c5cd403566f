"""What became of the variables of a dataset, and what the root of a store says of it.

VariableReport --record--> attribute of the root
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from hpcodec.record import Record, RecordedError

__all__ = ["VariableReport", "command_line", "record", "record_size"]

_FIGURES = ("rmse", "max_error", "remap_rmse")


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


def command_line() -> str:
    """Beginning of the command that runs; empty in a program of another name."""
    called = sys.argv[0].rpartition("/")[2] == "hpcodec"
    return " ".join(["hpcodec", *sys.argv[1:]])[:60] if called else ""


def record(
    reports: Sequence[VariableReport], layout: dict[str, Any], command: str
) -> dict[str, Any]:
    """What the root of a store says of itself; ``layout`` is the source's."""
    figures = {one.name: [getattr(one, key) for key in _FIGURES] for one in reports}
    return _record(figures, {one.name: one.mask_bytes for one in reports}, layout, command)


def record_size(names: Sequence[str], layout: dict[str, Any]) -> int:
    """Bytes that the root's attribute takes at most, and a digit more or less in the codings."""
    widest = -1.234e-100
    figures = {name: [widest] * len(_FIGURES) for name in names}
    masks = dict.fromkeys(names, 10**8)
    widest_record = _record(figures, masks, layout, command_line())
    return len(json.dumps(widest_record, separators=(",", ":"))) + 16 + 4 * len(names)


def _record(
    errors: dict[str, list[float]], masks: dict[str, int], layout: dict[str, Any], command: str
) -> dict[str, Any]:
    told = Record(
        version=version("hpcodec"),
        command=command,
        error={
            name: RecordedError(*(float(f"{figure:.4g}") for figure in figures))
            for name, figures in errors.items()
        },
        masks={name: size for name, size in masks.items() if size},
        source=layout,
    )
    return told.to_dict()
