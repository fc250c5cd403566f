"""Every exception that hpcodec raises for bad input.

A message says three things in this order: what was expected, what was got, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "FormatError",
    "GridError",
    "HpcodecError",
    "LevelError",
    "MissingValueError",
    "ModelError",
    "OutputError",
    "UsageError",
    "nearest",
]


class HpcodecError(Exception):
    """Base of everything hpcodec raises for bad input."""


class FormatError(HpcodecError, ValueError):
    """A store, payload or model card is damaged, foreign, or of a version we do not read."""


class GridError(HpcodecError, ValueError):
    """A field does not lie on a grid that hpcodec can use."""


class LevelError(HpcodecError, ValueError):
    """A HEALPix level is outside what the data or the model can give."""


class MissingValueError(HpcodecError, ValueError):
    """A field holds missing or infinite values and no way to fill them was chosen."""


class ModelError(HpcodecError, LookupError):
    """A model is unknown, not trained, or its weights do not match their card."""


class OutputError(HpcodecError, OSError):
    """An output exists already or cannot be written."""


class BoundError(OutputError):
    """An output does not keep the bound on its errors that was asked for."""


class UsageError(HpcodecError, ValueError):
    """An option has a value that hpcodec does not know."""


def nearest(got: str, known: Iterable[str]) -> str:
    """Sentence end that names the nearest known word and lists them all.

    Examples
    --------
    >>> nearest("t2n", ["t2m", "msl"])
    "Did you mean 't2m'? Known: msl, t2m."
    """
    names = sorted(known)
    close = difflib.get_close_matches(got, names, n=1)
    hint = f"Did you mean '{close[0]}'? " if close else ""
    return f"{hint}Known: {', '.join(names) or 'none'}."
