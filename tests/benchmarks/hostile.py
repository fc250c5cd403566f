"""Damaged stores and payloads by the thousand: how many are refused, and whether anything else.

python -m tests.benchmarks.hostile --stores 10000 --payloads 100000
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path

import torch

from hpcodec.models import load_model
from hpcodec.stages.zarr_store import open_store
from tests.golden.make import FOLDER, golden_models
from tests.hostile import HARMLESS, REFUSED, Tally, try_payloads, try_stores

ROOM = 4 * 2**30
"""Bytes that may be allocated beyond what the libraries hold: more than that raises an error."""


def report(what: str, tally: Tally) -> None:
    counts, peak = tally.counts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(  # noqa: T201
        f"{what}: {counts.total():,} tried, {counts[REFUSED]:,} refused, {counts[HARMLESS]:,} read "
        f"as harmless, {tally.bad} anything else; slowest {tally.slowest:.2f} s of computing, "
        f"{peak:,.0f} MiB at most",
        *tally.wrong[:20],
        sep="\n  ",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=int, default=10_000)
    parser.add_argument("--payloads", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    case = FOLDER / "ratio" / "store.zarr"
    with golden_models(), tempfile.TemporaryDirectory() as scratch:
        opened = open_store(str(case))
        (item,) = opened.variables.values()
        entropy = load_model(item.coding.model, item.coding.weights).entropy
        held = int(Path("/proc/self/statm").read_text("utf-8").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, resource.RLIM_INFINITY))

        def told(done: int, tally: Tally) -> None:
            if done % 500 == 0:
                report("stores so far", tally)

        payload = opened.read(item, 0)
        payloads = try_payloads(payload, item.coding, entropy, wanted.payloads, wanted.seed)
        report("payloads", payloads)
        stores = try_stores(case, Path(scratch), wanted.stores, wanted.seed, told)
        report("stores", stores)
    sys.exit(1 if payloads.bad or stores.bad else 0)


if __name__ == "__main__":
    main()
