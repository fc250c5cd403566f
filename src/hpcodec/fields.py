"""The frozen values that travel between the stages.

FieldSpec        one variable of a dataset that is a global field in every step
Coding           how fields are coded: model, grid, level, bytes or error
CompressedField  one field as the integers that a store keeps
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError, nearest
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, LatLonGrid
from hpcodec.packing import PLAIN, Packing

__all__ = ["FORMAT_VERSION", "Coding", "CompressedField", "FieldSpec", "Scaling"]

FORMAT_VERSION = "1.0"
"""Of stores and payloads; independent of the package's version."""


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
    dims : tuple of str
        All dimensions in the variable's own order; by default the leading ones, then latitude,
        then longitude.
    packing : Packing
        How its numbers are stored.
    """

    name: str
    grid: LatLonGrid
    leading: tuple[tuple[str, int], ...]
    latitude: str
    longitude: str
    standard_name: str = ""
    units: str = ""
    long_name: str = ""
    dims: tuple[str, ...] = ()
    packing: Packing = PLAIN

    @property
    def order(self) -> tuple[int, ...]:
        """For leading dimensions, latitude and longitude: the place of each in the variable."""
        canonical = (*(name for name, _ in self.leading), self.latitude, self.longitude)
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


_OFF: dict[str, Any] = {"rmse": 0, "key_every": 1, "packing": PLAIN, "masks": ()}
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
    packing : Packing
        How the decoded numbers are stored.
    masks : tuple of str
        Where values are missing, for fields to refer to: codes of a :class:`MaskTable`.

    Examples
    --------
    >>> grid = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
    >>> coding = Coding("any-l9", "00" * 32, grid, level=4, size=900, bottleneck=4)
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
    packing: Packing = PLAIN
    masks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the version of the format; options that are off are left out."""
        plain = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        for key, off in _OFF.items():
            if plain[key] == off:
                del plain[key]
        if "packing" in plain:
            plain["packing"] = self.packing.to_dict()
        if "masks" in plain:
            plain["masks"] = list(self.masks)
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
        if "rmse" in values:
            values["rmse"] = _positive(values["rmse"])
        if "packing" in values:
            values["packing"] = Packing.from_dict(values["packing"])
        if "masks" in values:
            values["masks"] = _texts(values["masks"])
        try:
            coding = cls(**{**values, "grid": LatLonGrid.from_dict(values.get("grid"))})
        except TypeError as error:
            raise FormatError(f"expected a whole coding; got {error}.") from error
        if coding.key_every < 1:
            raise FormatError(f"expected 'key_every' of at least 1; got {coding.key_every}.")
        if not BASE_LEVEL <= coding.bottleneck <= coding.level <= FINEST_LEVEL or coding.size < 1:
            raise FormatError(
                f"expected levels {BASE_LEVEL} <= bottleneck <= level <= {FINEST_LEVEL}; got "
                f"{coding.bottleneck} and {coding.level}. The store is damaged."
            )
        return coding


def _positive(value: Any) -> float:  # noqa: ANN401
    number = float(value) if type(value) in (int, float) and abs(value) < 1e300 else 0.0
    if not number > 0:
        raise FormatError(f"expected a number above 0 as 'rmse'; got {str(value)[:40]!r}.")
    return number


def _texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise FormatError(f"expected a list of texts as 'masks'; got {str(value)[:40]!r}.")
    return tuple(value)


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
    carry: tuple[int, ...] = ()
    power: tuple[int, ...] = ()
    codes: tuple[bytes, ...] = ()
    mask: int = 0
    mask_code: bytes = b""

    @property
    def bottleneck(self) -> int:
        """Finest coded level."""
        return BASE_LEVEL + len(self.residuals)
