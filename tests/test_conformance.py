"""Conventions: nothing to say of what keeps them, one warning for each that is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcodec.conformance import conformance
from hpcodec.decompression import decompress
from tests.golden.make import FOLDER, golden_models
from tests.synthetic import raw, rich, series


def on_cells(level: int = 3) -> xr.Dataset:
    """What ``decompress --level`` writes."""
    from hpcodec.conventions import healpix_skeleton

    data = healpix_skeleton(series().drop_vars(["t2m", "lat", "lon"]), level, "x", zarr=True)
    values = np.zeros((8, data.sizes["cell"]), "f4")
    field = {"units": "K", "grid_mapping": "crs"}
    return data.assign(t2m=(("time", "cell"), values, field))


@pytest.mark.parametrize("dataset", [series(), rich(), on_cells()], ids=["series", "rich", "cells"])
def test_what_keeps_them(dataset: xr.Dataset) -> None:
    assert conformance(dataset, {}) == []


def test_what_decompress_writes(tmp_path: Path) -> None:
    with golden_models():
        for suffix in (".zarr", ".nc"):
            target = tmp_path / f"out{suffix}"
            decompress(str(FOLDER / "ratio" / "store.zarr"), str(target), level=4, device="cpu")
            assert conformance(raw(target), {}) == []


Change = Callable[[xr.Dataset], Any]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.attrs.pop("Conventions"), "CF-1.13"),
        (lambda d: d.attrs.update(Conventions="COARDS"), "COARDS"),
        (lambda d: d["lat"].attrs.update(units="K"), "units of a latitude"),
        (lambda d: d["t2m"].attrs.update(standard_name="Air temperature!"), "standard name"),
        (lambda d: d["t2m"].attrs.update(units=3), "text as 'units'"),
        (lambda d: d["t2m"].attrs.update(coordinates="lat height"), "'height', which is not"),
        (lambda d: d["t2m"].attrs.update(cell_measures="area: areacella"), "'areacella'"),
        (lambda d: d["t2m"].attrs.update(grid_mapping="lat"), "grid_mapping_name"),
        (lambda d: d.update({"time": ("time", [0, 6, 12, 0, 1, 2, 3, 4])}), "rise or fall"),
        (lambda d: d.update({"time": ("time", [0, np.nan, 2, 3, 4, 5, 6, 7])}), "missing values"),
        (lambda d: d["time"].attrs.update(units="hours since soon"), "cannot be decoded"),
    ],
)
def test_what_breaks_cf(change: Change, words: str) -> None:
    dataset = series().copy(deep=True)
    for name in dataset.variables:
        dataset[name].attrs = dict(dataset[name].attrs)
    change(dataset)
    (finding,) = conformance(dataset, {})
    assert words in finding.what
    assert (finding.rule, finding.severity) == ("conventions", "warning")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["crs"].attrs.update(indexing_scheme="spiral"), "indexing_scheme"),
        (lambda d: d["crs"].attrs.update(refinement_level="3"), "refinement_level"),
        (lambda d: d.attrs.update(zarr_conventions=[]), "announce"),
        (lambda d: d.attrs.update(dggs="healpix"), "object as 'dggs'"),
        (lambda d: d.attrs["dggs"].pop("name"), "'name'"),
        (lambda d: d.attrs["dggs"].update(coordinate="index"), "'coordinate'"),
        (lambda d: d.attrs["dggs"].update(spatial_dimension="index"), "'spatial_dimension'"),
        (lambda d: d.attrs["dggs"].update(refinement_level=4), "refinement_level' 3"),
        (lambda d: d.attrs["dggs"].update(spatial_dimension="time"), "12 * 4"),
    ],
)
def test_what_breaks_dggs(change: Change, words: str) -> None:
    dataset = on_cells()
    change(dataset)
    findings = conformance(dataset, {})
    assert any(words in finding.what for finding in findings)


def test_a_field_without_units() -> None:
    (finding,) = conformance(series().drop_vars("t2m"), {"t2m": {}})
    assert "'units'" in finding.what


def test_variables_kept_elsewhere() -> None:
    dataset = series()
    dataset["t2m"].attrs["cell_measures"] = "area: areacella"
    dataset.attrs["external_variables"] = "areacella"
    assert conformance(dataset, {}) == []
