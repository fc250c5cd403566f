"""What a bench shows: tables on stdout, all of it as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hpcodec.bench.curves import at_ratio, at_rmse
from hpcodec.bench.measure import BAND, Point
from hpcodec.bench.ours import StorePoint
from hpcodec.bench.result import Result
from hpcodec.bench.targets import Verdict
from hpcodec.errors import OutputError
from hpcodec.terminal import table

__all__ = ["print_result", "print_verdicts", "write_json", "write_plain"]

_COLUMNS = (
    "codec",
    "bytes",
    "ratio",
    "RMSE",
    "max error",
    "99.9 %",
    "bias",
    "PSNR dB",
    f"l {BAND[0]}-{BAND[1]}",
    "enc MB/s",
    "dec MB/s",
    "peak MB",
)

_PACKAGES = ("hpcodec", "imagecodecs", "numcodecs-wasm-sz3", "numcodecs-wasm-ebcc", "ducc0")

_FORMS = {
    "RMSE at ratio": "{:.3g}",
    "spectrum kept": "{:.0%}",
    "seconds to encode": "{:.2f} s",
    "seconds to decode": "{:.2f} s",
}


def print_result(result: Result, ratios: Sequence[float], errors: Sequence[float]) -> None:
    """One table for each ratio and each RMSE that was asked for."""
    case = result.case
    unit = case.spec.units or "1"
    absent = int(case.missing.sum())
    masked = f"; {absent:,} missing points filled smoothly and not compared" if absent else ""
    for ratio in ratios:
        rows = [
            *_store_rows([store for store in result.stores if store.asked == ratio]),
            *(_row(curve.name, at_ratio(curve, ratio)) for curve in result.curves),
        ]
        table(f"{case.label} at ratio {ratio:g}, errors in {unit}{masked}", _COLUMNS, rows)
    for rmse in errors:
        rows = [_row(curve.name, at_rmse(curve, rmse)) for curve in result.curves]
        table(f"{case.label} at RMSE {rmse:g} {unit}{masked}", _COLUMNS, rows)


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """The table of targets."""
    rows = [
        (
            verdict.target.label,
            verdict.field or "not in these files",
            _figure(verdict, verdict.ours) if verdict.field else "-",
            *(
                f"{_figure(verdict, wanted)} {verdict.says(wanted) if verdict.field else ''}"
                for wanted in (verdict.target.must, verdict.target.goal)
            ),
            f"{_figure(verdict, verdict.best)} {verdict.best_codec}" if verdict.field else "-",
        )
        for verdict in verdicts
    ]
    columns = ("at", "field", "hpcodec", "must", "goal", "best classical, this run")
    table("targets (ratios of payload bytes)", columns, [tuple(map(str.strip, r)) for r in rows])


def write_json(
    path: str,
    results: Sequence[Result],
    verdicts: Sequence[Verdict],
    ratios: Sequence[float],
    errors: Sequence[float],
) -> None:
    """Every point of every curve, what was asked for, and the targets.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    about = {
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "fields": [_field(result, ratios, errors) for result in results],
        "targets": [
            {
                "target": verdict.target.label,
                "field": verdict.field,
                "ours": verdict.ours,
                "must": [verdict.target.must, verdict.says(verdict.target.must)],
                "goal": [verdict.target.goal, verdict.says(verdict.target.goal)],
                "best_classical": [verdict.best_codec, verdict.best],
            }
            for verdict in verdicts
        ],
    }
    write_plain(path, about)


def write_plain(path: str, about: object) -> None:
    """Any tree as JSON.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    try:
        Path(path).write_text(json.dumps(_plain(about), indent=1) + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"expected a place for JSON; got '{path}' ({error}).") from error


def _field(result: Result, ratios: Sequence[float], errors: Sequence[float]) -> dict[str, Any]:
    case = result.case
    return {
        "file": case.path,
        "variable": case.spec.name,
        "units": case.spec.units,
        "pressure": case.pressure,
        "shape": list(case.truth.shape),
        "bytes": case.raw_bytes,
        "missing": int(case.missing.sum()),
        "codecs": {
            curve.name: {
                "kind": curve.kind,
                "points": [asdict(point) for point in curve.points],
                "failures": list(curve.failures),
                "at_ratio": {f"{r:g}": _point(at_ratio(curve, r)) for r in ratios},
                "at_rmse": {f"{e:g}": _point(at_rmse(curve, e)) for e in errors},
            }
            for curve in result.curves
        },
        "stores": [
            {**asdict(store), "figures": store.figures.to_dict()} for store in result.stores
        ],
    }


def _point(point: Point | None) -> dict[str, Any] | None:
    return asdict(point) if point else None


def _row(name: str, point: Point | None) -> tuple[str, ...]:
    if point is None:
        return (name, *("-" for _ in _COLUMNS[1:]))
    return (
        name,
        f"{point.size:,.0f}",
        f"{point.ratio:.1f}",
        f"{point.rmse:.4g}",
        f"{point.max_error:.3g}",
        f"{point.p999:.3g}",
        f"{point.bias:+.1g}",
        f"{point.psnr:.1f}",
        "-" if point.spectrum is None else f"{point.spectrum:.0%}",
        f"{point.encode_speed:.2g}",
        f"{point.decode_speed:.2g}",
        "-" if point.memory is None else f"{point.memory:.0f}",
    )


def _store_rows(stores: Sequence[StorePoint]) -> list[tuple[str, ...]]:
    return [
        (
            "hpcodec, whole store",
            f"{store.size:,}",
            f"{store.ratio:.1f}",
            f"{store.figures.rmse:.4g}",
            f"{store.figures.max_error:.3g}",
            "-",
            f"{store.figures.bias:+.1g}",
            f"{store.figures.psnr:.1f}",
            *("-" for _ in _COLUMNS[8:]),
        )
        for store in stores
    ]


def _figure(verdict: Verdict, value: float | None) -> str:
    if value is None:
        return "-"
    return _FORMS.get(verdict.target.quantity, "{:.0f}x").format(value)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _plain(value: Any) -> Any:  # noqa: ANN401  (any tree of JSON)
    """The tree without what JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
