"""Shards: many fields in an object, as zarr reads them; a step is read without the others."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as some
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, UsageError
from hpcodec.fetching import Fetcher
from hpcodec.places import chunk_place
from hpcodec.shards import chunk_range, index_size, pack_shard, read_index
from hpcodec.stages.zarr_store import open_store
from hpcodec.validation import validate
from tests.interruptions import content
from tests.synthetic import MODEL, bytes_of, raw, series

OPTIONS = Options(ratio=4, model=MODEL, device="cpu", bottleneck=5, shard=3)


@pytest.fixture(scope="module")
def sharded(series_source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store of the series in shards of three steps, the last with two."""
    target = tmp_path_factory.mktemp("sharded") / "store.zarr"
    compress(series_source, str(target), OPTIONS)
    return target


@given(chunks=some.dictionaries(some.integers(0, 9), some.binary(max_size=40), max_size=10))
def test_what_is_packed_is_found(chunks: dict[int, bytes]) -> None:
    packed = pack_shard(chunks, 10)
    index = read_index(packed[: index_size(10)], 10, "a")
    for number in range(10):
        place = chunk_range(index, number)
        found = None if place is None else packed[place[0] : sum(place)]
        assert found == chunks.get(number)


@pytest.mark.parametrize("at", [0, 20, 35, 36])
def test_a_damaged_index_is_refused(at: int) -> None:
    packed = bytearray(pack_shard({0: b"a", 1: b"b"}, 2)[: index_size(2)])
    if at < len(packed):
        packed[at] ^= 1
    with pytest.raises(FormatError, match="index of shard 'a'"):
        read_index(bytes(packed if at < len(packed) else packed[:-1]), 2, "a")


def test_places() -> None:
    one = chunk_place("t", (8, 2, 37, 72), 7, shard=(3, 2))  # time 3, level 1
    assert (one.key, one.number, one.count) == ("t/c/1/0/0/0", 1, 6)
    followed = chunk_place("t", (8, 2, 37, 72), 7, 2, shard=(4, 2))  # the second chunk of times
    assert (followed.key, followed.number, followed.count) == ("t/c/0/0/0/0", 3, 4)
    turned = chunk_place("t", (8, 2, 37, 72), 7, order=(1, 3, 0, 2), shard=(3, 2))
    assert (turned.key, turned.number, turned.count) == ("t/c/0/1/0/0", 1, 6)


def test_few_objects(sharded: Path, series_store: str) -> None:
    files = [str(p.relative_to(sharded)) for p in sharded.rglob("t2m/c/**/*") if p.is_file()]
    assert sorted(files) == [f"t2m/c/{i}/0/0" for i in range(3)]
    truth = raw(series_store).t2m
    np.testing.assert_allclose(raw(sharded).t2m, truth, atol=2)
    assert validate(str(sharded)) == []
    fields = 4 * truth.size
    assert 4 <= fields / bytes_of(sharded) < 4.6


def test_readers_agree(sharded: Path, tmp_path: Path) -> None:
    """By zarr's own shards, by xarray's engine, and by decompress."""
    by_zarr = raw(sharded).t2m.values
    with xr.open_dataset(sharded, engine="hpcodec") as opened:
        np.testing.assert_allclose(opened.t2m.values, by_zarr, rtol=1e-6)
    decompress(str(sharded), str(tmp_path / "a.nc"), device="cpu")
    np.testing.assert_allclose(raw(tmp_path / "a.nc").t2m, by_zarr, rtol=1e-6)
    array: Any = zarr.open_group(str(sharded), mode="r")["t2m"]
    assert (array.shards, array.chunks) == ((3, 37, 72), (1, 37, 72))


def test_a_step_is_read_without_the_others(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, int]] = []
    read = Fetcher.bytes_of

    def spy(self: Fetcher, key: str, start: int, stop: int | None) -> bytes:
        assert stop is not None
        asked.append((key, start, stop))
        return read(self, key, start, stop)

    monkeypatch.setattr(Fetcher, "bytes_of", spy)
    store = open_store(str(sharded))
    payload = store.read(store.variables["t2m"], 4)
    shard = (sharded / "t2m/c/1/0/0").read_bytes()
    index, (key, start, stop) = asked
    assert index == ("t2m/c/1/0/0", 0, index_size(3))
    assert key == "t2m/c/1/0/0"
    assert shard[start:stop] == payload
    asked.clear()
    assert store.read(store.variables["t2m"], 5) == shard[stop:]  # the index is known
    assert asked == [("t2m/c/1/0/0", stop, len(shard))]
    asked.clear()
    coarse = store.read(store.variables["t2m"], 3, 3)
    assert shard[asked[0][1] :].startswith(coarse)
    assert sum(stop - start for _, start, stop in asked) < len(payload) / 2


def test_the_bytes_of_a_part_are_its_own(series_source: str, sharded: Path, tmp_path: Path) -> None:
    """A part alone, compressed as a dataset of its own, has the same payloads."""
    series().isel(time=slice(3, 6)).to_netcdf(tmp_path / "later.nc")
    by_error = replace(OPTIONS, ratio=None, bottleneck=None, rmse={"": 1})
    compress(series_source, str(tmp_path / "a.zarr"), by_error)
    compress(str(tmp_path / "later.nc"), str(tmp_path / "b.zarr"), replace(by_error, shard=0))
    whole, part = (open_store(str(tmp_path / name)) for name in ("a.zarr", "b.zarr"))
    for own in range(3):
        alone = part.read(part.variables["t2m"], own)
        assert alone == whole.read(whole.variables["t2m"], 3 + own)
    again = tmp_path / "again.zarr"
    compress(series_source, str(again), replace(OPTIONS, batch=1))
    assert content(again) == content(sharded)


