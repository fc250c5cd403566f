"""One timed run of compress and decompress, for :mod:`tests.benchmarks.stages`.

    python -m tests.benchmarks.timed_run SOURCE RATIO DEVICE

Prints JSON: the spans of both calls, in seconds from their begin, and how long each call took, once
everything is loaded. Of hpcodec nothing is imported that an older checkout does not have.
"""

from __future__ import annotations

import time

_BEGAN = time.perf_counter()  # a process's first field has to wait for what is imported here

import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
import xarray as xr  # noqa: E402

import hpcodec  # noqa: E402
from hpcodec.compression import Options, compress  # noqa: E402
from hpcodec.decompression import decompress  # noqa: E402
from tests.benchmarks.timers import Timers, timed  # noqa: E402


def both(source: str, folder: Path, ratio: float, device: str) -> dict[str, Any]:
    """Compress and decompress; what each took, and what came of it."""
    store, back = str(folder / "s.zarr"), str(folder / "b.nc")
    found: dict[str, Any] = {}
    options = Options(ratio=ratio, device=device)
    for verb in ("compress", "decompress"):
        timers, start = Timers(), time.perf_counter()
        with timed(timers):
            if verb == "compress":
                reports, size = compress(source, store, options, overwrite=True)
                found |= {"detailed": reports[0].detailed, "size": size}
            else:
                decompress(store, back, device=device, overwrite=True)
        stop = time.perf_counter()
        spans = [
            asdict(span) | {"start": span.start - start, "stop": span.stop - start}
            for span in timers.spans
        ]
        found[verb] = {"seconds": stop - start, "spans": spans}
    return found


def main() -> None:
    """Run with the first step alone, which loads and caches, then with all."""
    source, ratio, device = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="stages-") as name:
        folder = Path(name)
        with xr.open_dataset(source, decode_cf=False) as dataset:
            dataset.isel(time=slice(0, 1)).to_netcdf(folder / "first.nc")
        both(str(folder / "first.nc"), folder, float(ratio), device)
        told = {
            "first": time.perf_counter() - _BEGAN,
            "threads": torch.get_num_threads(),
            "code": str(Path(hpcodec.__file__).parents[1]),
            **both(source, folder, float(ratio), device),
        }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
