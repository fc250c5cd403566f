"""JSON objects that anyone may have written <-> frozen dataclasses, and their JSON schema.

JSON object --read_object--> dataclass, every key and value checked
dataclass   --schema_of-->   JSON schema of its objects

A dataclass is the one place that names the keys of an object: its annotations say what each may be.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from hpcodec.errors import FormatError, nearest

__all__ = [
    "FORMAT_VERSION",
    "OPTIONAL",
    "Digest",
    "Limits",
    "Name",
    "NotNegative",
    "Positive",
    "Version",
    "check_version",
    "plain_object",
    "read_object",
    "schema_of",
]

FORMAT_VERSION = "1.0"
"""Of stores and payloads; independent of the package's version."""

Kind = TypeVar("Kind")

OPTIONAL = types.MappingProxyType({"optional": True})
"""Metadata of a dataclass's field whose key is left out where it has its default."""

# Beyond it a whole number is none that float64, or another reader's JSON, can hold.
_LARGEST = 2**53


@dataclass(frozen=True)
class Limits:
    """What a number or a text must keep, in an ``Annotated`` type.

    Parameters
    ----------
    least, most : float, optional
        Both included.
    above : float, optional
        Not included.
    pattern : str
        Regular expression that the whole text matches.
    described : str
        Such a text in words.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    pattern: str = ""
    described: str = "text"

    def keep(self, value: Any) -> bool:  # noqa: ANN401
        """Whether a value, of the right type already, is within."""
        if isinstance(value, str):
            return not self.pattern or re.fullmatch(self.pattern, value) is not None
        low = self.least is None or value >= self.least
        return low and (self.most is None or value <= self.most) and self._above(value)

    def _above(self, value: float) -> bool:
        return self.above is None or value > self.above

    @property
    def words(self) -> str:
        """How a message ends that says what was expected of a number."""
        said = ((" above", self.above), (" from", self.least), (" to", self.most))
        return "".join(f"{word} {limit:,}" for word, limit in said if limit is not None)


Name = Annotated[str, Limits(pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", described="a name")]
"""Of a model: a file name everywhere, and never a path."""

Digest = Annotated[str, Limits(pattern="[0-9a-f]{64}", described="a sha256 (64 hex digits)")]
Version = Annotated[str, Limits(pattern=r"1\.0", described="a version up to '1.0'")]
Positive = Annotated[float, Limits(above=0)]
NotNegative = Annotated[float, Limits(least=0)]


def check_version(version: Any, where: str) -> None:  # noqa: ANN401
    """Refuse what another version of the format wrote, naming both.

    Raises
    ------
    FormatError
        If the major version is another, or the minor version is newer than ours.
    """
    ours = [int(part) for part in FORMAT_VERSION.split(".")]
    known = isinstance(version, str) and re.fullmatch(r"\d{1,4}\.\d{1,4}", version)
    theirs = [int(part) for part in version.split(".")] if known else [0, 0]
    if theirs[0] != ours[0] or theirs[1] > ours[1]:
        raise FormatError(
            f"expected format {FORMAT_VERSION}; got {_short(version)} in {where}. Install an "
            "hpcodec release that reads it."
        )


def read_object(kind: type[Kind], data: Any, what: str) -> Kind:  # noqa: ANN401
    """Dataclass of a JSON object.

    Parameters
    ----------
    kind : type
        A dataclass.
    data : Any
        What stands where the object should be.
    what : str
        The object in words, for messages.

    Raises
    ------
    FormatError
        If a key is missing or unknown, or a value is not what the annotation says.
    """
    if not isinstance(data, Mapping):
        raise FormatError(f"expected {what} as a JSON object; got {_short(data)}.")
    hints, needed = _keys(kind)  # type: ignore[arg-type]
    if unknown := sorted(map(str, set(data) - set(hints))):
        raise FormatError(
            f"unknown key '{unknown[0][:60]}' in {what}. {nearest(unknown[0], hints)}"
        )
    if missing := sorted(needed - set(data)):
        raise FormatError(f"expected key '{missing[0]}' in {what}; it is not there.")
    return kind(**{key: _value(hints[key], value, key, what) for key, value in data.items()})


@lru_cache
def _keys(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:  # noqa: ANN401
    """Types of all keys of a dataclass's objects, and the keys that must be there."""
    fields = [item for item in dataclasses.fields(kind) if item.init]
    hints = get_type_hints(kind, include_extras=True)
    needed = frozenset(item.name for item in fields if not item.metadata.get("optional"))
    return {item.name: hints[item.name] for item in fields}, needed


