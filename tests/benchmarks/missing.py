"""Missing values: bytes of masks by several coders, and of fields by what is shown under a mask.

    python tests/benchmarks/missing.py FILE.nc=RMSE,RMSE [FILE.nc ...]

For the first field of each file: the bytes of its mask by our coder and by general ones, and, for
each RMSE (over valid points, the variable's unit), the bytes of its payload without the mask, with
the gap filled in several ways.
"""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numcodecs import PCodec, Zstd
from scipy.ndimage import gaussian_filter

from hpcodec.coding import coding_for
from hpcodec.errors import UsageError
from hpcodec.fields import Coding
from hpcodec.fitting import fit
from hpcodec.judge import Judge
from hpcodec.masks import Mask, encode_mask
from hpcodec.missing import fill_nearest, fill_smoothly
from hpcodec.models import load_model
from hpcodec.stages.dataset import find_fields, open_source, read_stored
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import measure_scaling

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "pb": 0}]


def fill_mean(field: Floats) -> Floats:
    """The mean everywhere."""
    return np.where(np.isfinite(field), field, np.nanmean(field))


def fill_blurred(field: Floats) -> Floats:
    """The nearest, blurred again and again."""
    missing, filled = ~np.isfinite(field), fill_nearest(field)
    for width in (32, 16, 8, 4, 2):
        smooth = gaussian_filter(filled, width, mode=("nearest", "wrap"))
        filled = np.where(missing, smooth, filled)
    return np.asarray(filled, np.float32)


FILLS: dict[str, Callable[[Floats], Floats]] = {
    "mean": fill_mean,
    "nearest": fill_nearest,
    "nearest, blurred": fill_blurred,
    "relaxed (ours)": fill_smoothly,
}


def mask_sizes(missing: Flags) -> dict[str, int]:
    """Bytes by coder."""
    rows, columns = (np.packbits(missing, axis=axis).tobytes() for axis in (1, 0))
    ends = np.flatnonzero(np.diff(missing.ravel(), prepend=False, append=True))
    runs = np.diff(ends, prepend=0).astype("u4")

    def xz(raw: bytes) -> int:
        return len(lzma.compress(raw, lzma.FORMAT_RAW, filters=_LZMA))

    return {
        "zlib of bits": len(zlib.compress(rows, 9)),
        "bzip2 of bits": len(bz2.compress(rows)),
        "zstd of bits": len(Zstd(22).encode(rows)),
        "lzma of bits": xz(rows),
        "lzma of bits down columns": xz(columns),
        "pcodec of run lengths": len(PCodec(level=12).encode(runs)),
        "ours": len(encode_mask(Mask(missing.astype(np.uint8), (bytes(4),)))),
    }


def payload(field: Floats, filled: Floats, coding: Coding) -> int:
    """Bytes of a payload with the coding's RMSE over valid points."""
    remap = remap_for(coding.grid, coding.level, coding.remap)
    (cells,) = remap.to_healpix(filled[None])

    judge = Judge(field[None], remap.to_grid, coding.grid.area_weights)
    model = load_model(coding.model, coding.weights)
    return len(fit(cells, measure_scaling(cells), coding, model, "auto", judge=judge).payload)


def main() -> None:
    """Print a table for each file."""
    for argument in sys.argv[1:]:
        path, _, targets = argument.partition("=")
        source = open_source(path)
        spec = find_fields(source)[0]
        field = spec.packing.finite(read_stored(source, spec, 0, 1)[0])
        missing = np.isnan(field)
        print(f"{spec.name}: {missing.mean():.1%} of {missing.size:,} points missing")  # noqa: T201
        for name, size in mask_sizes(missing).items():
            print(f"    mask, {name}: {size:,} bytes")  # noqa: T201
        for target in map(float, filter(None, targets.split(","))):
            coding = coding_for(spec, 4 * field.size, rmse=target)
            for name, fill in FILLS.items():
                try:
                    told = f"{payload(field, fill(field), coding):,} bytes"
                except UsageError as error:
                    told = str(error).partition(";")[0]
                print(f"    RMSE {target:g} {spec.units}, {name}: {told}")  # noqa: T201


if __name__ == "__main__":
    main()
