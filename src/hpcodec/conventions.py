"""The one file that spells CF and DGGS attributes; :mod:`hpcodec.conformance` checks them.

    horizontal_axis, degrees    which coordinate is a latitude or a longitude
    supporting, unsuitable      which variables are not fields, and why
    decoded                     stored numbers -> physical values, missing ones NaN
    healpix_skeleton, healpix_attributes    what a HEALPix result says about itself

References
----------
CF-1.13, sections 2.5, 4.1, 4.2, 8.1 and appendix F; the zarr convention ``dggs``, version 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.errors import GridError, LevelError
from hpcodec.grid import cell_count

__all__ = [
    "decoded",
    "degrees",
    "healpix_attributes",
    "healpix_skeleton",
    "horizontal_axis",
    "plain_attributes",
    "supporting",
    "unsuitable",
]

AXIS_UNITS = {
    "latitude": {"degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"},
    "longitude": {"degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"},
}
_ANGLES = {"", "degree", "degrees", "deg", "radian", "radians", "rad"}
_NAMES = {
    "latitude": {"lat", "latitude", "lats", "latitudes", "nav_lat", "lat_0"},
    "longitude": {"lon", "longitude", "lons", "longitudes", "long", "nav_lon", "lon_0"},
}
_AXES = {"latitude": "y", "longitude": "x"}

# Attributes that hold for the stored numbers only, not for the values they stand for.
_FILLS = ("_FillValue", "missing_value")
_PACKING = (*_FILLS, "scale_factor", "add_offset", "_Unsigned")
_RANGES = ("valid_range", "valid_min", "valid_max", "actual_range")
# What GRIB decoders say about the source's grid: false once the values lie on HEALPix.
_GRIB_GRID = re.compile(
    r"GRIB_(gridType|gridDefinition\w*|numberOfPoints|N[xyvij]?|[ij]\w*(Scan|Direction|Points)\w*"
    r"|(latitude|longitude)Of\w*|uvRelativeToGrid|missingValue|pl)$",
    re.IGNORECASE,
)
REFERENCES = {
    "bounds": "the bounds of {}",
    "climatology": "the climatological bounds of {}",
    "grid_mapping": "the grid mapping of {}",
    "cell_measures": "a cell measure of {}",
    "coordinates": "a coordinate of {}",
}

DGGS_CONVENTION = {
    "schema_url": "https://raw.githubusercontent.com/zarr-conventions/dggs/refs/tags/v1/schema.json",
    "spec_url": "https://github.com/zarr-conventions/dggs/blob/v1/README.md",
    "uuid": "7b255807-140c-42ca-97f6-7a1cfecdbc38",
    "name": "dggs",
    "description": "Discrete Global Grid Systems convention for zarr",
}
_DGGS = {
    "name": "healpix",
    "indexing_scheme": "nested",
    "spatial_dimension": "cell",
    "coordinate": "cell",
    "compression": "none",
}


def horizontal_axis(name: str, attributes: Mapping[str, Any]) -> str:
    """``"latitude"``, ``"longitude"`` or ``""``: what a coordinate variable measures.

    Decided by ``standard_name``, then ``units``, then ``axis``, and by the usual names only
    where the attributes say nothing to the contrary.

    Examples
    --------
    >>> horizontal_axis("j", {"units": "degrees_north"})
    'latitude'
    >>> horizontal_axis("lat", {"standard_name": "grid_latitude"})
    ''
    """
    if standard_name := _text(attributes, "standard_name"):
        return standard_name if standard_name in AXIS_UNITS else ""
    units = _text(attributes, "units")
    for kind, spellings in AXIS_UNITS.items():
        if units in spellings:
            return kind
    if units not in _ANGLES:
        return ""
    axis = _text(attributes, "axis")
    for kind, letter in _AXES.items():
        # Projections have axes X and Y too, but in metres: the units above have ruled them out.
        if axis == letter or (not axis and name.lower() in _NAMES[kind]):
            return kind
    return ""


def degrees(values: npt.ArrayLike, attributes: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Coordinate values in degrees, float64, of any shape; radians are converted."""
    exact = decoded(np.asarray(values), attributes).astype(np.float64)
    return np.rad2deg(exact) if _text(attributes, "units").startswith("rad") else exact


