"""hpcodec and what it must beat, at every ratio, on the fields of some files.

    python tests/benchmarks/baselines.py FIELD.nc [FIELD.nc ...]

Trivial baselines: block means on a coarser grid (quantised, zstd, cubic interpolation back) and
truncated spherical harmonics (float16); JPEG2000 (16 bits) where imagecodecs is installed. Each
gets the bytes of our payload, and prints its cos-latitude RMSE on the source grid; their headers
are not even counted. Then the trivial ones get the bytes of our whole store.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import ducc0
import numpy as np
import numpy.typing as npt
from numcodecs.zstd import Zstd
from scipy.ndimage import map_coordinates

from hpcodec.compression import RATIOS, Options, compress
from hpcodec.stages.dataset import find_fields, open_source, read_steps

Doubles = npt.NDArray[np.float64]


def block_means(field: Doubles, budget: int) -> Doubles:
    """Decoded field of the finest block means that fit in ``budget`` bytes."""
    best: tuple[float, Doubles] | None = None
    for factor in np.geomspace(1.5, 64, 20):
        rows, columns = round(field.shape[0] / factor), round(field.shape[1] / factor)
        coarse = _shrink(field, rows, columns)
        for step in np.ptp(field) * np.geomspace(2e-4, 2e-2, 6):
            symbols = np.rint(coarse / step).astype(np.int32)
            delta = np.diff(symbols, axis=1, prepend=0)
            planes = delta.astype("<i2").view(np.uint8).reshape(-1, 2).T
            if len(Zstd(9).encode(np.ascontiguousarray(planes))) > budget:
                continue
            decoded = _grow(symbols * step, field.shape)
            error = rmse(decoded, field)
            if best is None or error < best[0]:
                best = error, decoded
    assert best is not None, f"no block means fit in {budget} bytes"
    return best[1]


def _shrink(field: Doubles, rows: int, columns: int) -> Doubles:
    """Area means over even blocks, by interpolating the cumulative sums."""
    for axis, count in ((0, rows), (1, columns)):
        edges = np.linspace(0, field.shape[axis], count + 1)
        sums = np.concatenate([np.zeros_like(field.take([0], axis)), np.cumsum(field, axis)], axis)
        low = np.minimum(edges.astype(int), field.shape[axis] - 1)
        shape = [-1 if a == axis else 1 for a in (0, 1)]
        part = (edges - low).reshape(shape)
        at = sums.take(low, axis) * (1 - part) + sums.take(low + 1, axis) * part
        field = np.diff(at, axis=axis) / np.diff(edges).reshape(shape)
    return field


def _grow(coarse: Doubles, shape: tuple[int, int]) -> Doubles:
    rows, columns = coarse.shape
    edge = min(8, columns)
    wrapped = np.concatenate([coarse[:, -edge:], coarse, coarse[:, :edge]], 1)
    y = (np.arange(shape[0]) + 0.5) * rows / shape[0] - 0.5
    x = (np.arange(shape[1]) + 0.5) * columns / shape[1] - 0.5 + edge
    grid = np.meshgrid(y, x, indexing="ij")
    return np.asarray(map_coordinates(wrapped, grid, order=3, mode="nearest"))


def harmonics(field: Doubles, budget: int) -> Doubles:
    """Decoded field of as many spherical harmonics in float16 as fit in ``budget`` bytes."""
    degree = min(int((budget / 2) ** 0.5) - 1, field.shape[0] - 2)
    rows, columns = field.shape
    options = {"spin": 0, "lmax": degree, "geometry": "CC", "nthreads": 1}
    largest = rows - 2
    mean = field.mean()
    full = ducc0.sht.analysis_2d(map=(field - mean)[None], **(options | {"lmax": largest}))[0]
    degrees = np.concatenate([np.arange(m, largest + 1) for m in range(largest + 1)])
    orders = np.concatenate([np.full(largest + 1 - m, m) for m in range(largest + 1)])
    kept = full[(degrees <= degree) & (orders <= degree)] / np.ptp(field)
    rounded = kept.real.astype(np.float16) + 1j * kept.imag.astype(np.float16)
    values = ducc0.sht.synthesis_2d(
        alm=rounded[None].astype(np.complex128), ntheta=rows, nphi=columns, **options
    )
    return np.asarray(values[0] * np.ptp(field) + mean)


def rmse(decoded: Doubles, field: Doubles) -> float:
    """Cos-latitude RMSE on a grid with poles."""
    weights = np.cos(np.deg2rad(np.linspace(90, -90, field.shape[0])))[:, None].clip(0)
    return float(np.sqrt(np.average((decoded - field) ** 2, weights=weights + 0 * field)))


def jpeg2000(field: Doubles, budget: int) -> Doubles | None:
    """Decoded field of the best JPEG2000 that fits in ``budget`` bytes, if imagecodecs is there."""
    try:
        imagecodecs: Any = import_module("imagecodecs")
    except ImportError:
        return None
    low, high = float(field.min()), float(np.ptp(field))
    image = np.rint((field - low) * (65535 / high)).astype(np.uint16)
    worse, better, best = 5.0, 90.0, b""
    for _ in range(12):
        level = (worse + better) / 2
        code = imagecodecs.jpeg2k_encode(
            image, level=level, reversible=False, codecformat="j2k", verbose=0
        )
        if len(code) <= budget:
            worse, best = level, code
        else:
            better = level
    if not best:
        return None
    decoded = imagecodecs.jpeg2k_decode(best).astype(np.float64)
    return np.asarray(decoded.reshape(field.shape) * (high / 65535) + low)


def rows(path: str) -> Iterator[str]:
    """Lines of the table for every variable of a file."""
    source = open_source(path)
    for spec in find_fields(source):
        field = read_steps(source, spec, 0, 1)[0].astype(np.float64)
        for ratio in RATIOS:
            with tempfile.TemporaryDirectory() as folder:
                target = f"{folder}/store.zarr"
                (report,), size = compress(
                    path, target, Options(ratio=ratio), variables=[spec.name]
                )
            payload = report.payload_bytes
            errors = [
                rmse(decoded, field) if decoded is not None else float("nan")
                for decoded in (
                    block_means(field, payload),
                    harmonics(field, payload),
                    jpeg2000(field, payload),
                    block_means(field, size),
                    harmonics(field, size),
                )
            ]
            yield "\t".join(
                [
                    f"{spec.name} ({spec.units})",
                    f"{ratio}",
                    f"{report.source_bytes / size:.1f}",
                    f"{size:,}",
                    f"{payload:,}",
                    f"{report.rmse:.4g}",
                    f"{report.max_error:.4g}",
                    *(f"{error:.4g}" for error in errors),
                ]
            )


COLUMNS = (
    *("variable", "asked", "ratio", "store bytes", "payload bytes", "RMSE", "max error"),
    *("block means", "harmonics", "JPEG2000"),
    *("block means, store bytes", "harmonics, store bytes"),
)


def main() -> None:
    """Print the table."""
    print("\t".join(COLUMNS))  # noqa: T201
    for path in sys.argv[1:]:
        for row in rows(path):
            print(row, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
