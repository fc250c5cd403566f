"""Which codec takes the fewest bytes for what decoding leaves beyond a bound.

    python tests/benchmarks/residuals.py FILE.nc [FILE.nc ...]

Codes the first field of each file at a few ratios, and what is left at bounds of 1, 0.3 and 0.1 %
of the field's range: with codecs that bound an error (SPERR, SZ3, ZFP: the residual as it is), and
with lossless ones of the residual in steps of twice the bound (pcodec, zstd, LZMA, JPEG2000,
JPEG-LS, JPEG XL; hpcodec.integers). ``jpeg2000+`` is lossy JPEG2000 with its own residual coded by
hpcodec.integers. Prints bytes, beside those of the compressed field, and
at last what the reserve costs. Needs the packages of
``hpcodec[bench]``, and pcodec.
"""

from __future__ import annotations

import lzma
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.zstd import Zstd

from hpcodec.bench.case import read_cases
from hpcodec.bench.peers import from_jpeg2000, to_jpeg2000
from hpcodec.coding import coding_for
from hpcodec.correction import reserve
from hpcodec.integers import encode_integers
from hpcodec.pipeline import encode_fields
from hpcodec.stages.wire import read_header

# Without types, or with wrong ones.
imagecodecs: Any = import_module("imagecodecs")
pcodec: Any = import_module("pcodec")
Sz3: Any = import_module("numcodecs_wasm_sz3").Sz3

RATIOS = (64, 256, 512)
BOUNDS = (0.01, 0.003, 0.001)
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 0, "pb": 0}]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]


def stepped(residual: npt.NDArray[np.floating], bound: float) -> Integers:
    """Whole numbers of steps of twice the bound, less a thousandth."""
    return np.asarray(np.rint(residual / (1.998 * bound)), np.int32)


def signed(steps: Integers) -> npt.NDArray[np.int8] | npt.NDArray[np.int16]:
    """In as few bytes as they need."""
    return steps.astype(np.int8) if np.abs(steps).max() < 128 else steps.astype(np.int16)


def unsigned(steps: Integers) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """As images are: around the middle."""
    largest = int(np.abs(steps).max())
    image = steps + largest
    return image.astype(np.uint8) if largest < 128 else image.astype(np.uint16)


def folded(steps: Integers) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """0, 1, -1, 2, ... as 0, 1, 2, 3, ..., which JPEG XL codes in fewer bytes."""
    image = np.where(steps > 0, 2 * steps - 1, -2 * steps)
    return image.astype(np.uint8) if image.max() < 256 else image.astype(np.uint16)


def jpeg2000_lossless(steps: Integers) -> bytes:
    """By the reversible wavelet."""
    return bytes(
        imagecodecs.jpeg2k_encode(unsigned(steps), reversible=True, level=0, codecformat="j2k")
    )


def jpeg2000_and_rest(residual: Floats, bound: float) -> int:
    """The best of several qualities."""
    sizes = []
    for level in (26, 32, 38, 44, 50):
        code = to_jpeg2000(residual, level)
        rest = residual.astype(np.float64) - from_jpeg2000(code, residual.shape)
        sizes.append(len(code) + len(encode_integers(stepped(rest, bound))))
    return min(sizes)


def sizes_of(residual: Floats, bound: float) -> dict[str, int]:
    """Bytes by codec."""
    steps = stepped(residual, bound)
    lossless: dict[str, Callable[[], bytes | bytearray]] = {
        "pcodec": lambda: pcodec.standalone.simple_compress(
            signed(steps).astype(np.int16).ravel(), pcodec.ChunkConfig(compression_level=8)
        ),
        "zstd": lambda: Zstd(level=19).encode(signed(steps)),
        "LZMA": lambda: lzma.compress(signed(steps).tobytes(), lzma.FORMAT_RAW, filters=FILTERS),
        "JPEG2000": lambda: jpeg2000_lossless(steps),
        "JPEG-LS": lambda: imagecodecs.jpegls_encode(unsigned(steps)),
        "JPEG XL": lambda: imagecodecs.jpegxl_encode(folded(steps), lossless=True, effort=7),
        "ours": lambda: encode_integers(steps),
    }
    sz3 = Sz3(eb_mode="abs", eb_abs=bound, predictor="interpolation")
    return {
        "SPERR": len(imagecodecs.sperr_encode(residual, level=bound, mode="pwe")),
        "SZ3": len(sz3.encode(residual)),
        "ZFP": len(imagecodecs.zfp_encode(residual, level=bound, mode="a")),
        "jpeg2000+": jpeg2000_and_rest(residual, bound),
        **{name: len(code()) for name, code in lossless.items()},
    }


def main() -> None:
    """Print a table: a line for every field, ratio and bound."""
    headed = False
    for case in (case for path in sys.argv[1:] for case in read_cases([path])):
        for ratio in RATIOS:
            coding = coding_for(case.spec, int(case.raw_bytes / ratio))
            encoded = encode_fields(case.filled[None], coding, "cpu")
            residual = np.asarray(case.filled - encoded.decoded[0], np.float32)
            for part in BOUNDS:
                bound = part * float(np.ptp(case.filled))
                sizes = sizes_of(residual, bound)
                scale = read_header(encoded.payloads[0]).scale
                for kept in (0.0, reserve(case.filled, scale)):
                    steps = np.rint(residual / (2 * (bound - kept))).astype(np.int32)
                    sizes["reserve" if kept else "no reserve"] = len(encode_integers(steps))
                if not headed:
                    print("\t".join(["field", "bound", "field's bytes", *sizes]))  # noqa: T201
                    headed = True
                cells = [case.spec.name, f"{part:.1%}", str(len(encoded.payloads[0]))]
                print("\t".join([*cells, *map(str, sizes.values())]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
