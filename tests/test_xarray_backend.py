"""The xarray engine: what it opens, and how little of it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import fsspec
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import hpcodec
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, LevelError, UsageError
from hpcodec.fetching import Fetcher
from hpcodec.fields import Coding
from hpcodec.grid import LatLonGrid
from hpcodec.layout import Layout
from hpcodec.picks import Pick
from hpcodec.records import Record
from hpcodec.stages.zarr_store import Store, StoredVariable
from hpcodec.xarray_backend import StoreBackend, _Fields

ROOT = Path(__file__).parents[1]


def opened(store: str, **options: Any) -> xr.Dataset:
    """By class: an environment may hold the entry points of an older installation."""
    return xr.open_dataset(store, engine=StoreBackend, device="cpu", **options)


class Work:
    """What was read and decoded."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.sharp: list[bool] = []
        self.read = self.decoded = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Counts from here on."""
    count, fetch = Work(), Fetcher.bytes_of
    decode = Pick.decode

    def counted(self: Pick, payloads: Sequence[bytes], device: str, sharp: bool) -> Any:
        count.decoded += len(payloads)
        count.sharp.append(sharp)
        return decode(self, payloads, device, sharp)

    def fetched(self: Fetcher, key: str, start: int, stop: int) -> bytes:
        found = fetch(self, key, start, stop)
        count.keys.append(key)
        count.read += len(found)
        return found

    monkeypatch.setattr(Pick, "decode", counted)
    monkeypatch.setattr(Fetcher, "bytes_of", fetched)
    return count


# What is opened


@pytest.mark.parametrize("level", [None, 3])
def test_it_is_what_decompress_writes(rich_store: str, tmp_path: Path, level: int | None) -> None:
    target = str(tmp_path / "out.nc")
    decompress(rich_store, target, level=level, device="cpu", batch=6)
    with xr.open_dataset(target) as truth, opened(rich_store, level=level) as dataset:
        assert set(dataset.coords) == set(truth.coords)
        # Fields differ as the network's batches do.
        xr.testing.assert_allclose(dataset, truth, rtol=1e-6)
        for name in map(str, truth.variables):
            assert dataset[name].dims == truth[name].dims
            assert dataset[name].dtype == truth[name].dtype
            assert plain(dataset[name].attrs) == plain(truth[name].attrs)
        assert plain(dataset.attrs) == plain(truth.attrs)


def plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Without the time at which it was done."""
    return {key: np.asarray(v).tolist() for key, v in attributes.items() if key != "history"}


