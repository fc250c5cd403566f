"""How far apart decodings of one payload lie: threads, batches, float64, bfloat16.

    python tests/benchmarks/decode_spread.py FILE.nc [FILE.nc ...]

Codes the first field of each file, decodes its cells in several ways, and prints the largest
difference from decoding alone on one thread: in units of the field's scale, and of the spacing of
float32 at its largest value. ``hpcodec.correction.reserve`` keeps at least ten times what all of
them show but bfloat16, which stores with a bound do not allow.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from hpcodec.bench.case import Case, read_cases
from hpcodec.coding import coding_for
from hpcodec.models import load_model
from hpcodec.pipeline import encode_fields
from hpcodec.stages.transform import Coder
from hpcodec.stages.wire import unpack

RATIOS = (16, 256)

Cells = npt.NDArray[np.float32]
Decode = Callable[..., Cells]


def decoder_of(case: Case, ratio: float) -> tuple[Coder, float, Decode]:
    """Coder and scale of a case's payload, and what decodes it."""
    coding = coding_for(case.spec, int(case.raw_bytes / ratio))
    (payload,) = encode_fields(case.filled[None], coding, "cpu").payloads
    model = load_model(coding.model, coding.weights)
    field = unpack(payload, model.entropy)

    def decoded(by: Coder, count: int = 1, threads: int = 1) -> Cells:
        torch.set_num_threads(threads)
        cells = by.decode(
            [field] * count,
            coding.level,
            bottleneck=coding.bottleneck,
            variable=model.card.variable_index(coding.variable),
        )
        torch.set_num_threads(1)
        return np.asarray(cells[0])

    return model.coder("cpu"), field.scale, decoded


def in_float64(coder: Coder, decoded: Decode) -> Cells:
    """By the same network in float64."""
    statics = {level: field.double() for level, field in coder.statics.items()}
    torch.set_default_dtype(torch.float64)
    try:
        return decoded(Coder(copy.deepcopy(coder.network).double(), statics))
    finally:
        torch.set_default_dtype(torch.float32)


def in_bfloat16(coder: Coder, decoded: Decode) -> Cells:
    """With automatic casts, as some run networks to save time."""
    with torch.autocast("cpu", torch.bfloat16):
        return decoded(coder)


def main() -> None:
    """Print a line for every field, ratio and way."""
    ways: dict[str, Callable[[Coder, Decode], Cells]] = {
        "two threads": lambda coder, decoded: decoded(coder, threads=2),
        "batch of 3": lambda coder, decoded: decoded(coder, 3),
        "float64": in_float64,
        "bfloat16": in_bfloat16,
    }
    torch.set_num_threads(1)
    for case in (case for path in sys.argv[1:] for case in read_cases([path])):
        for ratio in RATIOS:
            coder, scale, decoded = decoder_of(case, ratio)
            alone = decoded(coder)
            spacing = float(np.spacing(np.abs(case.filled).max())) / scale
            for name, way in ways.items():
                apart = float(np.abs(way(coder, decoded).astype(np.float64) - alone).max())
                print(  # noqa: T201
                    f"{case.label} {ratio}x {name}: {apart:.2g} of the scale, "
                    f"{apart / spacing:.2g} spacings",
                    flush=True,
                )


if __name__ == "__main__":
    main()
