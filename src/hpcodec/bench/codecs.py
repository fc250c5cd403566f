"""What a bench runs: codecs, and recipes that make one for a field.

names --choose--> Recipe, ...    Recipe.build(case) --> Codec
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

from hpcodec.bench.case import Case, Floats
from hpcodec.errors import UsageError, nearest

__all__ = ["Codec", "Kind", "Recipe", "choose"]

Kind = Literal["ours", "paper", "classical", "trivial"]


@dataclass(frozen=True)
class Codec:
    """A codec for the fields of one case.

    Parameters
    ----------
    sweep : tuple of float
        Parameters that span its range, from fine to coarse.
    encode : callable
        Bytes of a finite field ``(rows, columns)`` at a parameter: all that decoding needs, but
        for the shape and the grid, which any container holds.
    decode : callable
        Field of these bytes.
    by_ratio : bool
        Whether the parameter is the compression ratio, which the bytes then keep.
    """

    sweep: tuple[float, ...]
    encode: Callable[[Floats, float], bytes]
    decode: Callable[[bytes], Floats]
    by_ratio: bool = False


@dataclass(frozen=True)
class Recipe:
    """How to make a codec.

    Parameters
    ----------
    name : str
        What ``--codec`` calls it.
    kind : str
        ``ours``, ``paper`` (the method as published), ``classical`` or ``trivial``.
    what : str
        What it is, in a few words.
    build : callable
        Codec for a case.
    needs : mapping of str to str
        Modules that it imports, and the package that brings each.
    """

    name: str
    kind: Kind
    what: str
    build: Callable[[Case], Codec]
    needs: Mapping[str, str] = field(default_factory=dict)

    @property
    def lacks(self) -> str:
        """One line on what is not installed; empty if all is."""
        packages = [name for module, name in self.needs.items() if find_spec(module) is None]
        if not packages:
            return ""
        listed = " ".join(packages)
        return (
            f"{self.name} is left out: expected the package {listed}; it is not installed. "
            f"Do: pip install {listed}, or all peers: pip install 'hpcodec[bench]'."
        )


def choose(names: Iterable[str], recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """Recipes of these names, in their own order; all of them if there is no name.

    Raises
    ------
    UsageError
        If a name is unknown.
    """
    known = {recipe.name: recipe for recipe in recipes}
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise UsageError(f"expected a codec; got '{name}'. {nearest(name, known)}")
    return tuple(recipe for name, recipe in known.items() if not wanted or name in wanted)
