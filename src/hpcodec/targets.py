"""What a user asks for: a ratio in bytes, or an error in the unit of each variable.

"100" --read_ratio--> 100.0       "t2m=0.3,msl=20" --read_rmse--> {"t2m": 0.3, "msl": 20.0}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hpcodec.errors import UsageError, nearest

__all__ = [
    "ALL",
    "AUTO",
    "RATIO_RANGE",
    "bounds_for",
    "check_bound",
    "check_ratio",
    "check_rmse",
    "read_bounds",
    "read_ratio",
    "read_rmse",
    "rmse_for",
]

RATIO_RANGE = (4.0, 4096.0)
"""Least and largest ratio that may be asked for."""

ALL = ""
"""Key, among errors by variable, of the one for all others."""

AUTO = "auto"
"""Ratio that stands for the largest one that keeps a bound."""

_RATIOS = "any number from {:g} to {:g} as ratio".format(*RATIO_RANGE)
_RMSE = "0.3 for all variables, or t2m=0.3,msl=20"
_BOUND = "0.5 for all variables, or t2m=0.5,msl=50, in their units"
_PART = "1% for all variables, or t2m=0.01,msl=0.1%"


def check_ratio(ratio: float) -> float:
    """``ratio``, if it is one that may be asked for.

    Raises
    ------
    UsageError
        If it is not.

    Examples
    --------
    >>> check_ratio(100)
    100
    """
    if not RATIO_RANGE[0] <= ratio <= RATIO_RANGE[1]:
        raise UsageError(f"expected {_RATIOS}; got {ratio:g}. Choose one in this range.")
    return ratio


def check_rmse(rmse: float) -> float:
    """``rmse``, if it is positive and finite.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not 0 < rmse < math.inf:
        raise UsageError(
            f"expected an RMSE above 0 in the unit of the variable; got {rmse:g}. Write {_RMSE}."
        )
    return rmse


def check_bound(bound: float) -> float:
    """``bound`` on the error of points, if it is positive and finite.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not 0 < bound < math.inf:
        raise UsageError(f"expected a maximum error above 0; got {bound:g}. Write {_BOUND}.")
    return bound


def read_ratio(text: str) -> float | None:
    """Ratio in the text of an option; None for ``auto``.

    Raises
    ------
    UsageError
        If it is none, or out of range.
    """
    if text == AUTO:
        return None
    try:
        ratio = float(text)
    except ValueError as error:
        raise UsageError(f"expected {_RATIOS}; got '{text}'. Choose one in this range.") from error
    return check_ratio(ratio)


def read_rmse(text: str) -> dict[str, float]:
    """Errors by variable in the text of an option; a plain number is for all others, ``ALL``.

    Raises
    ------
    UsageError
        If it is not of the form, or names a variable twice.

    Examples
    --------
    >>> read_rmse("0.3,msl=20")
    {'': 0.3, 'msl': 20.0}
    """
    return _read(text, "RMSE", _RMSE, check_rmse)


def read_bounds(text: str, *, relative: bool = False) -> dict[str, float]:
    """Largest errors of points by variable, as :func:`read_rmse`; relative ones may be in percent.

    Raises
    ------
    UsageError
        If it is not of the form, or names a variable twice.

    Examples
    --------
    >>> read_bounds("t2m=0.5,1%", relative=True)
    {'t2m': 0.5, '': 0.01}
    """
    return _read(text, "maximum error", _PART if relative else _BOUND, check_bound, relative)


def _read(
    text: str, what: str, example: str, check: Callable[[float], float], percent: bool = False
) -> dict[str, float]:
    targets: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        name, hundredths = name.strip(), percent and number.rstrip().endswith("%")
        try:
            value = float(number.rstrip().removesuffix("%") if hundredths else number)
        except ValueError as error:
            raise UsageError(
                f"expected a number as {what}; got '{part}'. Write {example}."
            ) from error
        if name in targets:
            raise UsageError(
                f"expected one {what} for {name or 'all others'}; got several in '{text}'. "
                f"Write {example}."
            )
        targets[name] = check(value / 100 if hundredths else value)
    return targets


def rmse_for(targets: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """Error for each of the variables ``names``; 0 for all where ``targets`` are empty.

    Raises
    ------
    UsageError
        If a variable has none, or one is named that is not there.

    Examples
    --------
    >>> rmse_for({"": 0.3, "msl": 20}, ["t2m", "msl"])
    {'t2m': 0.3, 'msl': 20}
    """
    known = list(names)
    for name in targets:
        if name != ALL and name not in known:
            raise UsageError(
                f"expected RMSEs for variables that are compressed; got '{name}'. "
                f"{nearest(name, known)}"
            )
    if not targets:
        return dict.fromkeys(known, 0.0)
    for name in known:
        if name not in targets and ALL not in targets:
            raise UsageError(
                f"expected an RMSE for each variable that is compressed; got none for '{name}'. "
                f"Add {name}=NUMBER, or a plain number for all others."
            )
    return {name: targets.get(name, targets.get(ALL, 0.0)) for name in known}


def bounds_for(
    absolute: Mapping[str, float], relative: Mapping[str, float], names: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """``max_error`` and ``max_rel_error`` of each of the variables ``names``; 0 for none.

    A bound by name goes before one of the other kind for all others.

    Raises
    ------
    UsageError
        If there are bounds, but none for a variable, or one is named that is not there.

    Examples
    --------
    >>> bounds_for({"t2m": 0.5}, {"": 0.01}, ["t2m", "msl"])["msl"]
    {'max_error': 0.0, 'max_rel_error': 0.01}
    """
    known = list(names)
    kinds = {"max_error": absolute, "max_rel_error": relative}
    for name in {*absolute, *relative} - {ALL, *known}:
        raise UsageError(
            f"expected maximum errors for variables that are compressed; got '{name}'. "
            f"{nearest(name, known)}"
        )
    found: dict[str, dict[str, Any]] = {}
    for name in known:
        key = name if any(name in bounds for bounds in kinds.values()) else ALL
        found[name] = {kind: bounds.get(key, 0.0) for kind, bounds in kinds.items()}
        if (absolute or relative) and not any(found[name].values()):
            raise UsageError(
                f"expected a maximum error for each variable that is compressed; got none for "
                f"'{name}'. Add {name}=NUMBER, or a plain number for all others."
            )
    return found
