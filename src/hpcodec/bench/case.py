"""The fields that a bench measures on.

files --read_cases--> Case, ...      the first field of every variable
Case, values --one_field--> dataset  a file's worth of that field alone
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.bench.harmonics import Doubles, power
from hpcodec.errors import GridError
from hpcodec.fields import FieldSpec
from hpcodec.grid import LatLonGrid
from hpcodec.missing import fill_smoothly
from hpcodec.stages.dataset import find_fields, open_source, read_steps

__all__ = ["Case", "Floats", "one_field", "read_cases"]

Floats = npt.NDArray[np.float32]

_HECTOPASCALS = {"Pa": 0.01, "hPa": 1.0, "mbar": 1.0, "millibars": 1.0}

_PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "valid_range")


@dataclass(frozen=True, eq=False)
class Case:
    """One field of one file.

    Parameters
    ----------
    path : str
        Of the file.
    spec : FieldSpec
        The variable.
    truth : ndarray of float32
        ``(rows, columns)``, the variable's unit, NaN where missing.
    pressure : float, optional
        Level in hPa; None for a field that is on none.
    """

    path: str
    spec: FieldSpec
    truth: Floats
    pressure: float | None = None

    @property
    def label(self) -> str:
        """Variable, level and file, for titles."""
        level = f" {self.pressure:g} hPa" if self.pressure else ""
        return f"{self.spec.name}{level}, {Path(self.path).name}"

    @property
    def raw_bytes(self) -> int:
        """Of the field as float32: what every ratio is of."""
        return 4 * self.truth.size

    @cached_property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Where the truth is missing or infinite."""
        return ~np.isfinite(self.truth)

    @cached_property
    def filled(self) -> Floats:
        """What every codec is given: the truth, and a smooth surface where it is missing."""
        return np.ascontiguousarray(fill_smoothly(self.truth))

    @property
    def grid(self) -> LatLonGrid:
        """Of the field."""
        assert isinstance(self.spec.grid, LatLonGrid)
        return self.spec.grid

    @cached_property
    def power(self) -> Doubles | None:
        """Of the filled field, for each degree; see :func:`hpcodec.bench.harmonics.power`."""
        return power(self.filled, self.grid)


def read_cases(paths: Sequence[str], variable: str = "") -> Iterator[Case]:
    """First field of every variable of every file, or of the one variable.

    Raises
    ------
    HpcodecError
        As :func:`hpcodec.stages.dataset.find_fields`.
    """
    for path in paths:
        dataset = open_source(path)
        try:
            for spec in find_fields(dataset, [variable] if variable else None):
                if not isinstance(spec.grid, LatLonGrid):
                    raise GridError(
                        f"expected a latitude-longitude grid, which all codecs take; '{spec.name}' "
                        "lies on another. Remap it first."
                    )
                truth = read_steps(dataset, spec, 0, 1)[0]
                yield Case(path, spec, truth, _pressure(dataset, spec))
        finally:
            dataset.close()


def one_field(case: Case, values: Floats) -> xr.Dataset:
    """Dataset of nothing but ``values`` in the place of the case's field, and its coordinates."""
    source = open_source(case.path)
    try:
        variable = source.variables[case.spec.name]
        order = [str(dim) for dim in variable.dims]
        alone = source[[case.spec.name]].isel({name: [0] for name, _ in case.spec.leading}).load()
    finally:
        source.close()
    attributes = {key: value for key, value in variable.attrs.items() if key not in _PACKING}
    shape = (1,) * len(case.spec.leading) + values.shape
    dims = *(name for name, _ in case.spec.leading), *case.spec.horizontal
    stacked = xr.Variable(dims, values.reshape(shape), attributes)
    return alone.assign({case.spec.name: stacked.transpose(*order)})


def _pressure(dataset: xr.Dataset, spec: FieldSpec) -> float | None:
    """Level of the first field in hPa, from a coordinate along its leading axes or a scalar."""
    leading = {name for name, _ in spec.leading}
    named = str(dataset.variables[spec.name].attrs.get("coordinates", "")).split()
    for name, variable in dataset.variables.items():
        factor = _HECTOPASCALS.get(str(variable.attrs.get("units", "")))
        told = variable.attrs.get("standard_name") == "air_pressure" or name in leading
        near = set(map(str, variable.dims)) <= leading and (variable.ndim or name in named)
        if factor and told and near and name != spec.name:
            return round(factor * float(variable.to_numpy().ravel()[0]), 6)
    return None