def _value(hint: Any, value: Any, key: str, what: str) -> Any:  # noqa: ANN401
    if hint is Any:
        return value
    if get_origin(hint) is Annotated:
        kind, limits = get_args(hint)
        if not _is(kind, value) or not limits.keep(value):
            words = limits.described if kind is str else _words(kind) + limits.words
            raise _refused(words, key, value)
        return float(value) if kind is float else value
    if get_origin(hint) is Literal:
        if value not in get_args(hint) or not isinstance(value, str):
            known = ", ".join(map(repr, get_args(hint)))
            raise _refused(f"one of {known}", key, value)
        return value
    if hasattr(hint, "from_dict"):
        return hint.from_dict(value)
    if dataclasses.is_dataclass(hint):
        return read_object(hint, value, f"'{key}' of {what}")  # type: ignore[arg-type]
    inner = get_args(hint)
    if get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise _refused("a JSON object", key, value)
        return {name: _value(inner[1], one, name, what) for name, one in value.items()}
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise _refused("a JSON array", key, value)
        return tuple(_value(inner[0], one, key, what) for one in value)
    if not _is(hint, value):
        raise _refused(_words(hint), key, value)
    return value


def _short(value: Any) -> str:  # noqa: ANN401
    return value[:40] if isinstance(value, str) and value.isprintable() else reprlib.repr(value)


def _is(kind: type[Any], value: Any) -> bool:  # noqa: ANN401
    """Whether a JSON value is of a type; true and false are no numbers, NaN is none either."""
    if kind is float:
        return type(value) in (int, float) and abs(value) < 1e300
    return type(value) is kind and (kind is not int or abs(value) <= _LARGEST)


def _words(kind: type[Any]) -> str:
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[kind]


def _refused(expected: str, key: str, value: Any) -> FormatError:  # noqa: ANN401
    return FormatError(f"expected {expected} as '{key[:60]}'; got {_short(value)}.")


def plain_object(one: Any) -> dict[str, Any]:  # noqa: ANN401  (a dataclass)
    """Fields of a dataclass, those that are off left out: for :func:`read_object`."""
    items = {item.name: (item, getattr(one, item.name)) for item in dataclasses.fields(one)}
    return {
        name: value
        for name, (item, value) in items.items()
        if not (item.metadata.get("optional") and value == item.default)
    }


def schema_of(hint: Any) -> dict[str, Any]:  # noqa: ANN401
    """JSON schema (draft 2020-12) of what :func:`read_object` takes for a type."""
    if hint is Any:
        return {}
    if get_origin(hint) is Annotated:
        kind, limits = get_args(hint)
        named = {
            "minimum": limits.least,
            "maximum": limits.most,
            "exclusiveMinimum": limits.above,
            "pattern": f"^{limits.pattern}$" if limits.pattern else None,
        }
        return _SIMPLE[kind] | {key: value for key, value in named.items() if value is not None}
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if hasattr(hint, "schema"):
        return dict(hint.schema())
    if dataclasses.is_dataclass(hint):
        hints, needed = _keys(hint)  # type: ignore[arg-type]
        return {
            "type": "object",
            "properties": {key: schema_of(one) for key, one in hints.items()},
            "required": sorted(needed),
            "additionalProperties": False,
        }
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": schema_of(get_args(hint)[1])}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": schema_of(get_args(hint)[0])}
    return dict(_SIMPLE[hint])


_SIMPLE: Mapping[type[Any], dict[str, Any]] = types.MappingProxyType(
    {
        int: {"type": "integer"},
        float: {"type": "number"},
        str: {"type": "string"},
        bool: {"type": "boolean"},
    }
)
