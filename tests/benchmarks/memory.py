"""Peak memory of ``compress`` and ``decompress``, each run in a process of its own.

    python -m tests.benchmarks.memory [--degrees 1 0.25] [--steps 3]

Compresses waves of so many degrees at 64x, as compress likes and by the network, and decompresses
the stores, one field at a time and all together. Prints peaks of resident memory: what
``hpcodec.memory`` estimates is made of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from pathlib import Path
from typing import Any

import torch

from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from tests.synthetic import series


def work(verb: str, source: str, target: str, options: dict[str, Any], told: Any) -> None:
    """Do a run, and tell the most bytes that this process has held."""
    torch.set_num_threads(1)
    if verb == "compress":
        compress(source, target, Options(ratio=64, device="cpu", **options), overwrite=True)
    else:
        decompress(source, target, device="cpu", overwrite=True, **options)
    told.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def peak(*arguments: Any) -> float:
    """Gigabytes of a run."""
    spawned = multiprocessing.get_context("spawn")
    here, there = spawned.Pipe()
    process = spawned.Process(target=work, args=(*arguments, there))
    process.start()
    process.join()
    return float(here.recv() / 1e9)


def main() -> None:
    """Print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--degrees", type=float, nargs="+", default=[1, 0.25])
    parser.add_argument("--steps", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        source, store, back = (str(Path(folder) / name) for name in ("a.nc", "b.zarr", "c.nc"))
        for degrees in asked.degrees:
            series(asked.steps, degrees).to_netcdf(source)
            for how in ({}, {"bottleneck": 5 if degrees >= 1 else 6}):
                told = f"{degrees:g} degrees {how or 'as compress likes'}:"
                print(told, f"compress {peak('compress', source, store, how):.2f} GB,", end=" ")  # noqa: T201
                for batch in (1, asked.steps):
                    most = peak("decompress", store, back, {"batch": batch})
                    print(f"decompress {batch} at a time {most:.2f} GB", end=" ", flush=True)  # noqa: T201
                print()  # noqa: T201


if __name__ == "__main__":
    main()