def supporting(dataset: xr.Dataset) -> dict[str, str]:
    """Variables that serve others, each with its role in words: bounds, grid mappings ..."""
    roles = {
        str(name): "the grid mapping of the dataset"
        for name, variable in dataset.variables.items()
        if "grid_mapping_name" in variable.attrs
    }
    for name, variable in dataset.variables.items():
        if kind := horizontal_axis(str(name), variable.attrs):
            roles[str(name)] = f"a {kind}"
        for attribute, role in REFERENCES.items():
            for word in str(variable.attrs.get(attribute, "")).replace(":", " ").split():
                if word in dataset.variables and word != name:
                    roles.setdefault(word, role.format(f"'{name}'"))
    for word in str(dataset.attrs.get("coordinates", "")).split():
        roles.setdefault(word, "a coordinate of the dataset")
    return roles


def unsuitable(dtype: np.dtype[Any], attributes: Mapping[str, Any]) -> str:
    """Why values of this kind are not physical numbers; empty where they are.

    Floats, packed integers and integers with a physical unit are; flags, masks, counts without
    a unit, dates and text are not.

    Examples
    --------
    >>> unsuitable(np.dtype("i2"), {"scale_factor": 0.01, "units": "K"})
    ''
    >>> unsuitable(np.dtype("i1"), {"flag_values": [0, 1]})
    'it holds flags'
    """
    if dtype.kind not in "fiu":
        return f"it holds values of type {dtype}, not numbers"
    if any(key in attributes for key in ("flag_values", "flag_masks", "flag_meanings")):
        return "it holds flags"
    units = _text(attributes, "units")
    if " since " in units:
        return "it holds dates"
    packed = "scale_factor" in attributes or "add_offset" in attributes
    if dtype.kind in "iu" and not packed and units in {"", "1", "-"}:
        return "it holds integers without a unit: a mask or a count"
    return ""


