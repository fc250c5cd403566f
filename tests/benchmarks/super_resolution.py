"""Level-6 input decoded at level 8, against bilinear interpolation of the same input.

    python tests/benchmarks/super_resolution.py FIELD.nc [FIELD.nc ...]

The network never sees anything finer than level 6 (0.9 degrees): what it adds at levels 7 and 8
is its prediction. Errors are against the field itself on the cells of level 8.
"""

from __future__ import annotations

import sys

import healpy
import numpy as np

from hpcodec.decoding import decode_cells
from hpcodec.fields import Coding
from hpcodec.grid import cell_count
from hpcodec.models import choose_model, load_model
from hpcodec.pipeline import encode_cells
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from hpcodec.stages.healpix import remap_for

INPUT, OUTPUT = 6, 8


def main() -> None:
    """Print a line for every field."""
    for path in sys.argv[1:]:
        source = open_source(path)
        (spec,) = find_fields(source)
        truth = remap_for(spec.grid, OUTPUT).to_healpix(read_steps(source, spec, 0, 1))[0]
        means = truth.reshape(cell_count(INPUT), -1).mean(1, dtype=np.float64)
        model = load_model(choose_model(spec))
        coding = Coding(
            model=model.card.name,
            weights=model.card.weights,
            grid=spec.grid,
            level=INPUT,
            size=10**6,
            bottleneck=INPUT,
            variable=spec.standard_name if model.card.variable_index(spec.standard_name) else "",
        )
        encoded = encode_cells(means[None].astype(np.float32), coding)
        decoded = decode_cells(encoded.payloads, coding, OUTPUT)[0]
        polar, azimuth = healpy.pix2ang(2**OUTPUT, np.arange(cell_count(OUTPUT)), nest=True)
        smooth = healpy.get_interp_val(means, polar, azimuth, nest=True)
        ours, bilinear = (float(np.sqrt(np.mean((x - truth) ** 2))) for x in (decoded, smooth))
        print(  # noqa: T201
            f"{spec.name}: level {INPUT} decoded at level {OUTPUT} RMSE {ours:.4g}, "
            f"bilinear {bilinear:.4g} {spec.units} ({model.card.name})"
        )


if __name__ == "__main__":
    main()
