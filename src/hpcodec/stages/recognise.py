"""What kind of dataset is at a path: NetCDF, zarr or GRIB, here or behind a URL.

path --recognise--> engine of xarray, and what to hand it
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import fsspec
import numpy as np

from hpcodec.errors import FormatError

__all__ = ["recognise"]

_GRIB = (".grib", ".grib2", ".grb", ".grb2")  # a file may begin with the header of a bulletin
_ZARR_GROUPS = ("zarr.json", ".zgroup", ".zmetadata")


def recognise(path: str) -> tuple[str, Any]:
    """Choose the xarray engine that reads ``path``, and what to hand it.

    Raises
    ------
    FormatError
        If there is nothing, or nothing of these.
    """
    files, inner = fsspec.url_to_fs(path)
    local = "local" in np.atleast_1d(files.protocol)
    if any(files.exists(f"{inner.rstrip('/')}/{name}") for name in _ZARR_GROUPS):
        return "zarr", inner if local else path
    if not files.exists(inner):
        raise FormatError(f"expected a dataset; '{path}' does not exist. Check the path.")
    if not files.isfile(inner):
        raise FormatError(
            f"expected a NetCDF file or a zarr group; got '{path}', a folder without "
            f"{' or '.join(_ZARR_GROUPS[:2])}. Give the folder of the zarr group itself."
        )
    with files.open(inner, "rb") as stream:
        head = stream.read(8)
    if head[:4] == b"PK\x03\x04":
        return "zarr", f"zip://::{inner if local else path}"
    if head[:4] in {b"CDF\x01", b"CDF\x02", b"CDF\x05"} or head == b"\x89HDF\r\n\x1a\n":
        # The NetCDF library reads files, not streams: a remote file is copied, not held.
        return "netcdf4", inner if local else fsspec.open_local(f"simplecache::{path}")
    if head[:4] == b"GRIB" or inner.lower().endswith(_GRIB):
        if find_spec("cfgrib") is None:
            raise FormatError(
                f"expected cfgrib, which reads GRIB, for '{path}'; it is not installed. Install "
                "it: pip install 'hpcodec[grib]'."
            )
        return "cfgrib", inner if local else fsspec.open_local(f"simplecache::{path}")
    raise FormatError(
        f"expected NetCDF, zarr or GRIB; got '{path}', a file that begins with {head!r}. Check "
        "the path."
    )
