"""Files with all that NetCDF can hold, and what they say item by item, as by ncdump."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import numpy.typing as npt

from tests.synthetic import waves

ROWS, COLUMNS = 37, 72
FIELDS = ("sst", "t", "u", "constant", "empty", "lonely", "ustar")
NAN = np.array([0x7FF8000000000123], "u8").view("f8")[0]  # one of many

_FILTERS = ("complevel", "shuffle", "fletcher32")

Array = npt.NDArray[Any]


def coast(seed: int = 0) -> Array:
    """Where there is land: a disc, and a few islands."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    disc = (rows - 15) ** 2 + (columns - 30) ** 2 < 90
    islands = np.random.default_rng(seed).random((ROWS, COLUMNS)) < 0.01
    return np.asarray(disc | islands)


def write_nasty(path: Path) -> str:
    """NetCDF-4 file at ``path``."""
    with netCDF4.Dataset(path, "w") as file:
        _dimensions(file)
        _attributes(file)
        _coordinates(file)
        _others(file)
        _fields(file)
    return str(path)


def _dimensions(file: netCDF4.Dataset) -> None:
    sizes = {"time": None, "lev": 2, "lat": ROWS, "lon": COLUMNS, "nv": 2, "strlen": 5}
    for name, size in {**sizes, "station": 3, "y": 4, "x": 3, "unused": 7}.items():
        file.createDimension(name, size)


def _attributes(file: netCDF4.Dataset) -> None:
    file.Conventions = "CF-1.8"
    file.history = "2020-01-01 made"
    file.title = "Größe, 温度"
    file.empty = ""
    file.small = np.int8(-3)
    file.count = np.uint16(7)
    file.exact = np.array([0.1, 0.2], "f4")
    file.double = 0.1
    file.names = ["a", "b c"]
    file.nothing = np.float32(np.nan)


def _add(file: netCDF4.Dataset, name: str, kind: Any, dims: Any, values: Any, **told: Any) -> None:
    keys = ("endian", "fill_value", "chunksizes", "zlib", "shuffle", "fletcher32", "complevel")
    options = {key: told.pop(key) for key in keys if key in told}
    variable = file.createVariable(name, kind, dims, **options)
    variable.set_auto_maskandscale(False)
    variable.set_auto_chartostring(False)
    variable.setncatts(told)
    variable[...] = values


def _coordinates(file: netCDF4.Dataset) -> None:
    days = {"units": "days since 2000-02-30", "calendar": "360_day", "bounds": "time_bnds"}
    _add(file, "time", "f8", ("time",), [0.5, 1.5], standard_name="time", **days)
    _add(file, "time_bnds", "f8", ("time", "nv"), [[0, 1], [1, 2]])
    north = {"standard_name": "latitude", "units": "degrees_north", "bounds": "lat_bnds"}
    latitude = np.linspace(90, -90, ROWS)
    _add(file, "lat", "f4", ("lat",), latitude, **north)
    edges = np.stack([latitude + 2.5, latitude - 2.5], -1).clip(-90, 90)
    _add(file, "lat_bnds", "f4", ("lat", "nv"), edges)
    east = {"standard_name": "longitude", "units": "degrees_east", "valid_min": np.float32(0)}
    _add(file, "lon", "f4", ("lon",), np.arange(0, 360, 5), **east)
    _add(file, "lev", ">i4", ("lev",), [850, 500], units="hPa", positive="down", endian="big")
    plane = np.arange(12.0).reshape(4, 3)
    _add(file, "lat2", "f8", ("y", "x"), plane, standard_name="grid_latitude", units="degrees")
    _add(file, "height", "f8", (), 2.0, units="m", standard_name="height")
    label = np.array(["unten", "öben"], object)
    _add(file, "label", str, ("lev",), label, long_name="names")
    stations = np.array([list("abc--"), list("defgh"), list("-----")], "S1")
    _add(file, "station", "S1", ("station", "strlen"), stations, fill_value=b"-")


