"""Between measured points: rate-distortion curves, straight in logarithms.

Curve --front--> points that none beats --at_ratio, at_rmse--> Point
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from hpcodec.bench.measure import Curve, Point

__all__ = ["at_ratio", "at_rmse", "front"]

# Ratio and RMSE, and what else is interpolated in its logarithm; the rest is as it is.
_LOGARITHMIC = (
    "size",
    "ratio",
    "rmse",
    "max_error",
    "p999",
    "encode_speed",
    "decode_speed",
    "memory",
)
# So near a measured point, that point is shown.
_SAME = 1e-3

_LINEAR = ("bias", "psnr", "spectrum")


def front(points: Sequence[Point]) -> list[Point]:
    """Points for which no other has as few bytes and as small an RMSE, by rising ratio."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (-p.ratio, p.rmse)):
        if point.rmse > 0 and (not best or point.rmse < best[-1].rmse):
            best.append(point)
    return best[::-1]


def at_ratio(curve: Curve, ratio: float) -> Point | None:
    """The curve at a ratio; None outside of what was measured.

    Where the codec was asked for that very ratio, what it gave.
    """
    if curve.by_ratio:
        for point in curve.points:
            if point.parameter == ratio:
                return point
    return _between(front(curve.points), "ratio", ratio)


def at_rmse(curve: Curve, rmse: float) -> Point | None:
    """The curve at an RMSE; None outside of what was measured."""
    return _between(front(curve.points), "rmse", rmse)


def _between(points: Sequence[Point], axis: str, value: float) -> Point | None:
    """Between the two neighbours on a front, along which ratio and RMSE both rise."""
    for point in points:
        if math.isclose(getattr(point, axis), value, rel_tol=_SAME):
            return point
    for low, high in pairwise(points):
        start, stop = getattr(low, axis), getattr(high, axis)
        if start < value < stop:
            part = math.log(value / start) / math.log(stop / start)
            return _mixed(low, high, part)
    return None


def _mixed(low: Point, high: Point, part: float) -> Point:
    values: dict[str, float | None] = {}
    for name in (*_LOGARITHMIC, *_LINEAR):
        a, b = getattr(low, name), getattr(high, name)
        if a is None or b is None:
            values[name] = None
        elif name in _LOGARITHMIC and a > 0 and b > 0:
            values[name] = math.exp((1 - part) * math.log(a) + part * math.log(b))
        else:
            values[name] = (1 - part) * a + part * b
    return Point(parameter=math.nan, **values)  # type: ignore[arg-type]
