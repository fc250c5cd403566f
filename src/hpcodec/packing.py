"""How a variable's numbers are stored, and what they stand for.

stored numbers --Packing.unpack--> physical values, missing ones NaN
<--Packing.pack---  and never one that reads as missing
"""

from __future__ import annotations

import math
import re
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError, MissingValueError

__all__ = ["PLAIN", "Packing", "decoded", "plain_attributes"]

# Attributes that hold for the stored numbers only, not for the values they stand for.
_FILLS = ("_FillValue", "missing_value")
_SCALES = ("scale_factor", "add_offset")
_PACKING = (*_FILLS, *_SCALES, "_Unsigned")
_RANGES = ("valid_range", "valid_min", "valid_max", "actual_range")

_TYPES = r"[<>][iu][248]|[<>]f[248]|\|[iu]1"
_MOST_FILLS = 256

Stored = npt.NDArray[Any]


@dataclass(frozen=True)
class Packing:
    """How the numbers of one variable are stored.

    Parameters
    ----------
    dtype : str
        As numpy spells it, with its byte order: ``<f4``, ``>i2``.
    attributes : tuple of (str, value)
        Those of CF that say what a number stands for, as JSON holds them: ``scale_factor``,
        ``add_offset``, ``_Unsigned``, ``_FillValue``, ``missing_value``.

    Examples
    --------
    >>> packing = Packing.of(np.dtype("i2"), {"scale_factor": 0.5, "_FillValue": -1, "units": "K"})
    >>> packing.unpack(np.array([-1, 0, 3], "i2"))
    array([nan, 0. , 1.5])
    >>> packing.pack(np.array([-0.5, 0.0, 1.4]))
    array([0, 0, 3], dtype=int16)
    """

    dtype: str = "<f4"
    attributes: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, dtype: np.dtype[Any], attributes: Mapping[str, Any]) -> Packing:
        """Packing of a variable with these raw attributes."""
        kept = {key: _plain(key, attributes[key]) for key in _PACKING if key in attributes}
        return cls(dtype.str, tuple((k, v) for k, v in kept.items() if v is not None))

    @property
    def native(self) -> np.dtype[Any]:
        """Type of the stored numbers, in this machine's byte order."""
        return np.dtype(self.dtype).newbyteorder("=")

    def unpack(self, stored: Stored) -> npt.NDArray[Any]:
        """Physical values, as :func:`decoded` gives them."""
        return decoded(stored, dict(self.attributes))

    def missing(self, stored: Stored) -> npt.NDArray[np.bool_]:
        """Where nothing is stored: fill values, NaN and infinities."""
        return np.asarray(~np.isfinite(self.unpack(stored)))

    def finite(self, stored: Stored) -> npt.NDArray[np.float32]:
        """Physical values as float32, missing ones NaN.

        Raises
        ------
        MissingValueError
            If a value is too large for float32.
        """
        values = self.unpack(stored)
        with np.errstate(over="ignore", invalid="ignore"):
            single = values.astype(np.float32)
        if np.any(np.isinf(single) & np.isfinite(values)):
            most = values[np.isfinite(values)]
            raise MissingValueError(
                f"expected values that float32 can hold; got {np.abs(most).max():.4g}. Mark such "
                "values as missing with _FillValue."
            )
        single[np.isinf(single)] = np.nan
        return single

    def pack(self, values: npt.NDArray[Any]) -> Stored:
        """Numbers, of :attr:`native` type, that stand for finite values as nearly as they can."""
        dtype, told = self.native, dict(self.attributes)
        exact = values.astype(np.float64)
        if any(key in told for key in _SCALES):
            exact = (exact - float(told.get("add_offset", 0))) / float(told.get("scale_factor", 1))
        if dtype.kind == "f":
            most = float(np.finfo(dtype).max)
            stored = exact.clip(-most, most).astype(dtype)
        else:
            read = _as_read(dtype, told)
            least, most = float(np.iinfo(read).min), float(np.iinfo(read).max)
            if most > np.iinfo(read).max:  # of 64 bits, whose largest no float is
                most = float(np.nextafter(most, 0))
            stored = np.rint(exact).clip(least, most).astype(read).view(dtype)
        return self._apart(stored)

    def room(self, bound: float, values: Stored) -> float:
        """Error that values may have before :meth:`pack` so that ``bound`` holds after it.

        Parameters
        ----------
        bound : float
            Error of what is stored at most, in the unit of the values.
        values : ndarray
            Those that are stored exactly; what is not finite does not count.

        Returns
        -------
        float
            Of integers maybe more than the bound, as rounding brings values back; of floats less.
        """
        dtype, told = self.native, dict(self.attributes)
        finite = values[np.isfinite(values)].astype(np.float64)
        if dtype.kind == "f":
            scale = abs(float(told.get("scale_factor", 1)))
            most = np.abs(finite - float(told.get("add_offset", 0))).max(initial=0) / scale
            return bound - scale * float(np.spacing(dtype.type(most))) / 2
        step = abs(float(told.get("scale_factor", 1)))
        lost = 4 * float(np.spacing(np.abs(finite).max(initial=step)))
        whole = max(math.floor((bound - lost) / step), 0)
        return (whole + 0.5) * step * (1 - 1e-6)

    def _apart(self, stored: Stored) -> Stored:
        """``stored``, with each number that reads as missing moved to one beside it."""
        for _ in range(4):  # fill values that are neighbours of each other
            taken = self.missing(stored)
            if not taken.any():
                return stored
            wrong = stored[taken]
            if stored.dtype.kind == "f":
                stored[taken] = np.nextafter(wrong, np.where(wrong > 0, 0, 1).astype(wrong.dtype))
            else:
                low = wrong == np.iinfo(stored.dtype).min
                high = wrong == np.iinfo(stored.dtype).max
                inward = np.where(low, 1, np.where(high, -1, np.where(wrong > 0, -1, 1)))
                stored[taken] = wrong + inward.astype(wrong.dtype)
        return stored

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"dtype": self.dtype, **dict(self.attributes)}

    @classmethod
    def from_dict(cls, data: Any) -> Packing:  # noqa: ANN401  (anything may stand in a store)
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If ``data`` is not of that form.
        """
        rest = dict(data) if isinstance(data, Mapping) else {}
        dtype = rest.pop("dtype", None)
        known = isinstance(dtype, str) and re.fullmatch(_TYPES, dtype) is not None
        if not (known and all(_sane(key, value) for key, value in rest.items())):
            raise FormatError(
                "expected a packing with dtype and attributes of CF; got "
                f"{reprlib.repr(data)}. The store is damaged."
            )
        listed = ((k, tuple(v) if isinstance(v, list) else v) for k, v in rest.items())
        return cls(str(dtype), tuple(listed))

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON schema of :meth:`to_dict`."""
        number: dict[str, Any] = {"type": "number"}
        several = {"type": "array", "items": number, "minItems": 2, "maxItems": _MOST_FILLS}
        kinds = {
            "dtype": {"type": "string", "pattern": f"^({_TYPES})$"},
            "_Unsigned": {"type": "string"},
            **dict.fromkeys(_SCALES, number),
            **{key: {"anyOf": [number, several]} for key in _FILLS},
        }
        return {
            "type": "object",
            "properties": kinds,
            "required": ["dtype"],
            "additionalProperties": False,
        }


