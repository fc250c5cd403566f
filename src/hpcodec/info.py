"""What a store says of itself: ``hpcodec info``. Reads metadata and headers, imports no torch."""

from __future__ import annotations

from math import prod
from typing import Any

from hpcodec.coarse import chain_of, is_detailed
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.model_folders import is_installed
from hpcodec.report import bound_text
from hpcodec.stages.wire import read_header
from hpcodec.stages.zarr_store import Store, StoredVariable, open_store

__all__ = ["describe", "described_table", "headline"]


def describe(path: str) -> dict[str, Any]:
    """Figures of a store, as JSON holds them.

    Parameters
    ----------
    path : str
        The store.

    Raises
    ------
    FormatError
        If it is none, or damaged.
    """
    store = open_store(path)
    variables = {name: _variable(store, item) for name, item in store.variables.items()}
    return {
        "path": path,
        "format": store.record.format,
        "version": store.record.version,
        "command": store.record.command,
        "bytes": store.size,
        "grid_bytes": store.grid_size,
        "ratio": round(store.ratio, 2),
        "variables": variables,
    }


def _variable(store: Store, item: StoredVariable) -> dict[str, Any]:
    coding = item.coding
    head = store.read(item, 0, BASE_LEVEL)
    header, detailed = read_header(head), is_detailed(chain_of(head, coding)[-1], coding)
    points = prod(coding.grid.shape)
    return {
        "dims": dict(zip(item.dims, item.shape, strict=True)),
        "units": item.attributes.get("units", ""),
        "model": coding.model,
        "weights": coding.weights,
        "installed": is_installed(coding.weights),
        "level": coding.level,
        "bottleneck": coding.bottleneck,
        "numbers_ratio": cell_count(coding.level) / cell_count(coding.bottleneck),
        "field_bytes": coding.size,
        "field_rmse": coding.rmse,
        "max_error": coding.max_error,
        "max_rel_error": coding.max_rel_error,
        "first_detail_bytes": header.correction * detailed,  # with its correction
        "first_correction_bytes": header.correction * (not detailed),
        "first_field_bytes": {
            str(level): size for level, size in enumerate(header.lengths, start=3)
        },
        "source_bytes": 4 * points * item.steps,
        "mask_bytes": store.record.masks.get(item.name, 0),
        "error": error.to_dict() if (error := store.record.error.get(item.name)) else {},
    }


def headline(store: Store) -> str:
    """Path, bytes and ratio of a store in a line."""
    apart = f" but {store.grid_size:,} bytes of coordinates" if store.grid_size else ""
    told = f"ratio {store.ratio:.1f} in bytes (all files{apart} counted)"
    return f"{store.path}: {store.size:,} bytes, {told}"


def described_table(about: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of what ``hpcodec info`` prints, from :func:`describe`."""
    columns = (
        "variable",
        "shape",
        "model",
        "coded to",
        "RMSE",
        "max error",
        "remap alone",
        "bound",
        "masks",
        "bytes by level",
    )
    rows: list[tuple[str, ...]] = [
        (
            name,
            " x ".join(str(size) for size in item["dims"].values()),
            item["model"] if item["installed"] else f"{item['model']}, not installed",
            "base field and detail"
            if item["first_detail_bytes"]
            else f"level {item['bottleneck']} of {item['level']}",
            *(
                f"{item['error'].get(key, float('nan')):.4g} {item['units']}"
                for key in ("rmse", "max_error", "remap_rmse")
            ),
            bound_text(item["max_error"], item["max_rel_error"], item["units"]),
            f"{item['mask_bytes']:,} bytes" if item["mask_bytes"] else "",
            " ".join(str(size) for size in item["first_field_bytes"].values())
            + "".join(
                f" + {item[key]}"
                for key in ("first_detail_bytes", "first_correction_bytes")
                if item[key]
            ),
        )
        for name, item in about["variables"].items()
    ]
    return columns, rows
