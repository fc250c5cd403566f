from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.errors import GridError
from hpcodec.even import EVEN, EvenCodec, spacing


@given(
    st.floats(-360, 360),
    st.floats(-10, 10),
    st.integers(3, 2000),
    st.sampled_from(["f4", "f8", ">f8"]),
)
def test_what_spacing_gives_is_exact(start: float, step: float, size: int, dtype: str) -> None:
    values = (start + step * np.arange(size)).astype(dtype)
    found = spacing(values)
    if found is not None:
        again = (found[0] + found[1] * np.arange(size)).astype(dtype)
        np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(90, -90, 721, dtype="f4"),
        np.arange(1440) / 4,
        (89.875 - np.arange(720) / 4).astype("f4"),
        np.arange(3600) * 0.1,
    ],
)
def test_the_usual_coordinates_are_even(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    assert spacing(values) is not None


@pytest.mark.parametrize("values", [[0.0, 1.0, 4.0], [1.0, 2.0], [np.nan] * 5])
def test_others_are_not(values: list[float]) -> None:
    assert spacing(np.array(values)) is None


def create(path: Path, values: list[float]) -> None:
    array = zarr.create_array(
        path,
        shape=(len(values),),
        chunks=(len(values),),
        dtype="f4",
        serializer=EvenCodec(),
        compressors=None,
    )
    array[:] = np.array(values, "f4")


def test_zarr_writes_sixteen_bytes_and_reads_the_values_back(tmp_path: Path) -> None:
    values = np.linspace(90, -90, 721).tolist()
    create(tmp_path / "a.zarr", values)
    assert (tmp_path / "a.zarr" / "c" / "0").stat().st_size == 16
    metadata = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    assert metadata["codecs"] == [{"name": EVEN}]
    read = np.asarray(zarr.open_array(tmp_path / "a.zarr")[:])
    np.testing.assert_array_equal(read, np.array(values, "f4"))


def test_uneven_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GridError, match="evenly spaced"):
        create(tmp_path / "a.zarr", [0.0, 1.0, 5.0, 6.0])
