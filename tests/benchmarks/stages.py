"""Where the time of compress and decompress goes, by stage; beside another checkout, and peers.

    python -m tests.benchmarks.stages [FILE] [--steps 12] [--ratio 16 64 256] [--device cpu]
                                      [--beside SRC] [--runs 1] [--timeline PNG] [--until 8]

Takes the first fields of FILE's first variable, or waves of 0.25 degrees, again and again until
there are so many steps, each turned a little further round the pole; writes them to NetCDF;
compresses that and decompresses the store, in a process of its own for each ratio. With
``--beside`` the same is done by the hpcodec of another checkout's ``src``, run by run in turn, and
the table has both: before → after. Of several runs the one that took least counts. Peers take the
first field, in memory.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hpcodec.bench.case import Case, read_cases
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from tests.benchmarks.peers_speed import speeds_of_peers
from tests.benchmarks.timers import ELSE, HERE, STAGES, Span, seconds
from tests.synthetic import HOURS, axes, waves

_KEPT = 8  # fields of the source
_LEAST = 5e-4  # seconds, that are worth a row

Cell = tuple[float, float]
"""Seconds, and their share of a field; NaN for none."""


@dataclass(frozen=True)
class Call:
    """A call of compress or decompress, all its times in seconds.

    Parameters
    ----------
    fields, size : int
        How many, and their bytes as float32.
    seconds : float
        From begin to end.
    spans : list of Span
        Of all threads.
    """

    fields: int
    size: int
    seconds: float
    spans: list[Span]

    def within(self, *, first: bool = False, rest: bool = False) -> dict[str, float]:
        """Own seconds of each stage for a field: the first one, the others, or any."""
        calls = {span.field for span in self._here if span.field}
        chosen = {1} if first else calls - {1} if rest else calls
        count = len(chosen) * self.fields / max(1, len(calls))  # decoding takes some together
        return seconds((one for one in self._here if one.field in chosen), count)

    @property
    def between(self) -> dict[str, float]:
        """Likewise for a field, of the main thread between the fields."""
        start, stop = self._ends
        spans = [one for one in self._here if not one.field and start <= one.start < stop]
        inside = sum(one.stop - one.start for one in self._here if one.field)
        found = seconds(spans, self.fields)
        found[ELSE] = (stop - start - inside) / self.fields - sum(found.values())
        return found

    @property
    def once(self) -> float:
        """Seconds before the first and after the last field: opening, creating, finishing."""
        start, stop = self._ends
        return self.seconds - stop + start

    @property
    def meanwhile(self) -> dict[str, float]:
        """Seconds a field, likewise, of the threads that read and write."""
        others = (one for one in self.spans if one.thread.startswith("hpcodec-"))
        return seconds(others, self.fields)

    @property
    def _ends(self) -> tuple[float, float]:
        """Begin of the first field, end of the last."""
        inside = [span for span in self._here if span.field]
        return min(one.start for one in inside), max(one.stop for one in inside)

    @property
    def _here(self) -> list[Span]:
        return [one for one in self.spans if one.thread == HERE]

    def speed(self, a_field: float) -> float:
        """MB of float32 a second, of the seconds of a field."""
        return self.size / self.fields / 1e6 / a_field if a_field else math.nan


@dataclass(frozen=True)
class Run:
    """What :mod:`tests.benchmarks.timed_run` found."""

    compress: Call
    decompress: Call
    told: dict[str, Any]

    @classmethod
    def of(cls, source: Path, shape: tuple[int, ...], ratio: float, device: str, src: str) -> Run:
        """In a process of its own, with the hpcodec of ``src``."""
        command = [sys.executable, "-m", "tests.benchmarks.timed_run", source, ratio, device]
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [str(part) for part in command],
            env=os.environ | {"PYTHONPATH": src},
            cwd=root,
            stdout=subprocess.PIPE,
            check=True,
        )
        told = json.loads(done.stdout)
        size = 4 * math.prod(shape)
        compress, decompress = (
            Call(shape[0], size, one["seconds"], [Span(**span) for span in one["spans"]])
            for one in (told.pop("compress"), told.pop("decompress"))
        )
        return cls(compress, decompress, told)

    @property
    def seconds(self) -> float:
        """Of both calls."""
        return self.compress.seconds + self.decompress.seconds


def write_source(path: Path, given: str, steps: int) -> tuple[int, ...]:
    """NetCDF of so many steps, packed as archives have it; its shape."""
    if given:
        with open_source(given) as source:
            spec = find_fields(source)[0]
            fields = read_steps(source, spec, 0, min(_KEPT, spec.steps))
            like = source[spec.name].isel({dim: 0 for dim, _ in spec.leading}, drop=True)
            like = like.reset_coords(drop=True).transpose(*spec.horizontal).load()
        like.attrs = {"standard_name": spec.standard_name, "units": spec.units}
    else:
        fields = waves(min(_KEPT, steps), 0.25)
        told = {"standard_name": "air_temperature", "units": "K"}
        like = xr.DataArray(fields[0], axes(0.25), ("lat", "lon"), "t2m", told)
    by = fields.shape[-1] // 240
    turned = [np.roll(fields[step % len(fields)], step * by, -1) for step in range(steps)]
    hours = xr.Variable(("time",), np.arange(float(steps)), HOURS)
    found = xr.DataArray(
        np.stack(turned), {"time": hours, **like.coords}, ("time", *like.dims), attrs=like.attrs
    )
    packed = {"zlib": True, "shuffle": True, "complevel": 4, "chunksizes": (1, *like.shape)}
    name = str(like.name)
    found.to_dataset(name=name).to_netcdf(path, encoding={name: packed})
    return found.shape


def rows_of(run: Run) -> dict[str, list[Cell]]:
    """For each row, seconds a field of encoding the first, the others, and decoding; and shares."""
    encode, decode = run.compress, run.decompress
    inside = [encode.within(first=True), encode.within(rest=True), decode.within()]
    sums = [sum(one.values()) for one in inside]
    names = *STAGES, ELSE
    rows: dict[str, list[Cell]] = {
        stage: [(one[stage], one[stage] / whole) for one, whole in zip(inside, sums, strict=True)]
        for stage in names
    }
    rows["**a field**"] = [(one, 1.0) for one in sums]
    for name, outside in (
        ("between fields: ", (encode.between, decode.between)),
        ("meanwhile: ", (encode.meanwhile, decode.meanwhile)),
    ):
        rows |= {name + stage: _plain(*(one[stage] for one in outside)) for stage in names}
    rows["once, for all fields"] = _plain(encode.once, decode.once)
    each = (one.seconds / one.fields for one in (encode, decode))
    return rows | {"**the whole call, for a field**": _plain(*each)}


def _plain(encode: float, decode: float) -> list[Cell]:
    """Cells of what is not of the first field alone, and no share."""
    return [(math.nan, math.nan), (encode, math.nan), (decode, math.nan)]


def table(runs: list[Run]) -> str:
    """Rows of one checkout, or of the one before and the one after; for all but MB/s seconds."""
    lines = [
        "| seconds | encode, the first field | encode, a further field | decode, a field |",
        "|---|--:|--:|--:|",
    ]
    found = [rows_of(run) for run in runs]
    for row in found[0]:
        cells = list(zip(*(one[row] for one in found), strict=True))
        if any(value >= _LEAST for cell in cells for value, _ in cell):
            lines.append(f"| {row} | {' | '.join(map(_cell, cells))} |")
    for number, row in enumerate(("a field", "the whole call")):
        speeds = zip(*(speeds_of(run)[number] for run in runs), strict=True)
        shown = (_arrows(cell, 2) for cell in speeds)
        lines.append(f"| **MB/s, {row}** | {' | '.join(shown)} |")
    return "\n".join(lines)


def _cell(values: tuple[Cell, ...]) -> str:
    times, share = _arrows([value for value, _ in values], 3), values[-1][1]
    return times if math.isnan(share) else f"{times} ({share:.0%})"


def _arrows(values: Sequence[float], digits: int) -> str:
    if math.isnan(values[-1]):
        return "-"
    return " → ".join(f"{value:.{digits}f}" for value in values)


def speeds_of(run: Run) -> tuple[list[float], list[float]]:
    """MB/s of the columns of the table: of a field alone, and of whole calls."""
    encode, decode = run.compress, run.decompress
    parts = encode.within(first=True), encode.within(rest=True), decode.within()
    fields = [encode.speed(sum(one.values())) for one in parts]
    return fields, [math.nan, *(one.speed(one.seconds / one.fields) for one in (encode, decode))]


def peers(case: Case, ratio: float, run: Run) -> str:
    """MB/s of peers at a ratio, below our own."""
    field, call = speeds_of(run)
    ours = run.compress.size / run.told["size"]
    rows = [("hpcodec, a field", ours, *field[1:]), ("hpcodec, the whole call", ours, *call[1:])]
    lines = ["| codec | ratio | encode MB/s | decode MB/s |", "|---|--:|--:|--:|"]
    for name, at, encode, decode in (*rows, *speeds_of_peers(case, ratio)):
        lines.append(f"| {name} | {at:.0f} | {encode:.1f} | {decode:.1f} |")
    return "\n".join(lines)


def title(case: Case, ratio: float, run: Run) -> str:
    """What a table is of."""
    told = run.told
    way = "detail" if told["detailed"] else "network"
    return (
        f"{case.spec.name} at {ratio:g}x by {told['code']}: {way}, {run.compress.fields} steps, "
        f"{told['threads']} threads of torch; the process's first field there and back, loading "
        f"included, {told['first']:.1f} s"
    )


def main() -> None:
    """Print a table for each ratio, and peers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", default="")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--ratio", type=float, nargs="+", default=[16, 64, 256])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--beside", default="", help="src of the checkout before")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--timeline", default="", help="picture of the run at the last ratio")
    parser.add_argument("--until", type=float, default=8, help="seconds that it shows")
    asked = parser.parse_args()
    own = str(Path(__file__).parents[2] / "src")
    sources = [*filter(None, [asked.beside and str(Path(asked.beside).resolve())]), own]
    with tempfile.TemporaryDirectory(prefix="stages-") as name:
        path = Path(name) / "source.nc"
        shape = write_source(path, asked.file, asked.steps)
        case = next(iter(read_cases([str(path)])))
        for ratio in asked.ratio:
            tried = [
                [Run.of(path, shape, ratio, asked.device, src) for src in sources]
                for _ in range(asked.runs)
            ]
            runs = [min(of, key=lambda one: one.seconds) for of in zip(*tried, strict=True)]
            titles = [title(case, ratio, run) for run in runs]
            shown = ["\n".join(titles), table(runs), peers(case, ratio, runs[-1]), ""]
            print("\n\n".join(shown), flush=True)  # noqa: T201
    if asked.timeline:
        from tests.benchmarks.timeline import draw

        draw(asked.timeline, runs[-1].compress.spans, runs[-1].decompress.spans, asked.until)


if __name__ == "__main__":
    main()
