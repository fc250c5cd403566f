"""Whether metadata keep CF-1.13 and the zarr convention ``dggs``: warnings, for they came so.

raw dataset --conformance--> findings
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from hpcodec.conventions import AXIS_UNITS, DGGS_CONVENTION, REFERENCES
from hpcodec.errors import HpcodecError
from hpcodec.findings import Finding
from hpcodec.grid import cell_count, level_of

__all__ = ["conformance"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_STANDARD_NAME = re.compile(r"[a-z][a-z0-9_]*( [a-z_]+)?")  # and perhaps a modifier
_SCHEMES = ("nested", "ring", "nuniq", "zuniq")
_LEVELS = range(30)


def conformance(dataset: xr.Dataset, fields: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Findings about metadata, all of them warnings.

    Parameters
    ----------
    dataset : xr.Dataset
        Raw (undecoded); of a store, all but its compressed variables.
    fields : mapping
        Attributes of the compressed variables by name; empty for other datasets.
    """
    attributes = {str(n): dict(v.attrs) for n, v in dataset.variables.items()} | {
        name: dict(own) for name, own in fields.items()
    }
    checks = [*_of_dataset(dataset)]
    elsewhere = str(dataset.attrs.get("external_variables", "")).split()
    known = {name: {"grid_mapping_name": ""} for name in elsewhere} | attributes
    for name, own in attributes.items():
        checks += [(name, what) for what in _of_variable(name, own, known)]
    for name in fields:
        if "units" not in attributes[name]:
            checks.append((name, "expected the attribute 'units'; got none (CF 3.1)."))
    for name in map(str, dataset.dims):
        if name in dataset.variables:
            checks += [(name, what) for what in _of_coordinate(dataset.variables[name])]
    checks += [("the group", what) for what in _of_healpix(dataset)]
    return [Finding("conventions", where, what, "warning") for where, what in checks]


def _of_dataset(dataset: xr.Dataset) -> Iterator[tuple[str, str]]:
    conventions = str(dataset.attrs.get("Conventions", ""))
    if not re.search(r"CF-\d+\.\d+", conventions):
        got = repr(conventions[:40]) if conventions else "none"
        yield "the group", f"expected 'Conventions' to name CF-1.13 or older; got {got} (CF 2.6.1)."


def _of_variable(
    name: str, own: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield "expected a name of letters, digits and underscores (CF 2.3)."
    standard_name = own.get("standard_name", "none")
    if not isinstance(standard_name, str) or not _STANDARD_NAME.fullmatch(standard_name):
        yield f"expected a standard name; got {str(standard_name)[:40]!r} (CF 3.3)."
    units, kind = own.get("units", ""), str(standard_name)
    if not isinstance(units, str):
        yield f"expected text as 'units'; got {str(units)[:40]!r} (CF 3.1)."
    elif units.lower() not in AXIS_UNITS.get(kind, {units.lower()}):
        yield f"expected units of a {kind}; got {units[:40]!r} (CF 4.1, 4.2)."
    for attribute in (*REFERENCES, "ancillary_variables"):
        # "area: cell_area" and "crs: lat lon" name variables behind, or before, a colon.
        words = str(own.get(attribute, "")).split()
        for word in words[1::2] if attribute == "cell_measures" else words:
            if word.rstrip(":") not in others:
                yield f"'{attribute}' names '{word.rstrip(':')[:60]}', which is not there."
    for word in str(own.get("grid_mapping", "")).split():
        if "grid_mapping_name" not in others.get(word, {"grid_mapping_name": ""}):
            yield f"grid mapping '{word[:60]}' has no 'grid_mapping_name' (CF 5.6)."


def _of_coordinate(variable: xr.Variable) -> Iterator[str]:
    if variable.dtype.kind not in "fiu" or variable.ndim != 1:
        return
    values = variable.to_numpy()
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        yield "a coordinate has missing values (CF 2.5.1)."
        return
    rising = values[1:] > values[:-1]  # a difference of unsigned numbers has no sign
    falling = values[1:] < values[:-1]
    if not (rising.all() or falling.all()):
        yield "a coordinate does not rise or fall throughout (CF 1.3)."
    if " since " in str(variable.attrs.get("units", "")):
        try:
            xr.conventions.decode_cf_variable("time", variable).to_numpy()
        except Exception as error:  # whatever a calendar library thinks of crafted units
            yield f"its times cannot be decoded ({type(error).__name__}) (CF 4.4)."


def _of_healpix(dataset: xr.Dataset) -> Iterator[str]:
    mappings = [
        variable
        for variable in dataset.variables.values()
        if variable.attrs.get("grid_mapping_name") == "healpix"
    ]
    for variable in mappings:
        scheme, level = (variable.attrs.get(k) for k in ("indexing_scheme", "refinement_level"))
        if scheme not in _SCHEMES:
            yield f"expected an 'indexing_scheme' of {', '.join(_SCHEMES)}; got {scheme!r}."
        has_level = isinstance(level, int | np.integer) and int(level) in _LEVELS
        if has_level == (scheme in ("nuniq", "zuniq")):
            yield f"'refinement_level' {level!r} does not go with '{scheme}' (CF appendix F)."
    dggs = dataset.attrs.get("dggs")
    if dggs is None:
        return
    if not isinstance(dggs, dict):
        yield f"expected an object as 'dggs'; got {str(dggs)[:40]!r}."
        return
    announced = dataset.attrs.get("zarr_conventions")
    if not isinstance(announced, list) or DGGS_CONVENTION not in announced:
        yield "'zarr_conventions' does not announce the convention dggs, version 1."
    for key in ("name", "refinement_level", "indexing_scheme", "spatial_dimension"):
        if key not in dggs:
            yield f"expected '{key}' in 'dggs'; it is not there."
    if str(dggs.get("coordinate", "")) not in dataset.variables:
        yield "'coordinate' of 'dggs' is not there."
    dimension = dggs.get("spatial_dimension")
    if dimension in dataset.sizes:
        yield from _of_cells(dataset.sizes[dimension], dggs.get("refinement_level"), mappings)
    else:
        yield "'spatial_dimension' of 'dggs' is not there."


def _of_cells(cells: int, level: Any, mappings: list[xr.Variable]) -> Iterator[str]:  # noqa: ANN401
    try:
        known = level_of(cells)
    except HpcodecError:
        yield f"expected 12 * 4**level cells; got {cells}."
        return
    if level != known:
        yield f"expected {cell_count(known)} cells to be 'refinement_level' {known}; got {level!r}."
    for mapping in mappings:
        if mapping.attrs.get("refinement_level") != level:
            yield "'refinement_level' of the grid mapping is not that of 'dggs'."
