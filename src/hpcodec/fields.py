"""The frozen values that travel between the stages.

FieldSpec        one variable of a dataset that is a global field in every step
Coding           how fields are coded: model, grid, level, bytes or error
CompressedField  one field as the integers that a store keeps
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from math import prod
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL
from hpcodec.grids import Grid, LatLonGrid
from hpcodec.metadata import (
    FORMAT_VERSION,
    OPTIONAL,
    Digest,
    Limits,
    Name,
    Positive,
    Version,
    plain_object,
    read_versioned,
)
from hpcodec.packing import PLAIN, Packing

__all__ = [
    "EVERYTHING",
    "FORMAT_VERSION",
    "MOST_MASKS",
    "MOST_TOGETHER",
    "MOST_VALUES",
    "Coding",
    "CompressedField",
    "FieldSpec",
    "Range",
    "Scaling",
]

MOST_VALUES = 2**29
"""Values of a chunk: 2 GiB as float32, which a reader may have to hold."""

Method = Annotated[
    str,
    Limits(pattern="(least_squares|idw|conservative)", described="the name of a remap method"),
]
MOST_TOGETHER = 256
"""Fields of a chunk that may follow each other: to decode the last takes all of them."""

MOST_MASKS = 62
"""Of a variable: numbers that a payload has for them."""

Level = Annotated[int, Limits(BASE_LEVEL, FINEST_LEVEL)]
_MaskCode = Annotated[
    str, Limits(most=2**24, pattern=r"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]+", described="base 85")
]
MaskCodes = Annotated[tuple[_MaskCode, ...], Limits(least=1, most=MOST_MASKS)]

Range = tuple[float, float]
"""Least and largest value of a field, in its unit: two float32."""

EVERYTHING: Range = (-math.inf, math.inf)
"""Limits of a field of which nothing is known."""


@dataclass(frozen=True)
class FieldSpec:
    """One variable of a dataset that is a global field in every step of its leading axes.

    Parameters
    ----------
    name : str
        Variable name in the dataset.
    grid : Grid
        Where its values lie.
    leading : tuple of (str, int)
        Names and sizes of the other dimensions, in the variable's order (time, level, member).
    horizontal : tuple of str
        Names of the horizontal dimensions: latitude and longitude, rows and columns, or the one
        of a list of points.
    standard_name, units, long_name : str
        From the variable's CF attributes; empty where it has none.
    dims : tuple of str
        All dimensions in the variable's own order; by default the leading ones, then the
        horizontal ones.
    packing : Packing
        How its numbers are stored.
    """

    name: str
    grid: Grid
    leading: tuple[tuple[str, int], ...]
    horizontal: tuple[str, ...]
    standard_name: str = ""
    units: str = ""
    long_name: str = ""
    dims: tuple[str, ...] = ()
    packing: Packing = PLAIN

    @property
    def order(self) -> tuple[int, ...]:
        """For leading and horizontal dimensions, the place of each in the variable."""
        canonical = (*(name for name, _ in self.leading), *self.horizontal)
        return tuple((self.dims or canonical).index(name) for name in canonical)

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


@dataclass(frozen=True)
class Coding:
    """How fields of one variable are coded: all that a reader, or a second writer, needs.

    Parameters
    ----------
    model, weights : str
        Name of the model, and sha256 of its weights.
    grid : Grid
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
    packing : Packing
        How the decoded numbers are stored.
    masks : tuple of str
        Where values are missing, for fields to refer to: codes of a :class:`MaskTable`.
    max_error : float
        Error that any point of a field may have on the source grid, in its unit; 0 for any.
    max_rel_error : float
        The same, relative to the range of the field; 0 for any.
    effort : int
        1 where symbols are refined by a gradient through the decoder; else 0.
    exponent : float
        Power that values are raised to before they are normalised, above 0.
    detail : int
        1 where fields may be coded by their base field and a detail; else 0.
    format : str
        Version of the format.

    Examples
    --------
    >>> from hpcodec.grid import LatLonGrid
    >>> grid = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
    >>> coding = Coding("any-l9", "00" * 32, grid, level=4, size=900, bottleneck=4)
    >>> Coding.from_dict(coding.to_dict()) == coding
    True
    """

    model: Name
    weights: Digest
    grid: Grid
    level: Level
    size: Annotated[int, Limits(1)]
    bottleneck: Level
    variable: str = ""
    remap: Method = "least_squares"
    rmse: Positive = field(default=0.0, metadata=OPTIONAL)
    key_every: Annotated[int, Limits(2, MOST_TOGETHER)] = field(default=1, metadata=OPTIONAL)
    packing: Packing = field(default=PLAIN, metadata=OPTIONAL)
    masks: MaskCodes = field(default=(), metadata=OPTIONAL)
    max_error: Positive = field(default=0.0, metadata=OPTIONAL)
    max_rel_error: Positive = field(default=0.0, metadata=OPTIONAL)
    effort: Annotated[int, Limits(0, 1)] = field(default=0, metadata=OPTIONAL)
    exponent: Positive = field(default=1.0, metadata=OPTIONAL)
    detail: Annotated[int, Limits(0, 1)] = field(default=0, metadata=OPTIONAL)
    format: Version = FORMAT_VERSION

    @property
    def bounded(self) -> bool:
        """Whether the error of points has a bound."""
        return self.max_error > 0 or self.max_rel_error > 0

    @property
    def free(self) -> bool:
        """Whether nothing but the bound says how large a payload is to be."""
        return self.bounded and not self.rmse and self.size >= 4 * prod(self.grid.shape)

    def bound(self, values: npt.NDArray[Any]) -> float:
        """Error that any point of the field ``values`` may have, in its unit.

        The smaller one where there are two bounds; 0 for a constant field with a relative one.
        """
        finite = values[np.isfinite(values)].astype(np.float64)
        spread = float(np.ptp(finite)) if finite.size else 0.0
        bounds = [self.max_error] if self.max_error else []
        return min(bounds + ([self.max_rel_error * spread] if self.max_rel_error else []))

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the version of the format; options that are off are left out."""
        return {"format": self.format, **plain_object(self)}

    @classmethod
    def from_dict(cls, data: Any) -> Coding:  # noqa: ANN401  (anything may stand in a store)
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If the version is another, or a key is missing, unknown or of another type.
        """
        coding = read_versioned(cls, data, "a coding")
        if not coding.bottleneck <= coding.level:
            raise FormatError(
                f"expected levels {BASE_LEVEL} <= bottleneck <= level <= {FINEST_LEVEL}; got "
                f"{coding.bottleneck} and {coding.level}. The store is damaged."
            )
        if coding.detail and not isinstance(coding.grid, LatLonGrid):
            raise FormatError("expected no details on such a grid; got some. The store is damaged.")
        if (values := coding.key_every * prod(coding.grid.shape)) > MOST_VALUES:
            raise FormatError(
                f"expected a chunk of at most {MOST_VALUES:,} values; got {values:,}. Code fewer "
                "fields together."
            )
        return coding


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
        Quantisation step of level 9's orthonormal residual, normalised units.
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
    mask : int
        Number of its mask, as a :class:`MaskTable` has it.
    mask_code : bytes
        Of the mask itself, if the field brings its own.
    """

    base: npt.NDArray[np.int32]
    residuals: tuple[npt.NDArray[np.int32], ...]
    offset: float
    scale: float
    step: float
    limits: Range = EVERYTHING
    carry: tuple[int, ...] = ()
    power: tuple[int, ...] = ()
    codes: tuple[bytes, ...] = ()
    mask: int = 0
    mask_code: bytes = b""

    @property
    def bottleneck(self) -> int:
        """Finest coded level."""
        return BASE_LEVEL + len(self.residuals)