PLAIN = Packing()
"""Of values that are stored as float32, as they are."""


def _sane(key: str, value: Any) -> bool:  # noqa: ANN401
    """Whether JSON has a value that an attribute of a packing can have."""
    if key == "_Unsigned":
        return isinstance(value, str)
    if key in _SCALES:
        return _is_number(value) and (key != "scale_factor" or value != 0)
    several = isinstance(value, list | tuple) and 2 <= len(value) <= _MOST_FILLS
    return key in _FILLS and all(map(_is_number, value if several else (value,)))


def _is_number(value: Any) -> bool:  # noqa: ANN401
    """Whether it is one that float64 can hold: no truth value, NaN or infinity."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _plain(key: str, value: Any) -> Any:  # noqa: ANN401
    """An attribute as JSON holds it; None where it names nothing finite.

    NaN is missing whether it is named or not, and JSON cannot name it.
    """
    if key == "_Unsigned":
        return str(value)
    numbers = np.atleast_1d(np.asarray(value))
    if numbers.dtype.kind not in "fiu":
        return None
    found = tuple(number for number in numbers.ravel().tolist() if np.isfinite(number))
    return (found[0] if len(found) == 1 else found) if found else None


def decoded(values: Stored, attributes: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Physical values of stored numbers, any shape; missing ones are NaN.

    Undoes ``_Unsigned``, ``_FillValue``, ``missing_value``, ``scale_factor`` and ``add_offset``.
    Without ``_FillValue``, what the NetCDF library leaves where nothing was written is missing.
    Unpacked floats keep their type (in native byte order); everything else becomes float64, so
    that the one rounding is the caller's. ``values`` is not changed.
    """
    raw = values.astype(values.dtype.newbyteorder("="), copy=False)
    raw = raw.view(_as_read(raw.dtype, attributes))
    missing = np.zeros((), dtype=bool)
    fills = [np.atleast_1d(attributes.get(key, [])) for key in _FILLS]
    if not fills[0].size:
        fills.append(np.array(_unwritten(raw.dtype)))
    for fill in (one for several in fills for one in several):
        missing = missing | _equal(raw, fill)
    scale, offset = (_number(attributes, key) for key in _SCALES)
    result = raw
    if raw.dtype.kind != "f" or scale is not None or offset is not None:
        result = raw * np.float64(1 if scale is None else scale) + np.float64(offset or 0)
    return np.where(missing, result.dtype.type(np.nan), result) if missing.any() else result


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a variable once it is stored as plain floats: without its packing."""
    # CF 2.5.1: valid_* are in the units of the stored numbers, so they go with the packing.
    packed = any(key in attributes for key in (*_SCALES, "_Unsigned"))
    gone = {*_PACKING, *(_RANGES if packed else ())}
    return {key: value for key, value in attributes.items() if key not in gone}


def _unwritten(dtype: np.dtype[Any]) -> list[float]:
    """NetCDF's own fill value; none for bytes, of which all are taken for values."""
    if dtype.kind == "f":
        return [9.969209968386869e36]
    return [np.iinfo(dtype).min + 1] if dtype.kind == "i" and dtype.itemsize > 1 else []