def _others(file: netCDF4.Dataset) -> None:
    mapping = {"grid_mapping_name": "latitude_longitude", "semi_major_axis": 6371229.0}
    _add(file, "crs", "i4", (), -1, towgs84=np.array([1, 2, 3], "f4"), **mapping)
    flags = {"flag_values": np.array([0, 1], "i1"), "flag_meanings": "sea land"}
    chunks = {"chunksizes": (1, 20, 72), "zlib": True, "complevel": 5, "shuffle": False}
    kinds = np.stack([coast(), coast(1)])
    _add(file, "flag", "i1", ("time", "lat", "lon"), kinds, fill_value=-1, **flags, **chunks)
    _add(file, "big", "u8", ("lev",), np.array([0, 2**64 - 1], "u8"))
    series = {"scale_factor": np.float32(0.1), "missing_value": np.int16(-1)}
    _add(file, "co2", "i2", ("time",), [4100, -1], fill_value=-9, **series)


def _fields(file: netCDF4.Dataset) -> None:
    where = {"coordinates": "height label", "grid_mapping": "crs", "cell_methods": "time: mean"}
    full = ("time", "lat", "lon")
    packed = np.rint((waves(2) - 280) / 0.01).astype("i2")
    packed[:, coast()] = -32767
    packed[1, 30] = -5  # ice
    packing: dict[str, Any] = {"scale_factor": np.float32(0.01), "add_offset": np.float32(280)}
    packing |= {"units": "K", "valid_range": np.array([-9999, 9999], "i2")}
    missing = {"missing_value": np.array([-5, -6], "i2")}
    _add(file, "sst", "i2", full, packed, fill_value=-32767, **packing, **missing, **where)

    double = waves(2).astype("f8").transpose(1, 2, 0)
    double[coast()] = NAN
    double[0, 0], double[36, 5], double[36, 6] = np.inf, -np.inf, np.nan
    _add(file, "t", ">f8", ("lat", "lon", "time"), double, units="K", endian="big", **where)

    levels = waves(4).reshape(2, 2, ROWS, COLUMNS)
    levels[:, 1, coast(3)] = 1e20
    levels[0, 0, 3:5, 70:] = np.nan
    stored = {"chunksizes": (1, 2, 37, 36), "zlib": True, "complevel": 2, "fletcher32": True}
    dims = ("time", "lev", "lat", "lon")
    _add(file, "u", ">f4", dims, levels, fill_value=1e20, endian="big", units="m s-1", **stored)

    _add(file, "constant", "f4", full, np.full((2, ROWS, COLUMNS), 3.25), units="m")
    _add(file, "empty", "f4", full, np.full((2, ROWS, COLUMNS), -1), fill_value=-1, units="m")
    lonely = np.full((2, ROWS, COLUMNS), np.nan)
    lonely[1, 7, 7] = -4.5
    _add(file, "lonely", "f8", full, lonely, units="m")
    unsigned = {"_Unsigned": "true", "scale_factor": 0.5, "missing_value": np.int8(-1)}
    bytes_of = np.rint(2 * (waves(1)[0] - 250)).clip(0, 254).astype("u1").view("i1")
    bytes_of[coast()] = -1
    _add(file, "ustar", "i1", ("lat", "lon"), bytes_of, units="m s-1", **unsigned)


def describe(path: str | Path) -> dict[str, Any]:
    """All that a NetCDF-4 file says but for values, in a form in which equal is equal."""
    with netCDF4.Dataset(path) as file:
        about: dict[str, Any] = {"attributes": _typed(file)}
        about["dims"] = {k: (d.size, d.isunlimited()) for k, d in file.dimensions.items()}
        for name, variable in file.variables.items():
            filters = variable.filters() or {}
            about[name] = {
                "dims": variable.dimensions,
                "dtype": str(variable.dtype),
                "endian": variable.endian(),
                "attributes": _typed(variable),
                "chunks": variable.chunking(),
                "filters": {key: filters.get(key) for key in _FILTERS},
            }
    return about


def _typed(holder: Any) -> dict[str, tuple[str, Any]]:
    found = {}
    for name in holder.ncattrs():
        value = holder.getncattr(name)
        number = isinstance(value, np.ndarray | np.generic)
        # NaN is as good as another NaN here.
        found[name] = (value.dtype.str, str(value.tolist())) if number else ("text", value)
    return found


def values_of(path: str | Path, name: str) -> Array:
    """Values of a variable as they are stored."""
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        return np.asarray(file[name][...])
