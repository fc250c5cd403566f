"""What a user asks for: a ratio in bytes, or an error in the unit of each variable.

"100" --read_ratio--> 100.0       "t2m=0.3,msl=20" --read_rmse--> {"t2m": 0.3, "msl": 20.0}
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from hpcodec.errors import UsageError, nearest

__all__ = ["ALL", "RATIO_RANGE", "check_ratio", "check_rmse", "read_ratio", "read_rmse", "rmse_for"]

RATIO_RANGE = (4.0, 4096.0)
"""Least and largest ratio that may be asked for."""

ALL = ""
"""Key, among errors by variable, of the one for all others."""

_RATIOS = "any number from {:g} to {:g} as ratio".format(*RATIO_RANGE)
_RMSE = "0.3 for all variables, or t2m=0.3,msl=20"


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


def read_ratio(text: str) -> float:
    """Ratio in the text of an option.

    Raises
    ------
    UsageError
        If it is none, or out of range.
    """
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
    targets: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        name = name.strip()
        try:
            value = float(number)
        except ValueError as error:
            raise UsageError(
                f"expected an RMSE in the unit of the variable; got '{part}'. Write {_RMSE}."
            ) from error
        if name in targets:
            raise UsageError(
                f"expected one RMSE for {name or 'all others'}; got several in '{text}'. "
                f"Write {_RMSE}."
            )
        targets[name] = check_rmse(value)
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
