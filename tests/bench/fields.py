"""Small cases, and codecs whose figures are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcodec.bench.case import Case, Floats
from hpcodec.bench.codecs import Codec, Kind
from hpcodec.bench.measure import Curve, Point
from hpcodec.fields import FieldSpec
from hpcodec.grid import LatLonGrid
from tests.synthetic import axes, series, waves

GRID = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))


def case(
    name: str = "t2m",
    standard_name: str = "",
    pressure: float | None = None,
    truth: Floats | None = None,
    path: str = "a.nc",
) -> Case:
    """A case that no file is behind."""
    spec = FieldSpec(name, GRID, (), ("lat", "lon"), standard_name, "K")
    return Case(path, spec, waves(1)[0] if truth is None else truth, pressure)


def holed() -> Floats:
    """A field with a hole, and one infinite value."""
    field = waves(1)[0]
    field[10:14, 20:26] = np.nan
    field[0, 0] = np.inf
    return np.asarray(field)


def write(folder: Path, name: str = "a.nc") -> str:
    """File of a field in two steps."""
    path = folder / name
    series(2).to_netcdf(path)
    return str(path)


def shifting(sweep: tuple[float, ...] = (0.5, 2.0)) -> Codec:
    """Adds its parameter to the field and takes 100 bytes for each unit of it."""
    rows, columns = GRID.shape

    def encode(field: Floats, shift: float) -> bytes:
        return bytes((field + np.float32(shift)).tobytes()) + bytes(round(100 * shift))

    def decode(code: bytes) -> Floats:
        field = np.frombuffer(code[: 4 * rows * columns], np.float32)
        return np.asarray(field.reshape(rows, columns))

    return Codec(sweep, encode, decode)


def point(ratio: float, rmse: float, parameter: float = 1.0, spectrum: float | None = 0.5) -> Point:
    return Point(
        parameter=parameter,
        size=4096 / ratio,
        ratio=ratio,
        rmse=rmse,
        max_error=10 * rmse,
        p999=5 * rmse,
        bias=0.0,
        psnr=40.0,
        spectrum=spectrum,
        encode_speed=10.0,
        decode_speed=20.0,
        memory=None,
    )


def curve(name: str, kind: Kind, *points: tuple[float, float], by_ratio: bool = False) -> Curve:
    """Of ratios and RMSE; the parameter is the ratio."""
    made = tuple(point(ratio, rmse, parameter=ratio) for ratio, rmse in points)
    return Curve(name, kind, made, by_ratio)


__all__ = ["GRID", "axes", "case", "curve", "holed", "point", "shifting", "write"]
