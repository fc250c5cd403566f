"""Compress a synthetic year alone, and on a dask cluster with a worker killed; compare all bytes.

    python -m tests.benchmarks.year [FIELDS ...] [--steps 8760] [--memory 3GB] [--ratio 64]
                                    [--workers 2] [--part 48] [--degrees 1] [--thin 1]

The year's hours are made when they are read: a web server of this program gives a zarr group each
of whose chunks is two fields of FIELDS, turned round the pole and mixed, another for each hour:
files of one variable and grid, of which every so manieth row and column is taken (--thin).
Without FIELDS they are waves of so many degrees. Both runs are kept within the limit on memory: one
process, then the cluster, a worker of which is killed (SIGKILL) once the first part is done. Prints
the time and the peak memory of a process of each, and what is different.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from distributed import Client, LocalCluster

from hpcodec.compression import Options, compress
from hpcodec.memory import read_size
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from tests.interruptions import content
from tests.synthetic import HOURS, axes, waves

Floats = npt.NDArray[np.float32]
_KEPT = 8  # fields of a file, at most, that the year is mixed of
_GROUP = "year.zarr"


class Year(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, and the fields of the year, which are in none.

    Parameters
    ----------
    fields : ndarray
        ``(n, rows, columns)`` float32.
    """

    def __init__(self, *arguments: Any, fields: Floats, **options: Any) -> None:
        self._fields = fields
        super().__init__(*arguments, **options)

    def log_message(self, *arguments: Any) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        """A field, or a file."""
        _, _, place = self.path.partition("/field/c/")
        if not place:
            super().do_GET()
            return
        body = field(self._fields, int(place.split("/")[0])).astype("<f4").tobytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def field(fields: Floats, hour: int) -> Floats:
    """An hour of the year: two fields, turned and mixed."""
    share = np.float32(0.5 + 0.5 * np.cos(hour * np.pi / 24))
    one, other = fields[hour // 24 % len(fields)], fields[(hour // 24 + 1) % len(fields)]
    columns = fields.shape[-1]
    turned = np.roll(one, hour * columns // 240, -1), np.roll(other, -hour * columns // 360, -1)
    return np.asarray(share * turned[0] + (1 - share) * turned[1], np.float32)


def write_group(folder: Path, like: xr.DataArray, steps: int) -> None:
    """The group without its fields."""
    shape = (steps, *like.shape)
    empty = dask.array.zeros(shape, chunks=(1, *like.shape), dtype=np.float32)
    time_axis = xr.Variable(("time",), np.arange(float(steps)), HOURS)
    dataset = xr.Dataset(
        {"field": (("time", *like.dims), empty, like.attrs)},
        coords={**like.coords, "time": time_axis},
    )
    plain: dict[str, Any] = {"field": {"compressors": None, "filters": None}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that zarr's specification has no consolidated metadata
        dataset.to_zarr(
            folder / _GROUP, encoding=plain, zarr_format=3, consolidated=True, compute=False
        )


def serve(folder: str, fields: Floats, port: Any) -> None:
    """Serve the year, and tell the port."""
    handler = partial(Year, directory=folder, fields=fields)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        port.send(server.server_port)
        server.serve_forever()


def given(paths: Sequence[str], degrees: float, thin: int) -> tuple[xr.DataArray, Floats]:
    """A field of the source with its coordinates, and some of its fields."""
    if not paths:
        made = waves(_KEPT, degrees)
        coords: dict[str, Any] = axes(degrees)
        told = {"standard_name": "air_temperature", "units": "K"}
        return xr.DataArray(made[0], coords, ("lat", "lon"), attrs=told), made
    fields = list[Floats]()
    for path in paths:
        with open_source(path) as source:
            spec = find_fields(source)[0]
            read = read_steps(source, spec, 0, min(_KEPT, spec.steps))
            fields += [np.ascontiguousarray(one[::thin, ::thin]) for one in read]
            first = source[spec.name].isel({dim: 0 for dim, _ in spec.leading}, drop=True)
            first = first.reset_coords(drop=True).transpose(*spec.horizontal)
            first = first[::thin, ::thin].copy(data=fields[0])
            first.attrs = {"standard_name": spec.standard_name, "units": spec.units}
    return first, np.stack(fields)


def peak() -> int:
    """Most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def alone(url: str, target: str, options: Options, told: Any) -> None:
    """A run of one process; tells its peak memory."""
    torch.set_num_threads(1)
    compress(url, target, options)
    told.send(peak())


def on_cluster(url: str, target: str, options: Options, workers: int) -> tuple[int, int]:
    """A run on a cluster, with a kill; the largest peak of a worker, and processes killed."""
    killed = list[int]()
    # A LocalCluster gives up a worker that is not back in 15 s, which it may be all the same.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):

        def kill(name: str, done: int, total: int) -> None:
            if not killed:
                busy = [worker for worker, tasks in client.processing().items() if tasks]
                killed.append(client.run(os.getpid, workers=busy[:1])[busy[0]])
                os.kill(killed[0], signal.SIGKILL)

        compress(url, target, options, cluster=client, told=kill)
        return max(client.run(peak).values()), len(killed)


def main() -> None:
    """Print times, memory and what is different."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("fields", nargs="*")
    parser.add_argument("--steps", type=int, default=8760)
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--ratio", type=float, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", type=int, help="fields of a part; the default of compress")
    parser.add_argument("--degrees", type=float, default=1)
    parser.add_argument("--thin", type=int, default=1)
    asked = parser.parse_args()
    options = Options(
        ratio=asked.ratio, memory=read_size(asked.memory), shard=asked.part, device="cpu"
    )
    spawned = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="year-") as name:
        like, fields = given(asked.fields, asked.degrees, asked.thin)
        write_group(Path(name), like, asked.steps)
        here, there = spawned.Pipe()
        server = spawned.Process(target=serve, args=(name, fields, there), daemon=True)
        server.start()
        url, stores = f"http://127.0.0.1:{here.recv()}/{_GROUP}", Path(name)
        start = time.monotonic()
        run = spawned.Process(target=alone, args=(url, str(stores / "a.zarr"), options, there))
        run.start()
        run.join()
        if run.exitcode:
            sys.exit("the run of one process failed")
        show("one process", time.monotonic() - start, here.recv(), asked.steps)
        start = time.monotonic()
        most, killed = on_cluster(url, str(stores / "b.zarr"), options, asked.workers)
        what = f"{asked.workers} workers, {killed} killed on the way"
        show(what, time.monotonic() - start, most, asked.steps)
        server.terminate()
        one, other = content(stores / "a.zarr"), content(stores / "b.zarr")
        differ = sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k))
        size, files = sum(map(len, one.values())), sum(bool(part) for part in one.values())
        digest = hashlib.sha256(b"".join(one[key] for key in sorted(one))).hexdigest()[:16]
        print(f"{files} objects, {size:,} bytes, sha256 {digest}: ", end="")  # noqa: T201
        print(f"other bytes in {', '.join(differ)}" if differ else "the same bytes")  # noqa: T201
    sys.exit(bool(differ))


def show(what: str, seconds: float, most: int, steps: int) -> None:
    """Print a run."""
    print(  # noqa: T201
        f"{what}: {steps} steps in {seconds:.0f} s, peak {most / 1e9:.2f} GB a process", flush=True
    )


if __name__ == "__main__":
    main()
