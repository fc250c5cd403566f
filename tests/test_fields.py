from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.errors import FormatError
from hpcodec.fields import Coding, CompressedField, FieldSpec
from hpcodec.grid import LatLonGrid

GRID = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
CODING = Coding("any-l9", "0f" * 32, GRID, level=4, size=900, bottleneck=4, variable="tos")


@given(
    level=st.integers(3, 9),
    coarser=st.integers(0, 5),
    size=st.integers(1, 2**40),
    model=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    variable=st.text(),
)
def test_coding_round_trip_through_json(
    level: int, coarser: int, size: int, model: str, variable: str
) -> None:
    bottleneck = max(3, level - coarser)
    coding = Coding(model, "00" * 32, GRID, level, size, bottleneck, variable, "idw")
    assert Coding.from_dict(json.loads(json.dumps(coding.to_dict()))) == coding


@pytest.mark.parametrize("rmse", [0.25, 20, 1e-12])
def test_an_error_is_kept(rmse: float) -> None:
    data = json.loads(json.dumps(CODING.to_dict() | {"rmse": rmse}))
    coding = Coding.from_dict(data)
    assert coding.rmse == rmse
    assert coding.to_dict() == data
    assert "rmse" not in CODING.to_dict(), "options that are off are left out"


@pytest.mark.parametrize("rmse", [0, -1, True, None, "1", float("nan"), float("inf"), 10**400])
def test_errors_that_are_none(rmse: Any) -> None:
    with pytest.raises(FormatError, match="above 0 as 'rmse'"):
        Coding.from_dict(CODING.to_dict() | {"rmse": rmse})


@pytest.mark.parametrize("exponent", [0, -1, True, None, "1", float("nan")])
def test_exponents_that_are_none(exponent: Any) -> None:
    half = dataclasses.replace(CODING, exponent=0.5)
    assert Coding.from_dict(half.to_dict()) == half
    assert "exponent" not in CODING.to_dict()
    with pytest.raises(FormatError, match="above 0 as 'exponent'"):
        Coding.from_dict(CODING.to_dict() | {"exponent": exponent})


def test_coding_is_left_as_it_was() -> None:
    data = CODING.to_dict()
    Coding.from_dict(data)
    assert data == CODING.to_dict()


@pytest.mark.parametrize("key", sorted(CODING.to_dict()))
def test_missing_key(key: str) -> None:
    data = CODING.to_dict()
    del data[key]
    with pytest.raises(FormatError, match="expected"):
        Coding.from_dict(data)


@pytest.mark.parametrize("key", sorted(CODING.to_dict()))
@pytest.mark.parametrize("value", [None, True, [], {}, 1.5, -1, 2**70, "x", b"x"], ids=repr)
def test_value_of_another_kind(key: str, value: Any) -> None:
    text = {"model", "weights", "variable", "remap"}
    if (value == "x" and key in text) or (value, key) in ((2**70, "size"), (1.5, "format")):
        return
    with pytest.raises(FormatError, match="expected"):
        Coding.from_dict(CODING.to_dict() | {key: value})


@pytest.mark.parametrize("data", [None, [], "coding", 3, b""])
def test_not_an_object(data: Any) -> None:
    with pytest.raises(FormatError, match="as a JSON object"):
        Coding.from_dict(data)


@pytest.mark.parametrize(
    ("level", "bottleneck"), [(10, 4), (4, 5), (4, 2), (2, 2), (9, 10), (-1, -1)]
)
def test_impossible_levels(level: int, bottleneck: int) -> None:
    with pytest.raises(FormatError, match=r"levels 3 <= bottleneck|number from 3"):
        Coding.from_dict(CODING.to_dict() | {"level": level, "bottleneck": bottleneck})


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(FormatError, match=r"unknown key 'bottelneck'.*Did you mean 'bottleneck'"):
        Coding.from_dict(CODING.to_dict() | {"bottelneck": 3})


@pytest.mark.parametrize("version", ["2.0", "0.9", "", "10.0", None])
def test_other_formats(version: str | None) -> None:
    with pytest.raises(FormatError, match=r"expected format 1\.0; got"):
        Coding.from_dict(CODING.to_dict() | {"format": version})


def test_field_spec_counts_its_fields() -> None:
    spec = FieldSpec("ta", GRID, (("time", 3), ("plev", 4)), ("lat", "lon"))
    assert spec.leading_shape == (3, 4)
    assert spec.steps == 12
    assert FieldSpec("oro", GRID, (), ("lat", "lon")).steps == 1


def test_bottleneck_is_the_finest_coded_level() -> None:
    base = np.zeros(768, np.int32)
    residual = np.zeros((3, 768), np.int32)
    assert CompressedField(base, (), 0, 1, 1).bottleneck == 3
    assert CompressedField(base, (residual,), 0, 1, 1).bottleneck == 4
