"""Codecs that keep a bound on the error of every point, each at the same bounds.

files, bounds --run_bounds--> a table for each field and bound
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import numpy as np

from hpcodec.bench.case import Case, Floats, read_cases
from hpcodec.bench.codecs import Recipe, choose
from hpcodec.bench.peers import from_jpeg2000, to_jpeg2000
from hpcodec.bench.recipes import PRODUCT, recipes
from hpcodec.bench.report import write_plain
from hpcodec.coding import coding_for
from hpcodec.decoding import decode_fields
from hpcodec.errors import UsageError
from hpcodec.integers import decode_integers, encode_integers
from hpcodec.pipeline import encode_fields
from hpcodec.targets import check_bound
from hpcodec.terminal import table

__all__ = ["BoundPoint", "Limit", "read_limits", "run_bounds"]

Keep = Callable[[Case, float], tuple[bytes, Floats]]
"""Bytes of a case's field at a bound in its unit, and what they decode to."""

_LENGTH = struct.Struct("<If")
_DECIBELS = (34, 38, 42, 46, 50, 54, 58, 62, 66, 70, 76, 82)


@dataclass(frozen=True)
class Limit:
    """A bound: of a field's range, or in its unit."""

    value: float
    relative: bool

    def of(self, case: Case) -> float:
        """In the unit of a case."""
        return self.value * (float(np.ptp(case.truth[~case.missing])) if self.relative else 1.0)

    def __str__(self) -> str:
        return f"{100 * self.value:g}% of the range" if self.relative else f"{self.value:g}"


@dataclass(frozen=True)
class BoundPoint:
    """One codec at one bound on one field; errors in the field's unit, where it has values."""

    codec: str
    size: int
    ratio: float
    max_error: float
    rmse: float
    violations: int


def read_limits(text: str) -> list[Limit]:
    """Bounds in the text of an option: percent of the range of a field, or numbers in its unit.

    Raises
    ------
    UsageError
        If one is neither.

    Examples
    --------
    >>> [str(limit) for limit in read_limits("1%,0.5")]
    ['1% of the range', '0.5']
    """
    limits = []
    for part in text.split(","):
        percent = part.strip().endswith("%")
        try:
            value = float(part.strip().removesuffix("%"))
        except ValueError as error:
            raise UsageError(
                f"expected bounds like 1%,0.3% or 0.5; got '{part}'. Give shares of the range in "
                "percent, or numbers in the unit of the variable."
            ) from error
        limits.append(Limit(check_bound(value / 100 if percent else value), percent))
    return limits


def run_bounds(
    paths: Sequence[str],
    text: str,
    *,
    codecs: Sequence[str] = (),
    variable: str = "",
    json: str = "",
    device: str = "auto",
    told: Callable[[str, int, int], None] = lambda name, done, total: None,
    note: Callable[[str], None] = lambda line: None,
) -> None:
    """Measure codecs on the first field of every variable, at each bound, and print tables.

    Parameters
    ----------
    paths : sequence of str
        NetCDF or zarr files.
    text : str
        For :func:`read_limits`.
    codecs : sequence of str
        Names of codecs; all that keep a bound if there are none.
    variable, json, device, told, note
        As for :func:`hpcodec.bench.command.run_bench`.

    Raises
    ------
    HpcodecError
        For whatever is wrong with the files, the options or the outputs.
    """
    limits, kinds = read_limits(text), _kinds(device)
    known = {recipe.name: recipe for recipe in recipes(device)}
    chosen = [recipe for recipe in choose(codecs, _recipes(known, kinds)) if not recipe.lacks]
    for recipe in choose(codecs, _recipes(known, kinds)):
        if recipe.lacks:
            note(recipe.lacks)
    found: list[dict[str, Any]] = []
    for case in read_cases(paths, variable):
        keepers = {recipe.name: kinds[recipe.name]() for recipe in chosen}
        for number, limit in enumerate(limits):
            told(case.label, number, len(limits))
            points = []
            for name, keep in keepers.items():
                try:
                    points.append(_measured(name, keep, case, limit.of(case)))
                except Exception as error:  # a foreign codec raises what it likes
                    note(f"{name} at {limit} of {case.label}: {' '.join(str(error).split())[:160]}")
            _print(case, limit, points)
            rows = [asdict(point) for point in points]
            about = {"file": case.path, "variable": case.spec.name, "units": case.spec.units}
            found.append({**about, "limit": str(limit), "bound": limit.of(case), "codecs": rows})
        told(case.label, len(limits), len(limits))
    if json:
        write_plain(json, found)


