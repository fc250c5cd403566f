"""Reading stores: what is whole is read as little as needed, what is not is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr

from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, UsageError
from hpcodec.fetching import Fetcher
from hpcodec.info import describe
from hpcodec.stages.wire import HEADER_MOST, prefix_size, read_header
from hpcodec.stages.zarr_store import ATTRIBUTE, CODEC, chunk_key, open_store
from hpcodec.validation import validate
from tests.synthetic import bytes_of, rich

Damage = Callable[[Path], None]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file in place."""
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")


def configuration(array: dict[str, Any]) -> dict[str, Any]:
    (codec,) = (codec for codec in array["codecs"] if codec["name"] == CODEC)
    coding: dict[str, Any] = codec["configuration"]
    return coding


def coded(change: Callable[[dict[str, Any]], object]) -> Damage:
    return lambda store: edit(store / "t2m" / "zarr.json", lambda a: change(configuration(a)))


def rooted(change: Callable[[dict[str, Any]], object]) -> Damage:
    return lambda store: edit(store / "zarr.json", lambda g: change(g["attributes"]))


def truncate(name: str) -> Damage:
    def cut(store: Path) -> None:
        path = store / name
        path.write_bytes(path.read_bytes()[:-30])

    return cut


BROKEN: dict[str, Damage] = {
    "truncated root": truncate("zarr.json"),
    "truncated array": truncate("t2m/zarr.json"),
    "no array": lambda store: (store / "t2m" / "zarr.json").unlink(),
    "no root": lambda store: (store / "zarr.json").unlink(),
    "unfinished": rooted(lambda a: a.pop(ATTRIBUTE)),
    "record is no object": rooted(lambda a: a.update({ATTRIBUTE: "1.0"})),
    "other version of the store": rooted(lambda a: a[ATTRIBUTE].update(format="2.0")),
    "other version of the coding": coded(lambda c: c.update(format="2.0")),
    "unknown key": coded(lambda c: c.update(sise=3)),
    "missing key": coded(lambda c: c.pop("model")),
    "level as text": coded(lambda c: c.update(level="4")),
    "level out of range": coded(lambda c: c.update(level=10)),
    "no grid": coded(lambda c: c.update(grid=None)),
    "other grid": coded(lambda c: c["grid"].update(latitude=[90.0, -10.0, 19])),
    "other shape": lambda store: edit(
        store / "t2m" / "zarr.json", lambda a: a.update(shape=[1, 36, 72])
    ),
    "other chunks": lambda store: edit(
        store / "t2m" / "zarr.json",
        lambda a: a["chunk_grid"]["configuration"].update(chunk_shape=[1, 37, 36]),
    ),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
def test_broken_metadata(damaged: Path, damage: Damage) -> None:
    damage(damaged)
    with pytest.raises(FormatError) as caught:
        open_store(str(damaged))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.zarr", tmp_path):
        with pytest.raises(FormatError, match="expected an hpcodec store"):
            open_store(str(path))


def test_a_foreign_group(tmp_path: Path) -> None:
    rich().to_zarr(tmp_path / "a.zarr", consolidated=False)
    with pytest.raises(FormatError, match="did not write"):
        open_store(str(tmp_path / "a.zarr"))
    zarr.create_array(tmp_path / "b.zarr", shape=(3,), dtype="f4")
    with pytest.raises(FormatError, match="expected an hpcodec store"):
        open_store(str(tmp_path / "b.zarr"))


def test_variables_are_as_in_the_source(rich_store: str) -> None:
    store = open_store(rich_store)
    assert set(store.variables) == {"ta", "msl"}
    ta, msl = store.variables["ta"], store.variables["msl"]
    assert (ta.dims, ta.shape, ta.steps) == (("time", "plev", "lat", "lon"), (3, 2, 37, 72), 6)
    assert (msl.dims, msl.shape) == (("member", "time", "lat", "lon"), (2, 3, 37, 72))
    assert {k: v for k, v in msl.attributes.items() if k != "_FillValue"} == rich().msl.attrs
    assert store.size == bytes_of(Path(rich_store))


def test_chosen_variables(rich_store: str) -> None:
    store = open_store(rich_store)
    assert [item.name for item in store.chosen(["msl"])] == ["msl"]
    assert len(store.chosen(None)) == 2
    with pytest.raises(UsageError, match="Did you mean 'msl'"):
        store.chosen(["mls"])


def test_chunk_keys() -> None:
    assert chunk_key((3, 2, 37, 72), 5) == "c/2/1/0/0"
    assert chunk_key((37, 72), 0) == "c/0/0"
    assert chunk_key((3, 2, 37, 72), 5, order=(1, 3, 0, 2)) == "c/0/2/0/1"


def test_a_level_needs_a_prefix(series_store: str) -> None:
    store = open_store(series_store)
    item = store.variables["t2m"]
    whole = store.read(item, 2)
    coarse = store.read(item, 2, 3)
    assert coarse == whole[: prefix_size(whole, 3)]
    assert len(coarse) < len(whole)
    assert store.read(item, 2, item.coding.bottleneck) == store.read(item, 2, 9) == whole
    assert len(whole) <= item.coding.size
    assert read_header(whole).bottleneck == item.coding.bottleneck


def test_a_coarse_read_fetches_no_more(series_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    store = open_store(series_store)
    fetch = Fetcher.bytes_of

    def spy(self: Fetcher, key: str, start: int, stop: int) -> bytes:
        found = fetch(self, key, start, stop)
        fetched.append(len(found))
        return found

    monkeypatch.setattr(Fetcher, "bytes_of", spy)
    coarse = store.read(store.variables["t2m"], 0, 3)
    assert sum(fetched) <= len(coarse) + HEADER_MOST


def test_a_missing_chunk(damaged: Path, chunk: Path) -> None:
    chunk.unlink()
    store = open_store(str(damaged))
    for level in (None, 3):
        with pytest.raises(FormatError, match="t2m/c/0/0/0"):
            store.read(store.variables["t2m"], 0, level)


def test_an_empty_chunk(damaged: Path, chunk: Path) -> None:
    chunk.write_bytes(b"")
    store = open_store(str(damaged))
    with pytest.raises(FormatError):
        store.read(store.variables["t2m"], 0, 3)


@pytest.mark.parametrize("url", ["file://{}", "local://{}", "{}/"])
def test_other_spellings_of_a_path(series_store: str, url: str) -> None:
    store = open_store(url.format(series_store))
    assert len(store.read(store.variables["t2m"], 0, 3)) > 100


def test_a_store_behind_a_url(single_store: str, tmp_path: Path) -> None:
    url = "memory://stores/single.zarr"
    fsspec.filesystem("memory").put(single_store, "/stores/single.zarr", recursive=True)
    about, local = describe(url), describe(single_store)
    assert {**about, "path": ""} == {**local, "path": ""}
    assert validate(url) == []
    read = decompress(url, str(tmp_path / "a.nc"), level=3, device="cpu")
    assert 0 < read < about["variables"]["t2m"]["field_bytes"]


def test_xarray_opens_it_on_the_source_grid(rich_store: str) -> None:
    truth = rich()
    with xr.open_zarr(rich_store, consolidated=False) as dataset:
        assert dataset.ta.dims == ("time", "plev", "lat", "lon")
        np.testing.assert_array_equal(dataset.lat, truth.lat)
        np.testing.assert_array_equal(dataset.lon, truth.lon)
        assert str(dataset.time.values[1]) == "2020-01-01T06:00:00.000000000"
        values = dataset.ta.isel(time=1, plev=0).values
        assert np.std(values - truth.ta[1, 0].values) < 0.1 * np.std(truth.ta[1, 0].values)