def decoded(values: npt.NDArray[Any], attributes: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Physical values of stored numbers, any shape; missing ones are NaN.

    Undoes ``_Unsigned``, ``_FillValue``, ``missing_value``, ``scale_factor`` and ``add_offset``.
    Unpacked floats keep their type (in native byte order); everything else becomes float64, so
    that the one rounding is the caller's. ``values`` is not changed.
    """
    raw = values.astype(values.dtype.newbyteorder("="), copy=False)
    unsigned = _text(attributes, "_Unsigned")
    kind = {"true": "u", "false": "i"}.get(unsigned, raw.dtype.kind)
    if raw.dtype.kind in "iu" and kind != raw.dtype.kind:
        raw = raw.view(f"{kind}{raw.dtype.itemsize}")
    missing = np.zeros((), dtype=bool)
    for key in _FILLS:
        for fill in np.atleast_1d(attributes.get(key, [])):
            missing = missing | _equal(raw, fill)
    scale, offset = (_number(attributes, key) for key in ("scale_factor", "add_offset"))
    result = raw
    if raw.dtype.kind != "f" or scale is not None or offset is not None:
        result = raw * np.float64(1 if scale is None else scale) + np.float64(offset or 0)
    return np.where(missing, result.dtype.type(np.nan), result) if missing.any() else result


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a variable once it is stored as plain floats: without its packing."""
    # CF 2.5.1: valid_* are in the units of the stored numbers, so they go with the packing.
    packed = any(key in attributes for key in ("scale_factor", "add_offset", "_Unsigned"))
    gone = {*_PACKING, *(_RANGES if packed else ())}
    return {key: value for key, value in attributes.items() if key not in gone}


def healpix_attributes(attributes: Mapping[str, Any], kept: Collection[str] = ()) -> dict[str, Any]:
    """Attributes of a source variable for its HEALPix form.

    Parameters
    ----------
    attributes : mapping
        Of the source variable, raw.
    kept : collection of str
        Variables of the result: other names leave ``coordinates`` and the like.

    Returns
    -------
    dict
        With ``grid_mapping="crs"``, without packing or anything about the old grid.
    """
    plain = plain_attributes(attributes)
    gone = {key for key in plain if key == "cell_measures" or _GRIB_GRID.match(key)}
    result = {key: value for key, value in plain.items() if key not in gone}
    for key in ("coordinates", "ancillary_variables"):
        words = [word for word in str(result.pop(key, "")).split() if word in kept]
        if words:
            result[key] = " ".join(words)
    return {**result, "grid_mapping": "crs"}


def healpix_skeleton(skeleton: xr.Dataset, level: int, history: str, *, zarr: bool) -> xr.Dataset:
    """``skeleton`` with what makes a dataset of whole HEALPix spheres self-describing.

    Parameters
    ----------
    skeleton : xr.Dataset
        Raw (undecoded) dataset without fields and without horizontal coordinates.
    level : int
        HEALPix level of the fields to come, 0 to 29.
    history : str
        Line to append to ``history``; may be empty.
    zarr : bool
        Add the group attributes of the zarr convention ``dggs``: NetCDF cannot hold them.

    Returns
    -------
    xr.Dataset
        With coordinates ``cell`` (``(12 * 4**level,)``, int64, nested order) and ``crs``
        (scalar, int8).

    Raises
    ------
    LevelError
        If ``level`` is not within 0 to 29.
    GridError
        If the skeleton already has a dimension ``cell`` of another size.
    """
    if not 0 <= level <= 29:
        raise LevelError(f"expected a HEALPix level from 0 to 29; got {level}. Give one of those.")
    cells = cell_count(level)
    if skeleton.sizes.get("cell", cells) != cells:
        raise GridError(
            f"expected a free dimension name 'cell'; got one of size {skeleton.sizes['cell']} in "
            "the source. Rename it there."
        )
    # Readers expect exactly one grid mapping; the source's own described the grid that is gone.
    old = {str(n) for n, v in skeleton.variables.items() if "grid_mapping_name" in v.attrs}
    old |= {"cell", "crs"} & set(map(str, skeleton.variables))
    result = skeleton.drop_vars(sorted(old))
    index = np.arange(cells, dtype=np.int64)
    cell = ("cell", index, {"standard_name": "healpix_index", "units": "1"})
    mapping = {
        "grid_mapping_name": "healpix",
        "indexing_scheme": "nested",
        "refinement_level": int(level),
    }
    result = result.assign_coords(cell=cell, crs=((), np.int8(0), mapping))
    lines = [str(skeleton.attrs.get("history", "")), history]
    result.attrs |= {"Conventions": "CF-1.13", "history": "\n".join(filter(None, lines))}
    for key in ("zarr_conventions", "dggs"):
        result.attrs.pop(key, None)
    if zarr:
        result.attrs["zarr_conventions"] = [dict(DGGS_CONVENTION)]
        result.attrs["dggs"] = {**_DGGS, "refinement_level": int(level)}
    return result


def _text(attributes: Mapping[str, Any], key: str) -> str:
    return str(attributes.get(key, "")).strip().lower()


def _number(attributes: Mapping[str, Any], key: str) -> float | None:
    try:
        return float(np.asarray(attributes[key]).ravel()[0])
    except (KeyError, IndexError, TypeError, ValueError):
        return None  # absent, or text where a number belongs: as if absent


def _equal(raw: npt.NDArray[Any], fill: Any) -> npt.NDArray[np.bool_]:  # noqa: ANN401
    """Where ``raw`` holds ``fill``, compared as numbers of raw's type."""
    never = np.zeros((), dtype=bool)
    try:
        number = float(fill) if raw.dtype.kind == "f" else int(fill)
    except (TypeError, ValueError, OverflowError):
        return never
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(raw == np.float64(number).astype(raw.dtype))
    bits = 8 * raw.dtype.itemsize
    if number != fill or not -(2 ** (bits - 1)) <= number < 2**bits:
        return never
    # Modulo the word: the fill value of an _Unsigned variable is spelt with the other sign.
    return np.asarray(raw == np.array(int(number) % 2**bits, f"u{bits // 8}").view(raw.dtype))
