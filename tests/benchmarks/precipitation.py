"""What raising precipitation to a power does to it, at the same bytes.

    python tests/benchmarks/precipitation.py FILE.nc [FILE.nc ...]

Codes the first field of each file's first variable (in m, or kg m-2 or mm) at two ratios of payload
bytes and some exponents, and with JPEG2000 and SZ3, where they are installed, at the parameter next
to these bytes; the peers' fields are limited to the range of the truth as ours are. Prints, in mm,
RMSE and the error that a thousandth of the points exceed; the bias of the mean; and for each of
three depths the bias of the area that has as much, with its critical success index (the area where
truth and decoded field both have, over that where either has).
"""

from __future__ import annotations

import sys

import numpy as np

from hpcodec.bench.case import Case, Floats, read_cases
from hpcodec.bench.peers import jpeg2000, sz3
from hpcodec.coding import coding_for
from hpcodec.errors import HpcodecError
from hpcodec.pipeline import encode_fields

RATIOS = (64, 256)
EXPONENTS = (1.0, 0.85, 0.75, 0.5)
DEPTHS = (0.1, 1.0, 10.0)


def told(case: Case, name: str, size: int, decoded: Floats) -> str:
    """A line of figures."""
    unit = 1000 if case.spec.units == "m" else 1
    truth, field = (unit * one.astype(np.float64) for one in (case.truth, decoded))
    area = np.broadcast_to(case.spec.grid.area_weights, truth.shape) / truth.size
    error = field - truth
    bias = (area * error).sum() / (area * truth).sum()
    line = (
        f"{name:14s} {size:7,d} bytes  RMSE {np.sqrt((area * error**2).sum()):.4f}  99.9 % "
        f"{np.quantile(np.abs(error), 0.999):.3f}  mean {bias:+.2%}"
    )
    for depth in DEPTHS:
        wet, found = truth >= depth, field >= depth
        bias = (area * found).sum() / max((area * wet).sum(), 1e-12) - 1
        both, either = (area * (wet & found)).sum(), (area * (wet | found)).sum()
        line += f"  | {depth:g} mm {bias:+.1%}, {both / max(either, 1e-12):.3f}"
    return line


def main() -> None:
    """Print a table for every file and ratio."""
    for path in sys.argv[1:]:
        case = next(iter(read_cases([path])))
        low, high = case.truth.min(), case.truth.max()
        for ratio in RATIOS:
            size = case.raw_bytes // ratio
            print(f"{case.label} at {ratio}x")  # noqa: T201
            for exponent in EXPONENTS:
                coding = coding_for(case.spec, size, exponent=exponent)
                made = encode_fields(case.filled[None], coding)
                print(told(case, f"power {exponent:g}", len(made.payloads[0]), made.decoded[0]))  # noqa: T201
            for name, build in (("JPEG2000", jpeg2000), ("SZ3", sz3)):
                try:
                    codec = build(case)
                    codes = [codec.encode(case.filled, parameter) for parameter in codec.sweep]
                except (ImportError, HpcodecError):
                    continue
                code = min(codes, key=lambda one: abs(np.log(len(one) / size)))
                print(told(case, name, len(code), codec.decode(code).clip(low, high)))  # noqa: T201


if __name__ == "__main__":
    main()
