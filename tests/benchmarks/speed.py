"""Seconds to encode and decode one field, on a machine that does nothing else.

    python tests/benchmarks/speed.py FILE.nc [FILE.nc ...]

The first field of each file's first variable, at four ratios, after a first call that loads
everything: the first field of a variable, for which both ways are tried, and the one after it.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise

from hpcodec.bench.case import read_cases
from hpcodec.coding import coding_for
from hpcodec.decoding import decode_fields
from hpcodec.pipeline import encode_fields

RATIOS = (16, 64, 256, 1024)


def main() -> None:
    """Print a line for every file and ratio."""
    for path in sys.argv[1:]:
        case = next(iter(read_cases([path])))
        for ratio in RATIOS:
            coding = coding_for(case.spec, case.raw_bytes // ratio)
            for _ in range(2):  # the first loads and caches
                times = [time.perf_counter()]
                made = encode_fields(case.filled[None], coding)
                times.append(time.perf_counter())
                decode_fields(made.payloads, coding)
                times.append(time.perf_counter())
                encode_fields(case.filled[None], coding, hint=made.hint)
                times.append(time.perf_counter())
            first, decode, after = (b - a for a, b in pairwise(times))
            way = "detail" if made.hint.detailed else "network"
            print(  # noqa: T201
                f"{case.label} at {ratio}x, {way}: encode {first:.2f} s, then {after:.2f} s a "
                f"field; decode {decode:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
