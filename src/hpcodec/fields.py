"""The frozen values that travel between the stages.

FieldSpec        one variable of a dataset that is a global field in every step
Coding           how fields are coded: model, grid, level, bytes or error
CompressedField  one field as the integers that a store keeps
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError, nearest
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, LatLonGrid

__all__ = [
    "EVERYTHING",
    "FORMAT_VERSION",
    "Coding",
    "CompressedField",
    "FieldSpec",
    "Limits",
    "Scaling",
]

FORMAT_VERSION = "1.0"
"""Of stores and payloads; independent of the package's version."""

Limits = tuple[float, float]
"""Least and largest value of a field, in its unit: two float32."""

EVERYTHING: Limits = (-math.inf, math.inf)
"""Limits of a field of which nothing is known."""


@dataclass(frozen=True)
class FieldSpec:
    """One variable of a dataset that is a global field in every step of its leading axes.

    Parameters
    ----------
    name : str
        Variable name in the dataset.
    grid : LatLonGrid
        Where its values lie.
    leading : tuple of (str, int)
        Names and sizes of the other dimensions, in the variable's order (time, level, member).
    latitude, longitude : str
        Names of the two horizontal dimensions.
    standard_name, units, long_name : str
        From the variable's CF attributes; empty where it has none.
    """

    name: str
    grid: LatLonGrid
    leading: tuple[tuple[str, int], ...]
    latitude: str
    longitude: str
    standard_name: str = ""
    units: str = ""
    long_name: str = ""

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Sizes of the leading dimensions."""
        return tuple(size for _, size in self.leading)

    @property
    def steps(self) -> int:
        """Number of fields: the product of the leading sizes."""
        return int(np.prod(self.leading_shape, dtype=np.int64))


@dataclass(frozen=True)
class Scaling:
    """Fixed scaling of one variable: a normalised value times ``scale`` plus ``offset``.

    Both in the variable's unit.
    """

    offset: float
    scale: float


_OFF: dict[str, Any] = {"rmse": 0, "key_every": 1, "effort": 0, "exponent": 1}
"""Keys of a coding that may be left out, and what they are then."""


@dataclass(frozen=True)
class Coding:
    """How fields of one variable are coded: all that a reader, or a second writer, needs.

    Parameters
    ----------
    model, weights : str
        Name of the model, and sha256 of its weights.
    grid : LatLonGrid
        Source grid.
    level : int
        HEALPix level that the source grid is remapped to.
    size : int
        Bytes that one compressed field may take.
    bottleneck : int
        Finest level to code.
    variable : str
        CF standard name told to the model; empty for any.
    remap : str
        Method of :mod:`hpcodec.stages.healpix`.
    rmse : float
        Error that one compressed field may have on the source grid, weighted by area, in its
        unit; 0 for as little as ``size`` allows.
    key_every : int
        Fields of a chunk along the first axis, each but the first following the one before it.
    effort : int
        1 where symbols are refined by a gradient through the decoder; else 0.
    exponent : float
        Power that values are raised to before they are normalised, above 0.

    Examples
    --------
    >>> grid = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
    >>> coding = Coding("any-l8", "00" * 32, grid, level=4, size=900, bottleneck=4)
    >>> Coding.from_dict(coding.to_dict()) == coding
    True
    """

    model: str
    weights: str
    grid: LatLonGrid
    level: int
    size: int
    bottleneck: int
    variable: str = ""
    remap: str = "least_squares"
    rmse: float = 0.0
    key_every: int = 1
    effort: int = 0
    exponent: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the version of the format; options that are off are left out."""
        plain = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        for key, off in _OFF.items():
            if plain[key] == off:
                del plain[key]
        return {"format": FORMAT_VERSION, **plain, "grid": self.grid.to_dict()}

    @classmethod
    def from_dict(cls, data: Any) -> Coding:  # noqa: ANN401  (anything may stand in a store)
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If the version is another, or a key is missing, unknown or of another type.
        """
        if not isinstance(data, dict):
            raise FormatError(f"expected a coding as a JSON object; got {str(data)[:60]!r}.")
        version = data.get("format")
        if str(version).split(".")[0] != FORMAT_VERSION.split(".")[0]:
            raise FormatError(
                f"expected format {FORMAT_VERSION}; got {version}. Read it with the hpcodec "
                "release that wrote it, or a newer one."
            )
        known = {item.name: str(item.type) for item in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - set(known) - {"format"}):
            raise FormatError(
                f"unknown key '{unknown[0]}' in a coding. {nearest(unknown[0], known)}"
            )
        if missing := sorted(set(known) - set(data) - set(_OFF)):
            raise FormatError(f"expected key '{missing[0]}' in a coding; it is not there.")
        values = {key: value for key, value in data.items() if key != "format"}
        for key, value in values.items():
            if known[key] in ("int", "str") and type(value).__name__ != known[key]:
                raise FormatError(f"expected {known[key]} as '{key}'; got {str(value)[:40]!r}.")
        for key in ("rmse", "exponent"):
            if key in values:
                values[key] = _positive(values[key], key)
        try:
            coding = cls(**{**values, "grid": LatLonGrid.from_dict(values.get("grid"))})
        except TypeError as error:
            raise FormatError(f"expected a whole coding; got {error}.") from error
        if coding.key_every < 1:
            raise FormatError(f"expected 'key_every' of at least 1; got {coding.key_every}.")
        if coding.effort not in (0, 1):
            raise FormatError(f"expected 'effort' of 0 or 1; got {coding.effort}.")
        if not BASE_LEVEL <= coding.bottleneck <= coding.level <= FINEST_LEVEL or coding.size < 1:
            raise FormatError(
                f"expected levels {BASE_LEVEL} <= bottleneck <= level <= {FINEST_LEVEL}; got "
                f"{coding.bottleneck} and {coding.level}. The store is damaged."
            )
        return coding


def _positive(value: Any, key: str) -> float:  # noqa: ANN401
    number = float(value) if type(value) in (int, float) and abs(value) < 1e300 else 0.0
    if not number > 0:
        raise FormatError(f"expected a number above 0 as '{key}'; got {str(value)[:40]!r}.")
    return number


@dataclass(frozen=True, eq=False)
class CompressedField:
    """One compressed field: base field and residual symbols.

    Parameters
    ----------
    base : ndarray of int32
        ``(768,)``, nested order, in units of the base step.
    residuals : tuple of ndarray of int32
        One ``(3, cells of the parent level)`` for each level from 4 to the bottleneck, nested
        order, in units of that level's step.
    offset, scale : float
        A normalised value times scale plus offset is the value in the field's unit.
    step : float
        Quantisation step of the finest level's orthonormal residual, normalised units.
    limits : tuple of float
        Least and largest value of the field, in its unit; no decoded value lies beyond.
    carry : tuple of int
        For a field that follows another in time: how much of the other's base field and of its
        surprises at each level is carried over, in 64ths. Empty for a field on its own.
    power : tuple of int
        For each level from 4 to the bottleneck, how much of the power of its residual decoding
        loses: 32 is a factor of 4, half of the amplitude.
    codes : tuple of bytes
        Code of each of ``residuals``, where choosing them gave it already; else empty.
    """

    base: npt.NDArray[np.int32]
    residuals: tuple[npt.NDArray[np.int32], ...]
    offset: float
    scale: float
    step: float
    limits: Limits = EVERYTHING
    carry: tuple[int, ...] = ()
    power: tuple[int, ...] = ()
    codes: tuple[bytes, ...] = ()

    @property
    def bottleneck(self) -> int:
        """Finest coded level."""
        return BASE_LEVEL + len(self.residuals)
