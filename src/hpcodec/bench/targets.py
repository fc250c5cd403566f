"""What the product must reach, and what it should: the table of ``hpcodec bench --targets``.

Result of every field --judge--> Verdict, one for each target and field that it is of
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hpcodec.bench.case import Case
from hpcodec.bench.curves import at_ratio, at_rmse
from hpcodec.bench.measure import Curve, Point
from hpcodec.bench.result import Result

__all__ = ["TARGETS", "Target", "Variable", "Verdict", "best_at_ratio", "judge", "needed"]

Quantity = Literal[
    "ratio at RMSE",
    "RMSE at ratio",
    "ratio at the best's RMSE",
    "spectrum kept",
    "seconds to encode",
    "seconds to decode",
]
_SECONDS = ("seconds to encode", "seconds to decode")


@dataclass(frozen=True)
class Variable:
    """Which fields a target is of.

    Parameters
    ----------
    label : str
        For tables.
    names : tuple of str
        Names of the variable in files.
    standard_names : tuple of str
        CF standard names that say it, too.
    pressure : float, optional
        Level in hPa; None for fields that are on none.
    shapes : tuple of (int, int)
        Rows and columns of grids; fields on them are meant, whatever they are of.
    """

    label: str
    names: tuple[str, ...] = ()
    standard_names: tuple[str, ...] = ()
    pressure: float | None = None
    shapes: tuple[tuple[int, int], ...] = ()

    def is_of(self, case: Case) -> bool:
        """Whether a field is of this variable."""
        if self.shapes:
            return case.truth.shape in self.shapes
        called = case.spec.name in self.names or case.spec.standard_name in self.standard_names
        return called and case.pressure == self.pressure


@dataclass(frozen=True)
class Target:
    """One line of the table.

    Parameters
    ----------
    variable : Variable
        The fields it is of.
    quantity : str
        ``ratio at RMSE``, ``RMSE at ratio`` (less is better), ``ratio at the best's RMSE``: our
        ratio where we have the RMSE of the best classical codec at ratio ``at``, ``spectrum
        kept`` at ratio ``at``, or the most ``seconds to encode`` or ``decode`` (less is better) at
        any ratio from ``at`` on.
    at : float
        RMSE in the variable's unit, or ratio.
    must, goal : float
        What is to be reached: ratio, RMSE, or fraction of the power.
    """

    variable: Variable
    quantity: Quantity
    at: float
    must: float
    goal: float

    @property
    def label(self) -> str:
        """What is asked, in words."""
        name = self.variable.label
        return {
            "ratio at RMSE": f"{name}: ratio at RMSE {self.at:g}",
            "RMSE at ratio": f"{name}: RMSE at {self.at:g}x",
            "ratio at the best's RMSE": f"{name}: ratio at the best classical RMSE of {self.at:g}x",
            "spectrum kept": f"{name}: power kept at l 300-400, at {self.at:g}x",
            "seconds to encode": f"{name}: seconds to encode, {self.at:g}x and more",
            "seconds to decode": f"{name}: seconds to decode, {self.at:g}x and more",
        }[self.quantity]

    def met(self, ours: float | None, wanted: float) -> bool:
        """Whether our figure reaches what is wanted."""
        if ours is None:
            return False
        if self.quantity in _SECONDS:
            return ours <= wanted
        return ours < wanted if self.quantity == "RMSE at ratio" else ours >= wanted


@dataclass(frozen=True)
class Verdict:
    """What became of a target on one field.

    Parameters
    ----------
    target : Target
        The target.
    field : str
        Label of the field; empty if none of the files has it.
    ours, best : float, optional
        Our figure and the best classical codec's; None outside of what was measured.
    best_codec : str
        Name of the latter.
    """

    target: Target
    field: str = ""
    ours: float | None = None
    best: float | None = None
    best_codec: str = ""

    def says(self, wanted: float) -> str:
        """``met``, ``missed``, or why it is neither."""
        if not self.field:
            return "not in these files"
        if self.best is None and self.target.quantity == "ratio at the best's RMSE":
            return "nothing to compare with"
        return "met" if self.target.met(self.ours, wanted) else "missed"


_T2M = Variable("2 m temperature", ("t2m", "2t", "tas"))
_U10 = Variable("10 m u wind", ("u10", "10u", "uas"))
_T850 = Variable("850 hPa temperature", ("t", "ta"), ("air_temperature",), 850)
_QUARTER = Variable("0.25-degree field", shapes=((721, 1440), (720, 1440)))
_RELATIVE = (
    Variable(
        "mean sea level pressure",
        ("msl", "psl", "prmsl"),
        ("air_pressure_at_mean_sea_level", "air_pressure_at_sea_level"),
    ),
    Variable("500 hPa height", ("gh", "zg"), ("geopotential_height",), 500),
    Variable(
        "precipitation",
        ("tp",),
        ("precipitation_amount", "lwe_thickness_of_precipitation_amount"),
    ),
    Variable(
        "sea surface temperature",
        ("sst", "tos"),
        ("sea_surface_temperature", "sea_surface_foundation_temperature"),
    ),
)

TARGETS: tuple[Target, ...] = (
    Target(_T2M, "ratio at RMSE", 0.3, 235, 400),
    Target(_T2M, "RMSE at ratio", 64, 0.122, 0.10),
    Target(_T2M, "RMSE at ratio", 256, 0.31, 0.25),
    Target(_T2M, "RMSE at ratio", 1024, 0.64, 0.50),
    Target(_U10, "ratio at RMSE", 0.3, 92, 140),
    Target(_T850, "ratio at RMSE", 0.3, 430, 650),
    *(Target(variable, "ratio at the best's RMSE", 256, 280, 400) for variable in _RELATIVE),
    Target(_T2M, "spectrum kept", 256, 0.75, 0.95),
    Target(_QUARTER, "seconds to encode", 4, 3.0, 3.0),
    Target(_QUARTER, "seconds to decode", 4, 1.5, 1.5),
)


def needed(case: Case, others: Sequence[Curve]) -> tuple[list[float], list[float]]:
    """Ratios and RMSE that our codec must be measured at for the targets of a field."""
    ratios, errors = [], []
    for target in TARGETS:
        if not target.variable.is_of(case) or target.quantity in _SECONDS:
            continue
        if target.quantity == "ratio at RMSE":
            errors.append(target.at)
        elif target.quantity == "ratio at the best's RMSE":
            _, best = best_at_ratio(others, target.at)
            errors += [best.rmse] if best else []
        else:
            ratios.append(target.at)
    return ratios, errors


def best_at_ratio(curves: Sequence[Curve], ratio: float) -> tuple[str, Point | None]:
    """Name and point of the classical codec with the least RMSE at a ratio."""
    return _best(curves, lambda curve: at_ratio(curve, ratio), lambda point: -point.rmse)


def judge(results: Sequence[Result], ours: str) -> list[Verdict]:
    """Verdicts in the order of the targets; our codec is the one called ``ours``."""
    verdicts = []
    for target in TARGETS:
        found = [r for r in results if target.variable.is_of(r.case)]
        verdicts += [_judged(target, result, ours) for result in found] or [Verdict(target)]
    return verdicts


def _judged(target: Target, result: Result, ours: str) -> Verdict:
    mine = next((curve for curve in result.curves if curve.name == ours), None)
    if target.quantity in _SECONDS:
        return _timed(target, result, mine)
    curves = result.curves
    value: Callable[[Point | None], float | None]
    if target.quantity == "ratio at RMSE":
        name, best = _best(curves, lambda c: at_rmse(c, target.at), lambda p: p.ratio)
        own = at_rmse(mine, target.at) if mine else None
        value = _ratio
    elif target.quantity == "ratio at the best's RMSE":
        name, best = best_at_ratio(curves, target.at)
        own = at_rmse(mine, best.rmse) if mine and best else None
        value = _ratio
    elif target.quantity == "RMSE at ratio":
        name, best = best_at_ratio(curves, target.at)
        own = at_ratio(mine, target.at) if mine else None
        value = _rmse
    else:
        name, best = _best(curves, lambda c: at_ratio(c, target.at), _faithful)
        own = at_ratio(mine, target.at) if mine else None
        value = _spectrum
    return Verdict(target, result.case.label, value(own), value(best), name)


def _timed(target: Target, result: Result, mine: Curve | None) -> Verdict:
    classical = [curve for curve in result.curves if curve.kind == "classical"]
    found = [(_slowest(target, result.case, curve) or math.inf, curve.name) for curve in classical]
    seconds, name = min(found, default=(math.inf, ""))
    best = seconds if math.isfinite(seconds) else None
    own = _slowest(target, result.case, mine) if mine else None
    return Verdict(target, result.case.label, own, best, name)


def _slowest(target: Target, case: Case, curve: Curve) -> float | None:
    """Seconds that a codec takes for a field, at most."""
    points = [point for point in curve.points if point.ratio >= target.at]
    encodes = target.quantity == "seconds to encode"
    speeds = [point.encode_speed if encodes else point.decode_speed for point in points]
    return case.raw_bytes / 1e6 / min(speeds) if speeds else None


def _best(
    curves: Sequence[Curve],
    found: Callable[[Curve], Point | None],
    merit: Callable[[Point], float],
) -> tuple[str, Point | None]:
    classical = [(c.name, found(c)) for c in curves if c.kind == "classical"]
    there = [(name, point) for name, point in classical if point is not None]
    return max(there, key=lambda item: merit(item[1]), default=("", None))


def _ratio(point: Point | None) -> float | None:
    return point.ratio if point else None


def _rmse(point: Point | None) -> float | None:
    return point.rmse if point else None


def _spectrum(point: Point | None) -> float | None:
    return point.spectrum if point else None


def _faithful(point: Point) -> float:
    """How near the power kept is to all of it: noise adds some, too."""
    return -1.0 if point.spectrum is None else -abs(1 - point.spectrum)
