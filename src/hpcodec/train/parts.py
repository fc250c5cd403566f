"""Which fields of a user's files a model learns from, stops by, and is measured on.

files --parts_of--> Parts --prepare_parts--> folder of faces, one index
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import xarray as xr

from hpcodec.errors import UsageError
from hpcodec.fields import FieldSpec
from hpcodec.stages import dataset
from hpcodec.train.fields import PreparedField
from hpcodec.train.prepare import prepare_steps, source_digest, write_index

__all__ = ["HELD", "PARTS", "Parts", "parts_of", "prepare_parts"]

PARTS = ("train", "val", "test")
"""To learn from, to stop by, to measure on: earlier times, then later ones, then the last."""

HELD = 0.15
"""Share of the times in each of the two parts that are not learned from."""

_MOST = (64, 3, 4)  # fields of each part, all variables together

Steps = dict[tuple[Path, str], list[int]]


@dataclass(frozen=True)
class Parts:
    """Steps of every file and variable in each part, and what the variables are."""

    train: Steps
    val: Steps
    test: Steps
    specs: tuple[FieldSpec, ...]

    def steps(self, part: str) -> Steps:
        """Steps of one of :data:`PARTS`, by file and variable."""
        found: Steps = getattr(self, part)
        return found


def parts_of(paths: Sequence[Path], names: Sequence[str] | None = None) -> Parts:
    """Parts of the times of some files.

    Parameters
    ----------
    paths : sequence of Path
        NetCDF, zarr or GRIB, in the order of their times.
    names : sequence of str, optional
        Only these variables.

    Raises
    ------
    UsageError
        If a variable has fewer than three times.
    """
    moments: dict[str, list[tuple[Path, list[int]]]] = {}
    specs: dict[str, FieldSpec] = {}
    for path in paths:
        with dataset.open_source(str(path)) as source:
            for spec in dataset.find_fields(source, names):
                specs.setdefault(spec.name, spec)
                here = moments.setdefault(spec.name, [])
                here += [(path, steps) for steps in _steps_by_time(source, spec)]
    chosen: dict[str, Steps] = {part: {} for part in PARTS}
    for name, times in moments.items():
        if len(times) < len(PARTS):
            raise UsageError(
                f"expected at least {len(PARTS)} times of '{name}', one to measure on and one to "
                f"stop by; got {len(times)}. Give more files, or leave it out with --variable."
            )
        held = max(1, round(HELD * len(times)))
        ends = (0, len(times) - 2 * held, len(times) - held, len(times))
        for number, part in enumerate(PARTS):
            pairs = [(p, s) for p, steps in times[ends[number] : ends[number + 1]] for s in steps]
            few = max(1, _MOST[number] // len(moments))
            for at in np.unique(np.linspace(0, len(pairs) - 1, few).round().astype(int)):
                path, step = pairs[at]
                chosen[part].setdefault((path, name), []).append(step)
    return Parts(**chosen, specs=tuple(specs.values()))


def _steps_by_time(source: xr.Dataset, spec: FieldSpec) -> list[list[int]]:
    """Steps of each time of a variable; members and levels of one time are not parted."""
    if not spec.leading:
        return [[0]]
    attributes = [
        source.variables[name].attrs if name in source.variables else {} for name, _ in spec.leading
    ]
    dated = [" since " in str(about.get("units", "")) for about in attributes]
    axis = dated.index(True) if any(dated) else 0
    steps = np.arange(prod(spec.leading_shape)).reshape(spec.leading_shape)
    return [list(map(int, time.ravel())) for time in np.moveaxis(steps, axis, 0)]


def prepare_parts(parts: Parts, folder: Path, finest: int) -> list[PreparedField]:
    """Fields of all parts, remapped and normalised in ``folder``, each file named below its part.

    Raises
    ------
    FormatError
        If values cannot be read.
    """
    prepared: list[PreparedField] = []
    digests: dict[Path, str] = {}
    for part in PARTS:
        wanted = parts.steps(part)
        for path in dict.fromkeys(path for path, _ in wanted):
            if path not in digests:
                digests[path] = source_digest(path)

            def steps(spec: FieldSpec, of: Path = path, among: Steps = wanted) -> list[int]:
                return among.get((of, spec.name), [])

            prepared += prepare_steps(
                path, f"{part}/{path.name}", digests[path], folder, steps=steps, finest=finest
            )
    write_index(prepared, folder)
    return prepared