@pytest.mark.parametrize(
    ("shard", "every"), [(6, 2), (5, 1), (100, 4)], ids=["chains", "rows", "all in one"]
)
def test_levels_members_and_turned_axes(
    rich_source: str, tmp_path: Path, shard: int, every: int
) -> None:
    options = replace(
        OPTIONS, shard=shard, key_every=every, bottleneck=None, ratio=None, rmse={"": 50}
    )
    plain, held = tmp_path / "plain.zarr", tmp_path / "held.zarr"
    source = tmp_path / "turned.nc"
    raw(rich_source).transpose("lat", "time", "plev", "lon", "member", "bnds").to_netcdf(source)
    compress(str(source), str(plain), replace(options, shard=0))
    compress(str(source), str(held), options)
    assert validate(str(held)) == []
    one, other = raw(plain), raw(held)
    for name in ("ta", "msl"):
        assert other[name].dims == one[name].dims
        assert np.std(other[name].values - one[name].values) < 60
    if shard == 100:  # one part either way: the same payloads
        first, second = open_store(str(plain)), open_store(str(held))
        for name, item in first.variables.items():
            for step in range(item.steps):
                assert first.read(item, step) == second.read(second.variables[name], step)
        counts = {name: item.file_counts for name, item in second.variables.items()}
        assert all(np.prod(count) == 1 for count in counts.values())


def test_many_steps_are_sharded_by_default(tmp_path: Path) -> None:
    long = series(1).isel(time=np.zeros(101, int)).assign_coords(time=np.arange(101.0))
    long.time.attrs["units"] = "hours since 2000-01-01"
    long.to_netcdf(tmp_path / "long.nc")
    how = ["--ratio", "4", "--model", MODEL, "--level", "4", "--bottleneck", "3", "--device", "cpu"]

    def files(*more: str) -> int:
        target = str(tmp_path / "long.zarr")
        arguments = ["compress", str(tmp_path / "long.nc"), target, *how, "--overwrite", *more]
        result = CliRunner().invoke(cli.app, arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return sum(path.is_file() for path in Path(target, "t2m", "c").rglob("*"))

    assert files() == 1
    assert files("--shard", "50") == 3
    assert files("--no-shard") == 101


def test_shards_and_none_are_too_much(series_source: str) -> None:
    arguments = ["compress", series_source, "a.zarr", "--shard", "3", "--no-shard"]
    assert isinstance(CliRunner().invoke(cli.app, arguments).exception, UsageError)
    with pytest.raises(UsageError, match="got -1"):
        Options(shard=-1)


def damage(store: Path, change: Any) -> None:
    path = store / "t2m" / "zarr.json"
    metadata = json.loads(path.read_text("utf-8"))
    change(metadata)
    path.write_text(json.dumps(metadata), "utf-8")


def at_the_end(metadata: Any) -> None:
    metadata["codecs"][0]["configuration"]["index_location"] = "end"


def without_checksum(metadata: Any) -> None:
    del metadata["codecs"][0]["configuration"]["index_codecs"][1]


def enormous(metadata: Any) -> None:
    metadata["chunk_grid"]["configuration"]["chunk_shape"][0] = 3 * 2**40


@pytest.mark.parametrize("change", [at_the_end, without_checksum, enormous])
def test_other_shards_are_refused(sharded: Path, tmp_path: Path, change: Any) -> None:
    shutil.copytree(sharded, tmp_path / "a.zarr")
    damage(tmp_path / "a.zarr", change)
    with pytest.raises(FormatError, match="t2m"):
        open_store(str(tmp_path / "a.zarr"))


def test_a_shard_that_lacks_a_chunk(sharded: Path, tmp_path: Path) -> None:
    shutil.copytree(sharded, tmp_path / "a.zarr")
    shard = tmp_path / "a.zarr" / "t2m/c/0/0/0"
    good = shard.read_bytes()
    index = read_index(good, 3, "")
    chunks = {n: good[int(a) : int(a) + int(size)] for n, (a, size) in enumerate(index) if n != 1}
    shard.write_bytes(pack_shard(chunks, 3))
    (finding,) = validate(str(tmp_path / "a.zarr"))
    assert "step 1" in finding.where
    shard.write_bytes(good[:30])
    found = validate(str(tmp_path / "a.zarr"))
    assert [finding.where for finding in found] == [f"t2m, step {step}" for step in range(3)]
    with pytest.raises(FormatError, match="index of shard"):
        decompress(str(tmp_path / "a.zarr"), str(tmp_path / "a.nc"), device="cpu")
    shard.unlink()
    with pytest.raises(FormatError, match="t2m/c/0/0/0"):
        decompress(str(tmp_path / "a.zarr"), str(tmp_path / "a.nc"), device="cpu")


def test_behind_a_url(sharded: Path) -> None:
    fsspec.filesystem("memory").put(str(sharded), "/shards/a.zarr", recursive=True)
    with xr.open_dataset("memory://shards/a.zarr", engine="hpcodec", level=3) as opened:
        assert opened.t2m.isel(time=4).values.shape == (768,)
    assert validate("memory://shards/a.zarr") == []