def test_found_by_its_entry_point_and_by_the_store(series_store: str, tmp_path: Path) -> None:
    """In a fresh process, with the entry points that pyproject.toml has now."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (folder := tmp_path / "hpcodec-99.dist-info").mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: hpcodec\nVersion: 99\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items())
        for group, names in project["entry-points"].items()
    ]
    (folder / "entry_points.txt").write_text("\n".join(points))
    code = (
        "import sys, xarray as xr\n"
        "path = sys.argv[1]\n"
        "for options in ({}, {'engine': 'hpcodec', 'level': 3}, {'level': 4}):\n"
        "    ds = xr.open_dataset(path, **options)\n"
        "    print(*(f'{k}={v}' for k, v in ds.t2m.sizes.items()))\n"
        "print(list(xr.open_datatree(path, engine='hpcodec')))\n"
        "assert 'hpcodec.xarray_backend' in sys.modules\n"
        "print(*({'torch', 'distributed'} & set(sys.modules)))\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", code, series_store],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "time=8 lat=37 lon=72",
        "time=8 cell=768",
        "time=8 cell=3072",
        "['3', '4', '5']",
        "",
    ]


def test_only_stores_are_taken(
    series_store: str, series_source: str, rich_source: str, tmp_path: Path
) -> None:
    guess = StoreBackend().guess_can_open
    assert guess(series_store)
    assert guess(Path(series_store))
    others = [series_source, rich_source, tmp_path, tmp_path / "none", "", b"bytes", 3, None]
    for odd in ("[]", "{", '{"attributes": null}', '{"attributes": {"hp": 1}}'):
        (tmp_path / "zarr.json").write_text(odd)
        assert [other for other in others if guess(other)] == []


def test_urls(series_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(series_store, "/backend/store.zarr", recursive=True)
    try:
        guess = StoreBackend().guess_can_open
        assert guess("memory://backend/store.zarr/")
        assert not guess("memory://backend/none.zarr")
        with opened("memory://backend/store.zarr", level=3) as dataset:
            here = opened(series_store, level=3)
            xr.testing.assert_identical(dataset.t2m[2], here.t2m[2])
            assert pickle.loads(pickle.dumps(dataset)).t2m.shape == (8, 768)

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("a URL was asked that does not name a zarr group")

        monkeypatch.setattr(fsspec, "open", refuse)
        assert not guess("https://example.org/a.nc")
    finally:
        memory.rm("/backend", recursive=True)


def test_decoders_and_choices(rich_store: str) -> None:
    raw = opened(rich_store, decode_cf=False)
    assert raw.time.dtype.kind == "f"
    assert raw.time.attrs["units"].startswith("hours since")
    few = opened(rich_store, drop_variables=["ta", "co2"], level=3)
    assert set(few.data_vars) == {"msl", "time_bnds"}
    assert opened(rich_store, drop_variables="msl").ta.dims == ("time", "plev", "lat", "lon")


def test_sharp_reaches_the_decoder(single_store: str, work: Work) -> None:
    for options in ({}, {"sharp": True}, {"sharp": True, "level": 3}):
        opened(single_store, **options).t2m.load()
    hpcodec.open_pyramid(single_store, levels=[4], sharp=True, device="cpu")["4"].t2m.load()
    assert work.sharp == [False, True, True, True]


def test_what_is_refused(series_store: str, tmp_path: Path) -> None:
    for level in (2, 30):
        with pytest.raises(LevelError, match="expected a level from 3"):
            opened(series_store, level=level)
    with pytest.raises(UsageError, match="expected a grid such as"):
        opened(series_store, grid="N320")
    with pytest.raises(UsageError, match="a level or a grid"):
        opened(series_store, level=4, grid="5")
    with pytest.raises(FormatError, match="hpcodec store"):
        opened(str(tmp_path))
    with pytest.raises(UsageError, match="expected the path or URL"):
        StoreBackend().open_dataset(3)


# How little is read


def test_nothing_is_decoded_before_it_is_asked_for(rich_store: str, work: Work) -> None:
    for options in ({}, {"level": 4}, {"level": 4, "chunks": {}}):
        dataset = opened(rich_store, **options)
        repr(dataset)
        dataset.isel(time=0).sel(member=1).transpose(..., "plev")
    hpcodec.open_pyramid(rich_store)
    assert work.keys == []


@pytest.mark.parametrize("chunks", [None, {}])
def test_one_step_read_is_one_step_decoded(series_store: str, work: Work, chunks: Any) -> None:
    dataset = opened(series_store, level=4, chunks=chunks)
    field = dataset.t2m.sel(time="2020-01-01T18").compute()
    assert work.decoded == 1
    assert set(work.keys) == {"t2m/c/3/0/0"}
    assert field.shape == (3072,)
    opened(series_store, chunks=chunks).t2m[[5, 2], 3:9, 0].compute()
    assert work.decoded == 3
    assert set(work.keys[-2:]) == {"t2m/c/5/0/0", "t2m/c/2/0/0"}


def test_coarse_levels_read_fewer_bytes(series_store: str, work: Work) -> None:
    read = []
    for level in (3, 4, 5):
        before = work.read
        opened(series_store, level=level).t2m[0].load()
        read.append(work.read - before)
    assert read[0] < 0.8 * read[1]
    assert read[1] <= read[2]
    assert set(work.keys) == {"t2m/c/0/0/0"}


def test_chunks_are_those_of_the_store(series_store: str, rich_store: str) -> None:
    assert opened(series_store, chunks={}).t2m.chunks == ((1,) * 8, (37,), (72,))
    assert opened(rich_store, level=3, chunks={}).msl.chunks == ((1, 1), (1, 1, 1), (768,))
    joined = opened(rich_store, level=3, chunks={"time": -1, "member": 1}).msl
    assert joined.chunks == ((1, 1), (3,), (768,))


def test_fields_that_follow_each_other_are_one_chunk(series_store: str, tmp_path: Path) -> None:
    store = tmp_path / "following.zarr"
    shutil.copytree(series_store, store)
    array = json.loads((store / "t2m" / "zarr.json").read_text("utf-8"))
    array["chunk_grid"]["configuration"]["chunk_shape"][0] = 3
    array["codecs"][0]["configuration"]["key_every"] = 3
    (store / "t2m" / "zarr.json").write_text(json.dumps(array))
    assert opened(str(store), level=3, chunks={}).t2m.chunks == ((3, 3, 2), (768,))


def fake_fields(shape: tuple[int, ...]) -> tuple[_Fields, npt.NDArray[np.float32]]:
    """An array whose fields are known, with a store and a decoder that only know their numbers."""
    grid = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
    coding = Coding("m", "00", grid, level=4, size=9, bottleneck=4)
    dims = (*(f"d{i}" for i in range(len(shape))), "lat", "lon")
    variable = StoredVariable("a", dims, (*shape, 37, 72), {}, coding)
    steps, known = int(np.prod(shape)), cast(Store, _Known())
    truth = np.arange(steps, dtype="f4")[:, None, None] * 3000 + np.arange(37 * 72).reshape(37, 72)
    return (
        _Fields(known, Pick(known, variable, None), sharp=False, device="cpu"),
        truth.reshape(*shape, 37, 72).astype("f4"),
    )


class _Known:
    layout, record = Layout(), Record("", "", {})

    def read(self, variable: StoredVariable, step: int, level: int | None) -> bytes:
        return step.to_bytes(4, "little")


@contextmanager
def numbers_decoded() -> Iterator[None]:
    def decode(self: Pick, payloads: list[bytes], device: str, sharp: bool) -> Any:
        assert len(payloads) <= 4
        steps = np.array([int.from_bytes(one, "little") for one in payloads], "f4")
        return steps[:, None, None] * 3000 + np.arange(37 * 72, dtype="f4").reshape(37, 72)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pick, "decode", decode)
        yield


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> dict[int, Any]:
    """Of some axes: a place, a slice, or places in any order."""
    chosen: dict[int, Any] = {}
    for axis, size in enumerate(shape):
        place = st.integers(-size, size - 1)
        kind = draw(st.sampled_from(["all", "one", "slice", "many"]))
        if kind == "one":
            chosen[axis] = draw(place)
        elif kind == "slice":
            chosen[axis] = draw(st.slices(size))
            if not range(size)[chosen[axis]]:  # backwards, xarray itself stumbles over it
                chosen[axis] = slice(0, 0)
        elif kind == "many":
            chosen[axis] = np.array(draw(st.lists(place, max_size=6)), int)
    return chosen


@given(st.data(), st.sampled_from([(), (5,), (3, 4)]))
def test_any_index_gives_what_numpy_gives(data: st.DataObject, shape: tuple[int, ...]) -> None:
    fields, truth = fake_fields(shape)
    dims = [f"x{axis}" for axis in range(truth.ndim)]
    lazy = xr.Variable(dims, xr.core.indexing.LazilyIndexedArray(fields))
    chosen = {dims[axis]: key for axis, key in data.draw(keys(truth.shape)).items()}
    with numbers_decoded():
        got = lazy.isel(chosen)
        got = got.copy(data=got.to_numpy())
    xr.testing.assert_identical(got, xr.Variable(dims, truth).isel(chosen))


# What may be done with it


@pytest.mark.parametrize("options", [{}, {"level": 3}, {"level": 3, "chunks": {}}])
def test_it_can_be_written(series_store: str, tmp_path: Path, options: Any) -> None:
    dataset = opened(series_store, **options).isel(time=[0, 1, 5])
    if not options:
        dataset = dataset.isel(lat=[0, 1, 7, 20], lon=slice(3, 60, 7))
    dataset.to_zarr(tmp_path / "out.zarr", consolidated=False)
    dataset.to_netcdf(tmp_path / "out.nc")
    for back in (
        xr.open_zarr(tmp_path / "out.zarr", consolidated=False, chunks=None),
        xr.open_dataset(tmp_path / "out.nc"),
    ):
        xr.testing.assert_identical(back.load(), dataset.compute())
        assert back.t2m.attrs.get("grid_mapping", "crs") == "crs"
        assert options == {} or "crs" in back.t2m.coords
        back.close()


def test_many_stores_as_one(series_store: str, tmp_path: Path) -> None:
    pytest.importorskip("dask")
    later = tmp_path / "later.zarr"
    shutil.copytree(series_store, later)
    time: Any = zarr.open_group(later, mode="r+")["time"]
    time[...] = time[...] + 48
    with xr.open_mfdataset(
        [later, series_store], engine=StoreBackend, level=3, device="cpu", parallel=True
    ) as dataset:
        assert dataset.t2m.shape == (16, 768)
        assert dataset.indexes["time"].is_monotonic_increasing
        np.testing.assert_array_equal(dataset.t2m[1], dataset.t2m[9])
        assert dataset.crs.shape == ()


def test_a_pickle_is_small_and_reads_on(
    series_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(series_store).parent)
    dataset = opened(Path(series_store).name, level=4)
    pickled = pickle.dumps(dataset.t2m.variable)
    assert len(pickled) < 20_000, "a model or a field is in it"
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(pickle.loads(pickled)[1], dataset.t2m[1])


@pytest.mark.filterwarnings("default")  # one raised in a thread of dask would be waited for
@pytest.mark.parametrize("processes", [False, True])
def test_on_a_cluster(series_store: str, processes: bool, tmp_path: Path) -> None:
    """Threads of a process share a network, and do not wait for each other forever."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=4,
            processes=processes,
            dashboard_address="127.0.0.1:0",
            local_directory=str(tmp_path),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        means = opened(series_store, level=4, chunks={}).t2m.mean("cell")
        got = client.compute(means).result(timeout=300)
    np.testing.assert_allclose(got, opened(series_store, level=4).t2m.mean("cell"), rtol=1e-6)


def test_a_pyramid_has_a_node_for_each_level(series_store: str, work: Work) -> None:
    tree = hpcodec.open_pyramid(series_store, device="cpu", chunks={})
    assert sorted(tree) == ["3", "4", "5"]
    for level, node in tree.items():
        assert node.ds.t2m.sizes == {"time": 8, "cell": 12 * 4 ** int(level)}
        assert node.ds.crs.attrs["refinement_level"] == int(level)
    assert work.keys == []
    means = tree["4"].t2m[2].values.reshape(768, 4).mean(-1)
    np.testing.assert_allclose(tree["3"].t2m[2], means, atol=2e-3)
    assert work.decoded == 2
    chosen = hpcodec.open_pyramid(series_store, levels=[5])
    assert sorted(chosen) == ["5"]
