"""How a model does on fields it was trained on, on validation fields, and on fields never used.

    python tests/benchmarks/generalisation.py MODEL DATA [PATTERN]
    python tests/benchmarks/generalisation.py restorer DATA [PATTERN]
    python tests/benchmarks/generalisation.py bands DATA [PATTERN]

DATA has the folders train, val and test; PATTERN (``t2m*.nc``, all by default) chooses files of
each; of train at most 24 of 0.25 degrees or finer are drawn. For every group prints the number of
fields and the mean over them of log2(bytes) + 2 log2(RMSE) at a few steps, bytes of real payloads,
RMSE on HEALPix cells over the scale of the field: 0.1 less is 7 % fewer bytes at equal error.
Of the restorer and of the network of bands, the parts of the RMSE of a detail that they leave, at a
few ratios.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from hpcodec.band_networks import _files
from hpcodec.bench.case import read_cases
from hpcodec.coding import coding_for
from hpcodec.errors import HpcodecError
from hpcodec.fields import Scaling
from hpcodec.models import Model, load_model
from hpcodec.pipeline import encode_fields
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import measure_scaling, normalise
from hpcodec.stages.wire import pack
from hpcodec.step_search import Hint

STEPS = (0.25, 0.7, 2.0)
RATIOS = (32, 64, 128)
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


def left(path: Path, name: str) -> list[float] | None:
    """Part of a detail's error that a network leaves at every ratio; None for no detail."""
    try:
        case = next(iter(read_cases([str(path)])))
    except (HpcodecError, StopIteration):
        return None
    spec, field = case.spec, case.filled
    if spec.grid.natural_level + 1 < LEVEL or not np.isfinite(case.truth).all():
        return None
    found = []
    for ratio in RATIOS:
        coding = coding_for(spec, case.raw_bytes // ratio)
        model = load_model(coding.model, coding.weights)
        plain = replace(model, card=replace(model.card, restorer=""))
        errors = []
        for used in (True, False):
            unless = (
                patch("hpcodec.pipeline.load_model", return_value=model if used else plain)
                if name == "restorer"
                else patch("hpcodec.band_networks._files", _files if used else lambda: iter(()))
            )
            with unless:
                decoded = encode_fields(field[None], coding, "cpu", Hint(detailed=True)).decoded
            square = np.square(decoded[0].astype(np.float64) - field)
            errors.append(np.sqrt((spec.grid.area_weights * square).mean()))
        found.append(float(errors[0] / errors[1]))
    return found


def main() -> None:
    """Print a line for every group."""
    name, data = sys.argv[1], Path(sys.argv[2])
    pattern = sys.argv[3] if len(sys.argv) > 3 else "*.nc"
    measure: Callable[[Path], list[float] | None] = partial(left, name=name)
    what, points = "at {:g}x", tuple(map(float, RATIOS))
    if name not in ("restorer", "bands"):
        measure, what, points = partial(figures, load_model(name)), "at step {:g}", STEPS
    for group in ("train", "val", "test"):
        paths = sorted((data / group).glob(pattern))
        order = np.random.default_rng(0).permutation(len(paths))
        measured: list[list[float]] = []
        for number in order.tolist():
            found = measure(paths[number])
            measured += [found] if found else []
            if len(measured) == MOST:
                break
        pairs = zip(np.mean(measured, axis=0), points, strict=True)
        told = ", ".join(f"{mean:.3f} {what.format(point)}" for mean, point in pairs)
        print(f"{name} {group}: {len(measured)} fields, {told}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
