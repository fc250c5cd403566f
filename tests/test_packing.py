"""Stored numbers and what they stand for, there and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.errors import FormatError, MissingValueError
from hpcodec.packing import PLAIN, Packing, decoded

ATTRIBUTES: list[dict[str, Any]] = [
    {},
    {"_FillValue": np.int8(-1)},
    {"scale_factor": np.float32(0.01), "add_offset": 280.0, "_FillValue": 0},
    {"scale_factor": -2.5, "missing_value": np.array([-3, -2, 1])},
    {"_Unsigned": "true", "_FillValue": -1, "scale_factor": 0.5},
]
TYPES = ["i1", "u1", ">i2", "u2", "i4", "i8", "u8", "f2", ">f4", "f8"]


def test_decoded_packed_and_missing() -> None:
    attributes = {"scale_factor": 0.5, "add_offset": 10, "_FillValue": -1, "missing_value": [7, 8]}
    got = decoded(np.array([0, -1, 2, 7, 8], "i2"), attributes)
    np.testing.assert_array_equal(got, [10, np.nan, 11, np.nan, np.nan])


def test_decoded_unsigned_fill_is_spelt_either_way() -> None:
    for fill in (-1, 255, np.int8(-1)):
        got = decoded(np.array([-2, -1, 3], "i1"), {"_Unsigned": "true", "_FillValue": fill})
        np.testing.assert_array_equal(got, [254, np.nan, 3])
    assert decoded(np.array([255], "u1"), {"_Unsigned": "false"}).tolist() == [-1]


@pytest.mark.parametrize("fill", [np.nan, 1e20, "none", 70000, 0.5, None, -(10**30)])
def test_decoded_ignores_impossible_fills(fill: object) -> None:
    values = np.array([0, 4464, -1], "i2")
    assert decoded(values, {"missing_value": fill}).tolist() == [0, 4464, -1]


def test_decoded_float_keeps_its_type_and_its_source() -> None:
    values = np.array([1, 1e20], ">f4")
    got = decoded(values, {"_FillValue": 1e20, "scale_factor": "text"})
    assert got.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(got, [1, np.nan])
    assert values[1] == np.float32(1e20)


def test_unwritten_values_are_missing() -> None:
    floats = np.array([1, 9.969209968386869e36], "f4")
    assert np.isnan(decoded(floats, {})).tolist() == [False, True]
    assert np.isnan(decoded(np.array([-32767, 3], "i2"), {})).tolist() == [True, False]
    assert not np.isnan(decoded(np.array([-127, -128], "i1"), {})).any()
    assert not np.isnan(decoded(floats, {"_FillValue": np.float32(1)}))[1]


@pytest.mark.parametrize("attributes", ATTRIBUTES)
@pytest.mark.parametrize("dtype", TYPES)
@given(numbers=st.lists(st.integers(-1000, 1000), min_size=1))
def test_values_never_read_as_missing(
    dtype: str, attributes: dict[str, Any], numbers: list[int]
) -> None:
    packing = Packing.of(np.dtype(dtype), attributes)
    stored = packing.pack(np.array(numbers, "f4"))
    assert stored.dtype == packing.native
    assert not packing.missing(stored).any()


@pytest.mark.parametrize("attributes", ATTRIBUTES)
@pytest.mark.parametrize("dtype", TYPES)
def test_stored_numbers_come_back(dtype: str, attributes: dict[str, Any]) -> None:
    packing = Packing.of(np.dtype(dtype), attributes)
    stored = np.arange(0, 100).astype(packing.native)
    there = ~packing.missing(stored)
    again = packing.pack(packing.unpack(stored)[there])
    np.testing.assert_array_equal(again, stored[there])


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "u8", "f2"])
def test_what_is_too_large_becomes_the_largest(dtype: str) -> None:
    packing = Packing(np.dtype(dtype).str)
    stored = packing.pack(np.array([-3e38, 3e38], "f4")).astype("f8")
    assert np.isfinite(stored).all()
    assert stored[0] < stored[1]


def test_through_json() -> None:
    for dtype in TYPES:
        for attributes in ATTRIBUTES:
            packing = Packing.of(np.dtype(dtype), attributes)
            assert Packing.from_dict(json.loads(json.dumps(packing.to_dict()))) == packing
    nothing = {"_FillValue": np.float32(np.nan), "missing_value": "NaN", "scale_factor": "1"}
    assert Packing.of(np.dtype("f4"), nothing) == PLAIN


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        {"dtype": "<U3"},
        {"dtype": "O"},
        {"dtype": 4},
        {"dtype": "<f4", "units": "K"},
        {"dtype": "<f4", "scale_factor": 0},
        {"dtype": "<f4", "scale_factor": [1, 2]},
        {"dtype": "<f4", "add_offset": "x"},
    ],
)
def test_what_is_no_packing(bad: Any) -> None:
    with pytest.raises(FormatError, match="packing"):
        Packing.from_dict(bad)


def test_more_than_float32_holds() -> None:
    with pytest.raises(MissingValueError, match="float32"):
        Packing("<f8").finite(np.array([1e300]))
    assert np.isnan(Packing("<f8").finite(np.array([np.inf, np.nan]))).all()
