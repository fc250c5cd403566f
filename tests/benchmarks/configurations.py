"""Golden stores on this machine: are whole numbers the same, and how far are decoded values off?

    python -m tests.benchmarks.configurations

To be run with every Python, torch, processor and number of threads at hand. What the processor has
may be hidden from libraries: ``ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41
MKL_ENABLE_INSTRUCTIONS=SSE4_2``. The format promises 10^-4 of the range of a field.
"""

from __future__ import annotations

import json
import os
import platform
import sys

import numpy as np
import torch
import zarr

from tests.golden.make import CASES, FOLDER, chunks, decoded, golden_models, symbols

_PROMISED = 1e-4
_HIDDEN = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")


def main() -> None:
    """Print a line; exit with 1 if any store is not what it was."""
    same, worst = 0, 0.0
    with golden_models():
        for case in CASES:
            expected = json.loads((FOLDER / case / "symbols.json").read_text("utf-8"))
            read = list(chunks(FOLDER / case))
            same += expected == {name: symbols(codes, coding) for name, coding, codes in read}
            with np.load(FOLDER / case / "decoded.npz") as known:
                for name, coding, codes in read:
                    step = dict(coding.packing.attributes).get("scale_factor", 0.0)
                    for key, values in decoded(codes, coding, name).items():
                        off = np.abs(values - known[key])[np.isfinite(known[key])] - step
                        worst = max(
                            worst, float(off.max() / (np.nanmax(values) - np.nanmin(values)))
                        )
    told = [f"{key}={os.environ[key]}" for key in _HIDDEN if key in os.environ]
    versions = (
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    )
    print(  # noqa: T201
        f"{versions}, zarr {zarr.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} threads {' '.join(told)}: whole numbers the same in {same} of "
        f"{len(CASES)}; values off by at most {worst:.1g} of their range"
    )
    sys.exit(same < len(CASES) or worst > _PROMISED)


if __name__ == "__main__":
    main()
