"""A bucket of a local S3 server: stores are written, read and gone on with there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xarray as xr

from hpcodec.compression import Options, compress
from hpcodec.containment import files_at
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, OutputError
from hpcodec.info import describe
from hpcodec.shards import index_size
from hpcodec.stages.zarr_store import open_store
from hpcodec.validation import validate
from tests.synthetic import raw
from tests.tiny import write_model

s3fs = pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")

# Of botocore, which is not ours.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

OPTIONS = Options(ratio=4, model="tiny", device="cpu", shard=3, batch=1)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty bucket."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCODEC_MODELS", str(folder))
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        fsspec.filesystem("s3").mkdir("stores")
        yield "s3://stores"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(scope="module")
def store(bucket: str, series_source: str) -> str:
    """URL of a store of eight steps, three to a shard."""
    compress(series_source, f"{bucket}/a.zarr", OPTIONS)
    return f"{bucket}/a.zarr"


def objects(url: str) -> dict[str, bytes]:
    """All below a URL."""
    files, folder = files_at(url)
    return {path.removeprefix(f"{folder}/"): files.cat_file(path) for path in files.find(folder)}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What is asked of the server: operation, key and range."""
    asked = list[tuple[str, str, str]]()
    call = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *more: Any, **options: Any) -> Any:
        told = {key: value for one in more if isinstance(one, dict) for key, value in one.items()}
        told |= options
        asked.append((method, str(told.get("Key", "")), str(told.get("Range", ""))))
        return await call(self, method, *more, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    return asked


def test_the_same_bytes_as_on_a_disk(store: str, series_source: str, tmp_path: Path) -> None:
    compress(series_source, str(tmp_path / "a.zarr"), OPTIONS)
    there = objects(store)
    here = {
        path.relative_to(tmp_path / "a.zarr").as_posix(): path.read_bytes()
        for path in (tmp_path / "a.zarr").rglob("*")
        if path.is_file()
    }
    assert there == here
    assert not objects("s3://stores/.a.zarr.partial")


def test_readers(store: str, tmp_path: Path) -> None:
    assert validate(store) == []
    about = describe(store)
    assert about["bytes"] == sum(fsspec.filesystem("s3").du(store, total=False).values())
    decompress(store, str(tmp_path / "a.nc"), device="cpu")
    decompress(store, "s3://stores/back.zarr", device="cpu")
    decompress(store, "s3://stores/back.nc", device="cpu")
    truth = raw(tmp_path / "a.nc").t2m.values
    with xr.open_zarr("s3://stores/back.zarr", consolidated=False) as back:
        np.testing.assert_allclose(back.t2m.values, truth, rtol=1e-6)
    fsspec.filesystem("s3").get_file("stores/back.nc", str(tmp_path / "back.nc"))
    np.testing.assert_allclose(raw(tmp_path / "back.nc").t2m, truth, rtol=1e-6)


def test_a_step_is_two_requests(store: str, requests: list[tuple[str, str, str]]) -> None:
    opened = open_store(store)
    item = opened.variables["t2m"]
    requests.clear()
    payload = opened.read(item, 4)
    first, second = requests
    assert first == ("get_object", "a.zarr/t2m/c/1/0/0", f"bytes=0-{index_size(3) - 1}")
    start, stop = (int(end) for end in second[2].removeprefix("bytes=").split("-"))
    assert second[:2] == first[:2]
    assert stop - start + 1 == len(payload)
    requests.clear()
    opened.read(item, 5)
    assert len(requests) == 1  # the index is known


def test_xarray_reads_no_more(store: str, requests: list[tuple[str, str, str]]) -> None:
    with xr.open_dataset(store, engine="hpcodec", device="cpu") as opened:
        requests.clear()
        opened.t2m.isel(time=7).load()
    assert [(method, key) for method, key, _ in requests] == [
        ("get_object", "a.zarr/t2m/c/2/0/0")
    ] * 2


def test_a_bucket_that_fails(
    bucket: str, series_source: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, pipe = [22], s3fs.S3FileSystem._pipe_file
    url = f"{bucket}/half.zarr"

    async def failing(self: Any, *more: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionError("the bucket is gone")
        return await pipe(self, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "_pipe_file", failing)
        with pytest.raises(OutputError, match="the bucket is gone"):
            compress(series_source, url, OPTIONS)
    with pytest.raises(FormatError, match="did not finish"):
        open_store(url)
    with pytest.raises(OutputError, match="--resume"):
        compress(series_source, url, OPTIONS)
    compress(series_source, url, OPTIONS, resume=True)
    assert objects(url) == objects(store)
    assert not objects("s3://stores/.half.zarr.partial")


def test_workers_write_there(store: str, series_source: str) -> None:
    distributed = pytest.importorskip("distributed")
    raw(series_source).to_zarr("s3://stores/in.zarr", zarr_format=3, consolidated=False)
    compress("s3://stores/in.zarr", "s3://stores/alone.zarr", OPTIONS)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as workers,
        distributed.Client(workers, set_as_default=False) as client,
    ):
        compress("s3://stores/in.zarr", "s3://stores/many.zarr", OPTIONS, cluster=client)
    assert objects("s3://stores/many.zarr") == objects("s3://stores/alone.zarr")
