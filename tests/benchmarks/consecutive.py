"""Consecutive times: every field on its own against each coded from the one before.

    python tests/benchmarks/consecutive.py SERIES.nc [SERIES.nc ...]

Takes the first eight times of each file's first variable (first member, where there are several),
brings them to HEALPix cells (unstructured points by the inverse distance of the nearest four), and
codes them to the same RMSE on these cells, a key field each time and one in eight. Prints the bytes
of a field, as a mean over all eight, at two errors.
"""

from __future__ import annotations

import sys

import healpy
import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.spatial import cKDTree

from hpcodec.fields import Coding
from hpcodec.grid import LatLonGrid, cell_count
from hpcodec.models import load_model
from hpcodec.pipeline import encode_cells
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import measure_scaling

TIMES = 8
ERRORS = (0.1, 0.25)  # over the scale of the first field
NAMES = ("latitude", "lat", "longitude", "lon")


def points(latitude: npt.ArrayLike, longitude: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Unit vectors ``(n, 3)``."""
    return np.asarray(healpy.ang2vec(longitude, latitude, lonlat=True))


def series(path: str) -> tuple[str, str, int, npt.NDArray[np.float32]]:
    """Name, CF standard name, level and cells ``(times, cells)`` of a file."""
    source = xr.open_dataset(path)
    name = next(n for n, v in source.data_vars.items() if n not in NAMES and v.ndim > 1)
    field = source[name].isel(number=0) if "number" in source[name].dims else source[name]
    field = field.squeeze()[:TIMES]
    latitude, longitude = (source[n] for n in NAMES if n in source.variables)
    standard = str(field.attrs.get("standard_name", ""))
    if field.ndim == 3:
        grid = LatLonGrid.from_coordinates(latitude.values, longitude.values)
        values = np.asarray(field.values, np.float32)
        return (
            str(name),
            standard,
            grid.natural_level + 1,
            remap_for(grid, grid.natural_level + 1).to_healpix(values),
        )
    level = 8
    polar, azimuth = healpy.pix2ang(2**level, np.arange(cell_count(level)), nest=True)
    tree = cKDTree(points(latitude.values, longitude.values))
    distance, index = tree.query(points(90 - np.rad2deg(polar), np.rad2deg(azimuth)), k=4)
    weight = 1 / np.maximum(distance, 1e-9)
    weight /= weight.sum(1, keepdims=True)
    cells = np.stack([(one[index] * weight).sum(1) for one in field.values])
    return str(name), standard, level, cells.astype(np.float32)


def main() -> None:
    """Print two lines for every file."""
    for path in sys.argv[1:]:
        name, standard, level, cells = series(path)
        model = load_model("t2m-l8" if name == "t2m" else "any-l8")
        scale = measure_scaling(cells[0]).scale
        for part in ERRORS:
            sizes = []
            for key_every in (1, TIMES):
                coding = Coding(
                    model=model.card.name,
                    weights=model.card.weights,
                    grid=LatLonGrid.regular((90.0, -0.25, 721), (0.0, 0.25, 1440)),
                    level=level,
                    size=4 * cells.shape[1],
                    bottleneck=level,
                    variable=standard if model.card.variable_index(standard) else "",
                    rmse=part * scale,
                    key_every=key_every,
                )
                payloads = encode_cells(cells, coding).payloads
                sizes.append(float(np.mean([len(payload) for payload in payloads])))
            alone, followed = sizes
            print(  # noqa: T201
                f"{name} (level {level}) RMSE {part * scale:.3g}: {alone:,.0f} bytes a field on "
                f"its own, {followed:,.0f} with a key field every {TIMES}: "
                f"{1 - followed / alone:.0%} fewer"
            )


if __name__ == "__main__":
    main()