def _measured(name: str, keep: Keep, case: Case, bound: float) -> BoundPoint:
    code, decoded = keep(case, bound)
    valid = ~case.missing
    error = np.abs(case.truth[valid].astype(np.float64) - np.asarray(decoded)[valid])
    return BoundPoint(
        codec=name,
        size=len(code),
        ratio=case.raw_bytes / len(code),
        max_error=float(error.max()),
        rmse=float(np.sqrt(np.mean(error**2))),
        violations=int((~(error <= bound)).sum()),
    )


def _print(case: Case, limit: Limit, points: Sequence[BoundPoint]) -> None:
    unit = case.spec.units or "1"
    title = f"{case.label}, every point within {limit} ({limit.of(case):.4g} {unit})"
    columns = ("codec", "bytes", "ratio", "max error", "violations", "RMSE, unweighted")
    rows: list[tuple[str, ...]] = [
        (
            point.codec,
            f"{point.size:,}",
            f"{point.ratio:.1f}",
            f"{point.max_error:.5g}",
            f"{point.violations:,}",
            f"{point.rmse:.4g}",
        )
        for point in points
    ]
    table(title, columns, rows)


def _kinds(device: str) -> dict[str, Callable[[], Keep]]:
    return {
        PRODUCT: lambda: _Product(device),
        "sz3": lambda: _sz3,
        "sperr": lambda: _sperr,
        "ebcc": lambda: _ebcc,
        "jpeg2000": lambda: _jpeg2000,
        "zfp": lambda: _zfp,
    }


def _recipes(known: dict[str, Recipe], kinds: dict[str, Callable[[], Keep]]) -> list[Recipe]:
    return [known[name] for name in kinds]


class _Product:
    """What ``hpcodec compress --max-error`` writes of a field."""

    def __init__(self, device: str) -> None:
        self._device = device

    def __call__(self, case: Case, bound: float) -> tuple[bytes, Floats]:
        coding = coding_for(case.spec, case.raw_bytes, max_error=bound)
        encoded = encode_fields(case.filled[None], coding, self._device)
        return encoded.payloads[0], decode_fields(encoded.payloads, coding, self._device)[0]


def _sz3(case: Case, bound: float) -> tuple[bytes, Floats]:
    codec = import_module("numcodecs_wasm_sz3").Sz3
    made = codec(eb_mode="abs", eb_abs=bound, predictor="interpolation")
    return _numcodecs(made, case)


def _ebcc(case: Case, bound: float) -> tuple[bytes, Floats]:
    """The better of two ratios of the JPEG2000 inside."""
    codec = import_module("numcodecs_wasm_ebcc").Ebcc
    made = [codec(residual="absolute", error=bound, base_cr=ratio) for ratio in (200.0, 50.0)]
    return min((_numcodecs(one, case) for one in made), key=lambda found: len(found[0]))


def _numcodecs(codec: Any, case: Case) -> tuple[bytes, Floats]:  # noqa: ANN401  (it has no types)
    code = bytes(codec.encode(case.filled))
    decoded = np.asarray(codec.decode(np.frombuffer(code, np.uint8)), np.float32)
    return code, decoded.reshape(case.truth.shape)


def _sperr(case: Case, bound: float) -> tuple[bytes, Floats]:
    made = import_module("imagecodecs")
    code = bytes(made.sperr_encode(case.filled, level=bound, mode="pwe"))
    return code, np.asarray(made.sperr_decode(code, shape=case.truth.shape, dtype="f4"))


def _zfp(case: Case, bound: float) -> tuple[bytes, Floats]:
    made = import_module("imagecodecs")
    code = bytes(made.zfp_encode(case.filled, level=bound, mode="a"))
    return code, np.asarray(made.zfp_decode(code)).reshape(case.truth.shape)


def _jpeg2000(case: Case, bound: float) -> tuple[bytes, Floats]:
    """JPEG2000, and what it leaves beyond the bound in steps of twice the bound, by our coder.

    Of several qualities the one with the fewest bytes in all.
    """
    # A hair less: the sum is rounded to float32.
    step = 2 * (bound - 2 * float(np.spacing(np.abs(case.filled).max())))
    codes = (_corrected_jpeg2000(case, step, level) for level in _DECIBELS)
    best = min(codes, key=len)
    length, told = _LENGTH.unpack_from(best)
    middle = _LENGTH.size + length
    rows, columns = case.truth.shape
    steps = decode_integers(best[middle:], (rows, columns))
    rest = from_jpeg2000(best[_LENGTH.size : middle], case.truth.shape)
    return best, np.asarray(rest + steps * float(told), np.float32)


def _corrected_jpeg2000(case: Case, step: float, level: float) -> bytes:
    code = to_jpeg2000(case.filled, level)
    _, told = _LENGTH.unpack(_LENGTH.pack(len(code), step))
    error = case.filled.astype(np.float64) - from_jpeg2000(code, case.truth.shape)
    steps = np.rint(error / told).astype(np.int32)
    return _LENGTH.pack(len(code), step) + code + encode_integers(steps)
