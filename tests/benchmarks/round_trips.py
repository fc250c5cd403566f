"""There and back for files of any grid: errors on the source grid, beside those of the remap alone.

    python -m tests.benchmarks.round_trips [--ratio 64] FILE ...

What comes back has to have the source's variables, types, shapes, coordinates and gaps.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.report import VariableReport
from hpcodec.stages.dataset import find_fields, open_source


def main() -> None:
    """Print a line for each variable."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--ratio", type=float, default=64)
    asked = parser.parse_args()
    for path in asked.files:
        with tempfile.TemporaryDirectory() as folder:
            store, back = str(Path(folder) / "s.zarr"), str(Path(folder) / "back.nc")
            reports, _ = compress(path, store, Options(ratio=asked.ratio))
            decompress(store, back)
            _compare(path, back, reports)
            for one in reports:
                print(_line(path, one), flush=True)  # noqa: T201


def _compare(path: str, back: str, reports: list[VariableReport]) -> None:
    """Refuse what is not as it was."""
    with open_source(path) as source, xr.open_dataset(back, decode_cf=False) as found:
        assert set(source.variables) <= set(found.variables), path
        fields = {spec.name for spec in find_fields(source)}
        assert fields == {one.name for one in reports}, path
        for name, before in source.variables.items():
            after = found.variables[name]
            assert (before.dims, before.shape) == (after.dims, after.shape), (path, name)
            if name not in fields:
                np.testing.assert_array_equal(before.values, after.values, err_msg=f"{path} {name}")
            elif before.dtype.kind == "f":
                missing = ~np.isfinite(before.values)
                np.testing.assert_array_equal(missing, ~np.isfinite(after.values))


def _line(path: str, one: VariableReport) -> str:
    way = "detail" if one.detailed else f"level {one.bottleneck} of {one.level}"
    return (
        f"{Path(path).name} {one.name}, {one.steps} fields, {way}: "
        f"{one.source_bytes / one.payload_bytes:.1f}x, RMSE {one.rmse:.4g} "
        f"(remap alone {one.remap_rmse:.4g}), max {one.max_error:.4g} {one.units}"
    )


if __name__ == "__main__":
    main()
