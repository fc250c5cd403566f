"""Writing stores: whole or not at all, and without a byte too many."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hpcodec.errors import FormatError, OutputError, UsageError
from hpcodec.fields import FORMAT_VERSION
from hpcodec.output import OutputVariable
from hpcodec.output_store import create_store
from hpcodec.stages.zarr_store import open_store
from tests.synthetic import axes, bytes_of, coding_in, raw, series

RECORD = {"format": FORMAT_VERSION, "version": "0", "command": "", "error": {}}


def variable(steps: int = 2) -> OutputVariable:
    return OutputVariable(
        name="t2m",
        dims=("time", "lat", "lon"),
        shape=(steps, 37, 72),
        attributes={"units": "K", "levels": np.array([1, 2])},
        leading=1,
    )


def skeleton() -> xr.Dataset:
    return series(2).drop_vars("t2m")


def test_what_is_put_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    coding = coding_in(series(1), 2000)
    with create_store(path, skeleton(), overwrite=False) as output:
        output.add(variable(), coding)
        output.put("t2m", 0, b"first")
        output.put("t2m", 1, b"second")
        output.finish(RECORD)
        size = output.size
    store = open_store(path)
    item = store.variables["t2m"]
    assert item.coding == coding
    assert item.attributes == {"units": "K", "levels": [1, 2]}
    assert [store.read(item, step) for step in (0, 1)] == [b"first", b"second"]
    assert store.size == size == bytes_of(Path(path))
    assert store.record.to_dict() == RECORD


def test_an_array_can_be_replaced_by_one_of_another_coding(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    with create_store(path, skeleton(), overwrite=False) as output:
        for size in (9000, 2000):
            output.add(variable(), coding_in(series(1), size))
        output.finish(RECORD)
    assert open_store(path).variables["t2m"].coding.size == 2000


def test_it_is_no_store_until_it_is_finished(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    with create_store(path, skeleton(), overwrite=False) as output:
        output.add(variable(), coding_in(series(1), 2000))
        assert not Path(path).exists()
    with pytest.raises(FormatError, match="did not finish"):
        open_store(path)


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with create_store(str(tmp_path / "a.zarr"), skeleton(), overwrite=False) as output:
            output.add(variable(), coding_in(series(1), 2000))
            output.put("t2m", 0, b"first")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_reported(tmp_path: Path) -> None:

    def fail() -> None:
        with create_store(str(tmp_path / "a.zarr"), skeleton(), overwrite=False) as output:
            output.add(variable(), coding_in(series(1), 2000))
            (partial,) = tmp_path.iterdir()
            (partial / "t2m" / "c").write_text("in the way")
            output.put("t2m", 0, b"first")

    with pytest.raises(OutputError, match="expected to write"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_paths_that_are_refused(tmp_path: Path) -> None:
    refused = [("a.nc", UsageError), ("no/folder.zarr", OutputError)]
    (tmp_path / "taken.zarr").mkdir()
    (tmp_path / "taken.zarr" / "thesis.tex").write_text("years of work")
    for name, kind in [*refused, ("taken.zarr", OutputError)]:
        with (
            pytest.raises(kind),
            create_store(str(tmp_path / name), skeleton(), overwrite=True),
        ):
            pass
    assert (tmp_path / "taken.zarr" / "thesis.tex").exists()


@pytest.mark.parametrize("count", [1, 8, 9, 700])
def test_coordinates_come_back_exactly_and_small(tmp_path: Path, count: int) -> None:
    hours = np.arange(count) * 6.0
    source = xr.Dataset(
        coords={**axes(), "time": ("time", hours, {"units": "hours since 2000-1-1"})}
    )
    with create_store(str(tmp_path / "a.zarr"), source, overwrite=False) as output:
        output.add(variable(count), coding_in(series(1), 2000))
        output.finish(RECORD)
    read = raw(tmp_path / "a.zarr")
    for name in ("time", "lat", "lon"):
        np.testing.assert_array_equal(read[name], source[name])
        assert read[name].dtype == source[name].dtype
    assert bytes_of(tmp_path / "a.zarr" / "time") < 700 + count


def test_metadata_hold_no_white_space(series_store: str) -> None:
    for path in Path(series_store).rglob("zarr.json"):
        text = path.read_text("utf-8")
        assert text == json.dumps(json.loads(text), separators=(",", ":"))