def _as_read(dtype: np.dtype[Any], attributes: Mapping[str, Any]) -> np.dtype[Any]:
    """Type that ``_Unsigned`` makes of one of integers."""
    told = str(attributes.get("_Unsigned", "")).strip().lower()
    kind = {"true": "u", "false": "i"}.get(told, dtype.kind)
    return np.dtype(f"{kind}{dtype.itemsize}") if dtype.kind in "iu" else dtype


def _number(attributes: Mapping[str, Any], key: str) -> float | None:
    try:
        return float(np.asarray(attributes[key]).ravel()[0])
    except (KeyError, IndexError, TypeError, ValueError):
        return None  # absent, or text where a number belongs: as if absent


def _equal(raw: Stored, fill: Any) -> npt.NDArray[np.bool_]:  # noqa: ANN401
    """Where ``raw`` holds ``fill``, compared as numbers of raw's type."""
    never = np.zeros((), dtype=bool)
    try:
        number = float(fill) if raw.dtype.kind == "f" else int(fill)
    except (TypeError, ValueError, OverflowError):
        return never
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(raw == np.float64(number).astype(raw.dtype))
    bits = 8 * raw.dtype.itemsize
    if number != fill or not -(2 ** (bits - 1)) <= number < 2**bits:
        return never
    # Modulo the word: the fill value of an _Unsigned variable is spelt with the other sign.
    return np.asarray(raw == np.array(int(number) % 2**bits, f"u{bits // 8}").view(raw.dtype))
