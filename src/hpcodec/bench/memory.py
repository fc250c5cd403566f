"""How much memory a call takes at most, C and all: the kernel's own account (Linux)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["peak_memory"]

T = TypeVar("T")

_PROCESS = Path("/proc/self")


def peak_memory(call: Callable[[], T]) -> tuple[T, float | None]:
    """Result of a call, and the MB that the process held at its peak beyond those before it.

    None where the kernel keeps no such account.
    """
    try:
        _return_free_memory()
        (_PROCESS / "clear_refs").write_text("5")  # the peak starts anew
        before = _kilobytes("VmRSS")
    except (OSError, KeyError):
        return call(), None
    result = call()
    return result, (_kilobytes("VmHWM") - before) / 1000


def _return_free_memory() -> None:
    """Let go of what was freed before, which a call could use again without being seen."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # of glibc
        trim(0)


def _kilobytes(name: str) -> int:
    lines = (_PROCESS / "status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[name].split()[0])
