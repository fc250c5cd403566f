"""Kill ``compress`` at random moments, go on with it, and compare every byte.

    python -m tests.benchmarks.interruptions [--kills 100] [--steps 50] [--key-every 1]

Compresses a small series with a tiny model. A run is killed (SIGKILL) at a random moment: every
other time by the clock, between its start and its end; else before a random change that it makes
to the disk. What another run with ``--resume`` makes of it must have the bytes of a run that was
let alone. Prints what the killed runs left, and how many of the stores came out the same.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import xarray as xr

from tests.interruptions import Run, content, end_of, names
from tests.synthetic import HOURS, axes, waves
from tests.tiny import write_model


def write_source(path: Path, steps: int) -> None:
    """One variable on a 5-degree grid."""
    attributes = {"standard_name": "air_temperature", "units": "K"}
    coordinates = {**axes(), "time": ("time", [6.0 * step for step in range(steps)], HOURS)}
    fields = {"ta": (("time", "lat", "lon"), waves(steps), attributes)}
    xr.Dataset(fields, coords=coordinates).to_netcdf(path)


def left_by(run: Run) -> str:
    """What a killed run left of its output."""
    folder = run.target.with_name(f".{run.target.name}.partial")
    if run.target.exists():
        return "store in place, not yet tidied up"
    if (folder / "journal.json").exists():
        return "unfinished store to go on with"
    return "nothing to go on with"


def kill(run: Run, whole: dict[str, bytes], changes: int, seconds: float, by_clock: bool) -> str:
    """One kill: what it left, and whether going on gave the same bytes."""
    source = run.source.read_bytes()
    if by_clock:
        ended = end_of(run, after=random.uniform(0.001, seconds))
    else:
        ended = end_of(run, at_change=random.randint(1, changes))
    left = left_by(run) if ended.killed else "done before the kill"
    if run.source.read_bytes() != source:
        return f"{left}: THE SOURCE HAS CHANGED"
    if run.target.exists() and content(run.target) != whole:
        return f"{left}: ANOTHER STORE"
    resumed = end_of(run, resume=True, overwrite=True)
    if resumed.error or content(run.target) != whole or len(names(run.target.parent)) != 2:
        return f"{left}: OTHER BYTES {resumed.error}"
    return f"{left}: same bytes"


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--key-every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    random.seed(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "models" / "tiny")
        (folder / "data").mkdir()
        source, target = folder / "data" / "source.nc", folder / "data" / "store.zarr"
        write_source(source, asked.steps)
        options = {"ratio": 5, "key_every": asked.key_every, "model": "tiny", "device": "cpu"}
        run = Run("compress", source, target, options, str(folder / "models"))
        end_of(run)  # what is made once: remap operators
        shutil.rmtree(target)
        start = time.monotonic()
        changes = end_of(run).changes
        seconds, whole = time.monotonic() - start, content(target)
        counts: Counter[str] = Counter()
        for number in range(asked.kills):
            shutil.rmtree(target)
            counts[kill(run, whole, changes, seconds, number % 2 == 0)] += 1
            print(f"\r{number + 1}", end="", flush=True)  # noqa: T201
    print(f"\r{asked.kills} kills of {asked.steps} steps, key field every {asked.key_every}")  # noqa: T201
    for what, count in sorted(counts.items()):
        print(f"{count:5d}  {what}")  # noqa: T201


if __name__ == "__main__":
    main()
