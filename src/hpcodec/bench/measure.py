"""What a codec does to a field: bytes, errors, spectrum, speed, memory.

codec, case --measure_curve--> Curve of Points, fine to coarse
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hpcodec.bench.case import Case, Floats
from hpcodec.bench.codecs import Codec, Kind
from hpcodec.bench.harmonics import power
from hpcodec.bench.memory import peak_memory
from hpcodec.errors import FormatError
from hpcodec.figures import ErrorSum

__all__ = ["BAND", "Curve", "Point", "measure_curve", "measure_point", "spectrum_kept"]

BAND = (300, 400)
"""Degrees, both included, whose power must survive: wavelengths of 100 to 133 km."""

# A call that takes less is timed again, and the faster time counts.
_SHORT = 0.5

T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """One codec at one parameter on one field; errors in the field's unit.

    Parameters
    ----------
    parameter : float
        Of the codec; NaN for a point between two measured ones.
    size : float
        Bytes, headers and all.
    ratio : float
        Bytes of the field as float32 over ``size``.
    rmse, bias : float
        Weighted by cos latitude.
    max_error, p999 : float
        Largest error, and the one that a thousandth of the points exceed (not weighted).
    psnr : float
        dB, of the field's range.
    spectrum : float, optional
        Power of the decoded over that of the true field in the degrees of ``BAND``; None where
        the grid is too coarse for them.
    encode_speed, decode_speed : float
        MB of float32 a second.
    memory : float, optional
        Peak of encoding or decoding, MB.
    """

    parameter: float
    size: float
    ratio: float
    rmse: float
    max_error: float
    p999: float
    bias: float
    psnr: float
    spectrum: float | None
    encode_speed: float
    decode_speed: float
    memory: float | None


@dataclass(frozen=True)
class Curve:
    """All points of one codec on one field.

    Parameters
    ----------
    name, kind : str
        Of its recipe.
    points : tuple of Point
        In the order of the sweep.
    by_ratio : bool
        As of the codec.
    failures : tuple of str
        One line for each parameter that did not work.
    """

    name: str
    kind: Kind
    points: tuple[Point, ...]
    by_ratio: bool = False
    failures: tuple[str, ...] = ()


def measure_curve(
    name: str, kind: Kind, codec: Codec, case: Case, extra: Iterable[float] = ()
) -> Curve:
    """Curve of a codec over its sweep and the parameters ``extra``.

    A parameter that the codec cannot do is a line in ``failures``, whatever it raised.
    """
    parameters = sorted({*codec.sweep, *extra}) if codec.by_ratio else [*codec.sweep, *extra]
    points: list[Point] = []
    failures: list[str] = []
    for number, parameter in enumerate(parameters):
        try:
            if number == 0:  # the first call pays for loading and building
                codec.decode(codec.encode(case.filled, parameter))
            points.append(measure_point(codec, case, parameter))
        except Exception as error:  # a foreign codec raises what it likes
            failures.append(f"{name} at {parameter:g}: {' '.join(str(error).split())[:160]}")
    return Curve(name, kind, tuple(points), codec.by_ratio, tuple(failures))


def measure_point(codec: Codec, case: Case, parameter: float) -> Point:
    """Point of a codec at a parameter.

    Parameters
    ----------
    codec : Codec
        For the case.
    case : Case
        The field; what is missing in it is not compared.
    parameter : float
        Of the codec.

    Raises
    ------
    FormatError
        If the decoded field has another shape or is not finite.
    """
    code, encoding, peak = _timed(lambda: codec.encode(case.filled, parameter))
    field, decoding, second = _timed(lambda: codec.decode(code))
    decoded = np.asarray(field, np.float32)
    if decoded.shape != case.truth.shape or not np.isfinite(decoded).all():
        raise FormatError(
            f"expected a finite field {case.truth.shape}; got {decoded.shape}. Leave it out."
        )
    errors = ErrorSum(case.grid.area_weights)
    errors.add(decoded[None], case.truth[None])
    figures = errors.figures()
    megabytes = case.raw_bytes / 1e6
    return Point(
        parameter=float(parameter),
        size=len(code),
        ratio=case.raw_bytes / len(code),
        rmse=figures.rmse,
        max_error=figures.max_error,
        p999=_exceeded(decoded, case),
        bias=figures.bias,
        psnr=figures.psnr,
        spectrum=spectrum_kept(decoded, case),
        encode_speed=megabytes / encoding,
        decode_speed=megabytes / decoding,
        memory=None if peak is None or second is None else max(peak, second),
    )


def spectrum_kept(decoded: Floats, case: Case, band: tuple[int, int] = BAND) -> float | None:
    """Power of the decoded field over that of the true one, in the degrees of ``band``.

    Where the truth is missing both have the fill, so that only valid points differ. None if the
    grid has no such degrees, or the field nothing in them.
    """
    first, last = band
    reference = case.power
    if reference is None or reference.size <= last or not reference[first : last + 1].sum() > 0:
        return None
    found = power(np.where(case.missing, case.filled, decoded), case.grid)
    assert found is not None, "a reference, and no power of the same grid"
    return float(found[first : last + 1].sum() / reference[first : last + 1].sum())


def with_point(curve: Curve, point: Point) -> Curve:
    """The curve with one point more."""
    return dataclasses.replace(curve, points=(*curve.points, point))


def _exceeded(decoded: Floats, case: Case) -> float:
    valid = ~case.missing
    error: npt.NDArray[np.float64] = decoded[valid].astype(np.float64) - case.truth[valid]
    return float(np.quantile(np.abs(error), 0.999))


def _timed(call: Callable[[], T]) -> tuple[T, float, float | None]:
    """Result, seconds, and MB at the peak."""

    def timed() -> tuple[T, float]:
        start = time.perf_counter()
        result = call()
        return result, max(time.perf_counter() - start, 1e-9)

    (result, seconds), memory = peak_memory(timed)
    return result, min(seconds, timed()[1]) if seconds < _SHORT else seconds, memory
