"""What a user may ask for, and how it is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.errors import UsageError
from hpcodec.targets import ALL, AUTO, bounds_for, read_bounds, read_ratio, read_rmse, rmse_for


@given(st.floats(4, 4096))
def test_any_ratio_in_range(ratio: float) -> None:
    assert read_ratio(repr(ratio)) == ratio


@pytest.mark.parametrize("text", ["3.9", "4096.5", "0", "-16", "nan", "inf", "many", ""])
def test_other_ratios_name_the_range(text: str) -> None:
    with pytest.raises(UsageError, match="from 4 to 4096"):
        read_ratio(text)


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("0.3", {ALL: 0.3}),
        ("1e-5", {ALL: 1e-5}),
        ("t2m=0.3", {"t2m": 0.3}),
        ("t2m=0.3, msl=20", {"t2m": 0.3, "msl": 20}),
        ("0.5,msl=20", {ALL: 0.5, "msl": 20}),
        ("a=b=2", {"a=b": 2}),
    ],
)
def test_errors_are_read(text: str, targets: dict[str, float]) -> None:
    assert read_rmse(text) == targets


@pytest.mark.parametrize(
    "text", ["", "much", "0", "-1", "nan", "inf", "t2m=", "t2m=0", "t2m", "1,2", "a=1,a=2", "1,"]
)
def test_errors_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected .*RMSE"):
        read_rmse(text)


def test_each_variable_has_an_error_or_none_has() -> None:
    assert rmse_for({}, ["t2m", "msl"]) == {"t2m": 0, "msl": 0}
    assert rmse_for({ALL: 2, "msl": 20}, ["t2m", "msl"]) == {"t2m": 2, "msl": 20}
    with pytest.raises(UsageError, match="got none for 'msl'"):
        rmse_for({"t2m": 2}, ["t2m", "msl"])


def test_an_unknown_variable_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 't2m'"):
        rmse_for({ALL: 1, "t2n": 2}, ["t2m", "msl"])


def test_the_ratio_may_be_left_to_the_bound() -> None:
    assert read_ratio(AUTO) is None


def test_bounds_are_read() -> None:
    assert read_bounds("0.5,msl=50") == {ALL: 0.5, "msl": 50}
    assert read_bounds("1%, t2m=0.002", relative=True) == {ALL: 0.01, "t2m": 0.002}


@pytest.mark.parametrize("text", ["", "1%", "0", "inf", "t2m=", "1,2", "5K"])
def test_bounds_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected .*maximum error"):
        read_bounds(text)


def test_each_variable_has_a_bound_of_one_kind_or_both() -> None:
    found = bounds_for({"t2m": 0.5, "msl": 50}, {ALL: 0.01, "msl": 0.1}, ["t2m", "msl", "u10"])
    assert [tuple(one.values()) for one in found.values()] == [(0.5, 0), (50, 0.1), (0, 0.01)]
    assert bounds_for({}, {}, ["t2m"]) == {"t2m": {"max_error": 0, "max_rel_error": 0}}
    with pytest.raises(UsageError, match="got none for 'msl'"):
        bounds_for({"t2m": 0.5}, {}, ["t2m", "msl"])
    with pytest.raises(UsageError, match="Did you mean 'msl'"):
        bounds_for({"msk": 0.5}, {ALL: 1}, ["t2m", "msl"])
