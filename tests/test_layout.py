"""What a file says beyond names and numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcodec.errors import FormatError
from hpcodec.layout import Layout, describe_layout
from hpcodec.stages.dataset import open_source
from tests.nasty import write_nasty
from tests.synthetic import series


def in_json(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for key, value in attributes.items()
    }


def typed(attributes: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Types as NetCDF stores them, and values; NaN is itself here."""
    arrays = {key: np.asarray(value) for key, value in attributes.items()}
    return {key: (value.dtype.str, str(value.tolist())) for key, value in arrays.items()}


def test_usual_files_have_none() -> None:
    assert describe_layout(series(2)) == {}


def test_types_of_attributes_survive_json(tmp_path: Path) -> None:
    source = open_source(write_nasty(tmp_path / "a.nc"))
    layout = Layout.from_record(json.loads(json.dumps(describe_layout(source))))
    plain = source.copy()
    plain.attrs = in_json(plain.attrs)
    for variable in plain.variables.values():
        variable.attrs = in_json(variable.attrs)
    again = layout.apply(plain)
    assert again.encoding["unlimited_dims"] == {"time"}
    assert again.encoding["unused_dims"] == {"unused": 7}
    for name, variable in source.variables.items():
        assert typed(again.variables[name].attrs) == typed(variable.attrs)
    assert typed(again.attrs) == typed(source.attrs)
    assert again["lev"].encoding["endian"] == "big"
    assert again["flag"].encoding == {"chunks": [1, 20, 72], "complevel": 5}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {"other": {}},
        {"types": []},
        {"types": {"a": 1}},
        {"stored": {"a": []}},
        {"types": {"": {"a": "no type"}}},
        {"types": {"": {"a": "O"}}},
        {"types": {"": {"a": 7}}},
        {"stored": {"a": {"complevel": 11}}},
        {"stored": {"a": {"endian": "little"}}},
        {"unlimited": [1]},
        {"unused": {"a": -1}},
    ],
)
def test_what_is_no_layout(bad: Any) -> None:
    with pytest.raises(FormatError, match=r"expected|unknown key"):
        Layout.from_record(bad)


@pytest.mark.parametrize("dtype", ["<f4", "|i1"])
def test_attributes_that_are_not_of_their_type(dtype: Any) -> None:
    layout = Layout.from_record({"types": {"": {"title": dtype}}})
    with pytest.raises(FormatError, match="attribute 'title'"):
        layout.apply(xr.Dataset(attrs={"title": "text"}))
