"""Spells CF and DGGS attributes, but for those of packing, and of sources on HEALPix cells.

    horizontal_axis, degrees    which coordinate is a latitude or a longitude
    supporting, unsuitable      which variables are not fields, and why
    healpix_skeleton, healpix_attributes    what a HEALPix result says about itself
    with_history, lossy_attributes          what was done to the data, and what it cost

:mod:`hpcodec.conformance` checks them.

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
from hpcodec.packing import decoded, plain_attributes

__all__ = [
    "degrees",
    "healpix_attributes",
    "healpix_skeleton",
    "horizontal_axis",
    "lossy_attributes",
    "supporting",
    "unsuitable",
    "with_history",
]

AXIS_UNITS = {
    "latitude": {"degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"},
    "longitude": {"degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"},
}
_ANGLES = {"", "degree", "degrees", "deg", "radian", "radians", "rad"}
_NAMES = {
    "latitude": {"lat", "latitude", "lats", "latitudes", "nav_lat", "lat_0", "clat", "latcell"},
    "longitude": {
        *("lon", "longitude", "lons", "longitudes", "long", "nav_lon", "lon_0", "clon", "loncell"),
    },
}
_AXES = {"latitude": "y", "longitude": "x"}

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
    if packed and np.any(np.equal(attributes.get("scale_factor", 1), 0)):
        return "its scale_factor is 0"
    if dtype.kind in "iu" and not packed and units in {"", "1", "-"}:
        return "it holds integers without a unit: a mask or a count"
    return ""


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
    result = {k: v for k, v in plain.items() if k != "cell_measures" and not _GRIB_GRID.match(k)}
    for key in ("coordinates", "ancillary_variables"):
        if words := [word for word in str(result.pop(key, "")).split() if word in kept]:
            result[key] = " ".join(words)
    return {**result, "grid_mapping": "crs"}


def healpix_skeleton(
    skeleton: xr.Dataset, level: int, history: str, *, zarr: bool, legacy: bool = False
) -> xr.Dataset:
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
    legacy : bool
        Add to ``crs`` what CDO and easy.gems read before CF-1.13; xdggs then refuses it as CF.

    Returns
    -------
    xr.Dataset
        With coordinates ``cell`` (int64, nested order) and ``crs`` (scalar, int8).

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
    if (size := skeleton.sizes.get("cell", cells)) != cells:
        raise GridError(
            f"expected a free dimension 'cell'; got one of {size} in the source. Rename it there."
        )
    # Readers expect exactly one grid mapping; the source's own described the grid that is gone.
    old = {str(n) for n, v in skeleton.variables.items() if "grid_mapping_name" in v.attrs}
    result = skeleton.drop_vars([*sorted(old), "cell", "crs"], errors="ignore")
    cell = ("cell", np.arange(cells, dtype="i8"), {"standard_name": "healpix_index", "units": "1"})
    mapping = {
        "grid_mapping_name": "healpix",
        "indexing_scheme": "nested",
        "refinement_level": int(level),
    }
    if legacy:
        mapping |= {"healpix_nside": 2**level, "healpix_order": "nested"}
    result = result.assign_coords(cell=cell, crs=((), np.int8(0), mapping))
    result.attrs = {**with_history(skeleton.attrs, history), "Conventions": "CF-1.13"}
    for key in ("zarr_conventions", "dggs"):
        result.attrs.pop(key, None)
    if zarr:
        result.attrs["zarr_conventions"] = [dict(DGGS_CONVENTION)]
        result.attrs["dggs"] = {**_DGGS, "refinement_level": int(level)}
    return result


def with_history(attributes: Mapping[str, Any], line: str) -> dict[str, Any]:
    """Attributes of a dataset with a line more of ``history``, which says when it was written."""
    lines = [str(attributes.get("history", "")).rstrip("\n"), line]
    return {**attributes, "history": "\n".join(filter(None, lines))}


def lossy_attributes(
    *, version: str, model: str, weights: str, error: Mapping[str, float], units: str
) -> dict[str, str]:
    """Attribute of a field that says what its compression has lost, in the unit of the field.

    Notes
    -----
    CF-1.13 has a place for lossy compression (section 8.4), but only for rounding of bits by one of
    four algorithms, which ``quantization`` must name. This is none of them, so it has a name that
    CF does not use; its text is in the form of CF's ``implementation``.
    """
    named = {"rmse": "RMSE", "max_error": "largest error"}
    told = [
        f"{word} {error[key]:.4g} {units}".rstrip() for key, word in named.items() if key in error
    ]
    about = "; ".join([f"model {model}, sha256 of weights {weights[:16]}", *told])
    return {"lossy_compression": f"hpcodec.field_space: hpcodec version {version} ({about})"}


def _text(attributes: Mapping[str, Any], key: str) -> str:
    return str(attributes.get(key, "")).strip().lower()
