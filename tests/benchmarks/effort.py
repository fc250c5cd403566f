"""What refining the symbols of a field buys, and what it costs.

    python tests/benchmarks/effort.py FILE.nc [FILE.nc ...]

Codes the first field of each file's first variable at two ratios of payload bytes, without effort
and with it. Prints bytes, RMSE on the source grid, the bytes that effort saves at the same RMSE of
coding alone (that of the remap is taken off; the square of an RMSE counts as much as bytes do), and
the processor time beside that of encoding without effort.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from hpcodec.bench.case import Case, Floats, read_cases
from hpcodec.coding import coding_for
from hpcodec.pipeline import encode_fields

RATIOS = (64, 256)


def squared(decoded: Floats, case: Case) -> float:
    """Mean square of the error, weighted by area."""
    error = decoded[0].astype(np.float64) - case.truth
    return float(np.mean(case.spec.grid.area_weights * error**2))


def main() -> None:
    """Print a line for every file and ratio."""
    for path in sys.argv[1:]:
        case = next(iter(read_cases([path])))
        encode_fields(case.filled[None], coding_for(case.spec, case.raw_bytes // 256))  # loads
        for ratio in RATIOS:
            line, costs, times = f"{case.label} at {ratio}x:", [], []
            for effort in (0, 1):
                coding = coding_for(case.spec, case.raw_bytes // ratio, effort=effort)
                start = time.process_time()
                made = encode_fields(case.filled[None], coding)
                times.append(time.process_time() - start)
                size, error = len(made.payloads[0]), squared(made.decoded, case)
                costs.append(size * (error - squared(made.floor, case)))
                line += f" {size:,} bytes, RMSE {np.sqrt(error):.4g};"
            saved, slower = 1 - costs[1] / costs[0], times[1] / times[0]
            print(f"{line} {saved:.1%} saved in {slower:.1f} times the time", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
