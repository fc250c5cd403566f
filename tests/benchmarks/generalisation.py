"""How a model does on fields it was trained on, on validation fields, and on fields never used.

    python tests/benchmarks/generalisation.py MODEL DATA [PATTERN]

DATA has the folders train, val and test; PATTERN (``t2m*.nc``, all by default) chooses files of
each; of train at most 24 of 0.25 degrees or finer are drawn. For every group prints the number of
fields and the mean over them of log2(bytes) + 2 log2(RMSE) at a few steps, bytes of real payloads,
RMSE on HEALPix cells over the scale of the field: 0.1 less is 7 % fewer bytes at equal error.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from hpcodec.errors import HpcodecError
from hpcodec.fields import Scaling
from hpcodec.models import Model, load_model
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import measure_scaling, normalise
from hpcodec.stages.wire import pack

STEPS = (0.25, 0.7, 2.0)
LEVEL, MOST = 9, 24


def figures(model: Model, path: Path) -> list[float] | None:
    """Figure of the file's first field at every step; None where it is coarse or has gaps."""
    try:
        source = open_source(str(path))
        spec = find_fields(source)[0]
        values = read_steps(source, spec, 0, 1)
    except HpcodecError:
        return None
    if spec.grid.natural_level + 1 < LEVEL or not np.isfinite(values).all():
        return None
    cells = remap_for(spec.grid, LEVEL).to_healpix(values)
    normal = normalise(cells, [measure_scaling(cells[0])])
    coder, variable = model.coder(), model.card.variable_index(spec.standard_name)
    found = []
    for step in STEPS:
        (field,), decoded = coder.encode(
            normal, scaling=[Scaling(0, 1)], bottleneck=LEVEL, steps=[step], variable=variable
        )
        rmse = np.sqrt(np.mean(np.square(decoded - normal), dtype=np.float64))
        found.append(float(np.log2(len(pack(field, model.entropy))) + 2 * np.log2(rmse)))
    return found


def main() -> None:
    """Print a line for every group."""
    model, data = load_model(sys.argv[1]), Path(sys.argv[2])
    pattern = sys.argv[3] if len(sys.argv) > 3 else "*.nc"
    for group in ("train", "val", "test"):
        paths = sorted((data / group).glob(pattern))
        order = np.random.default_rng(0).permutation(len(paths))
        measured: list[list[float]] = []
        for number in order.tolist():
            found = figures(model, paths[number])
            measured += [found] if found else []
            if len(measured) == MOST:
                break
        means = np.mean(measured, axis=0)
        told = ", ".join(f"{m:.3f} at step {s:g}" for m, s in zip(means, STEPS, strict=True))
        print(f"{model.card.name} {group}: {len(measured)} fields, {told}")  # noqa: T201


if __name__ == "__main__":
    main()
