"""How many fields at a time a limit on memory allows.

"2GB" --read_size--> bytes;   bytes, a field's size --fields_within--> fields in a batch
"""

from __future__ import annotations

import re

from hpcodec.errors import UsageError

__all__ = ["fields_within", "needed", "read_size", "shown_size"]

# Measured as peak resident memory of `hpcodec compress` and `decompress` on fields of 1 and 0.25
# degrees (docs/scale.md), and rounded up: Python, torch and a model; what remapping and the network
# hold for each cell; copies of a field that is being read, waits, is worked on, or is written.
_PROCESS = 800 * 2**20
_CELL = 512
_COPIES = 4

_UNITS: dict[str, int] = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([kmgt]?)(i?)b?", re.IGNORECASE)


def read_size(text: str) -> int:
    """Bytes of a size in words.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> read_size("2GB"), read_size("512 MiB")
    (2000000000, 536870912)
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]) or not float(found[1]):
        raise UsageError(f"expected a size in bytes, such as 2GB or 800MiB; got '{text}'.")
    units = _BINARY if found[3] else _UNITS
    unit: int = units[found[2].lower()]
    return int(float(found[1]) * unit)


def shown_size(size: float) -> str:
    """Size in words, rounded up.

    Examples
    --------
    >>> shown_size(1_230_000_000)
    '1.3GB'
    """
    return f"{-(-int(size) // 10**8) / 10:g}GB"


def needed(cells: int, field_bytes: int, count: int = 1, together: int = 1) -> int:
    """Bytes that a process takes at most, as an estimate.

    Parameters
    ----------
    cells : int
        HEALPix cells of the finest level that a field is remapped to.
    field_bytes : int
        Of a field as it is stored or written.
    count : int
        Fields in a batch.
    together : int
        Fields in a chunk of the source, which can only be read together.
    """
    read = -(-count // together) * together if together > 1 else 0
    return _PROCESS + _CELL * cells + field_bytes * (_COPIES * count + 2 * read)


def fields_within(
    memory: int | None, name: str, cells: int, field_bytes: int, wanted: int, together: int = 1
) -> int:
    """Fields in a batch, ``wanted`` or fewer.

    Where the source's chunks have several fields, whole chunks of them if memory allows: they are
    read once.

    Parameters
    ----------
    memory : int, optional
        Bytes that the process may take; any without.
    name : str
        Of the variable.
    cells, field_bytes, together
        As for :func:`needed`.
    wanted : int
        Fields in a batch, if memory allows.

    Raises
    ------
    UsageError
        If there is not enough for one field.
    """
    if memory is None:
        return wanted
    counts: list[int] = [together * max(1, wanted // together), *range(wanted, 0, -1)]
    for count in counts:
        if needed(cells, field_bytes, count, together) <= memory:
            return count
    least = shown_size(needed(cells, field_bytes, 1, together))
    chunks = f", of which the source's chunks hold {together:,}" if together > 1 else ""
    raise UsageError(
        f"expected {least} of memory or more for a field of '{name}'{chunks}; got "
        f"{shown_size(memory)}. Set --memory to {least}."
    )
