"""A dask cluster: the bytes of one process, also where a worker is killed on the way."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from hpcodec import cli, cluster
from hpcodec.cluster import Job, compress_part
from hpcodec.compression import Options, compress
from hpcodec.errors import MissingValueError, OutputError, UsageError
from hpcodec.unfinished import partial_folder
from tests.interruptions import content
from tests.synthetic import series
from tests.tiny import write_model

distributed = pytest.importorskip("distributed")

# The scheduler is a thread of this process: what waits for it would wait for ever if it failed.
pytestmark = pytest.mark.filterwarnings("default")

OPTIONS = Options(ratio=5, model="tiny", device="cpu", shard=2, key_every=2)


def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tiny model is on the search path, in processes begun from here, too."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCODEC_MODELS", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def client(models: None) -> Iterator[Any]:
    """Client of two workers, processes of their own."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", processes=True
        ) as workers,
        distributed.Client(workers, set_as_default=False) as client,
    ):
        client.run(one_thread)
        yield client


@pytest.fixture(scope="module")
def alone(series_source: str, models: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one process."""
    target = tmp_path_factory.mktemp("alone") / "a.zarr"
    compress(series_source, str(target), OPTIONS)
    return target


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("shard", [2, 0])
def test_the_bytes_of_one_process(
    client: Any, series_source: str, alone: Path, tmp_path: Path, shard: int
) -> None:
    options, target, told = replace(OPTIONS, shard=shard), tmp_path / "a.zarr", list[int]()
    compress(
        series_source,
        str(target),
        options,
        cluster=client,
        told=lambda name, done, total: told.append(done),
    )
    known = alone
    if shard == 0:
        known = tmp_path / "known.zarr"
        compress(series_source, str(known), options)
    assert content(target) == content(known)
    assert told == ([2, 4, 6, 8] if shard else [8])
    assert names(tmp_path) == (["a.zarr"] if shard else ["a.zarr", "known.zarr"])


def test_by_the_address(client: Any, series_source: str, alone: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    how = ["--ratio", "5", "--model", "tiny", "--device", "cpu", "--shard", "2", "--key-every", "2"]
    address = client.scheduler.address
    arguments = ["compress", series_source, str(target), *how, "--dask", address]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    assert content(target) == content(alone)


def test_of_this_machine(series_source: str, alone: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    compress(series_source, str(target), OPTIONS, cluster="local")
    assert content(target) == content(alone)


def test_a_worker_is_killed(client: Any, tmp_path: Path) -> None:
    """While it is at a part: another one does that."""
    source, known, target = (tmp_path / name for name in ("a.nc", "a.zarr", "b.zarr"))
    series(24).to_netcdf(source)
    compress(str(source), str(known), OPTIONS)
    killed = list[int]()

    def kill(name: str, done: int, total: int) -> None:
        if not killed:
            busy = [worker for worker, tasks in client.processing().items() if tasks]
            killed.append(client.run(os.getpid, workers=busy[:1])[busy[0]])
            os.kill(killed[0], signal.SIGKILL)

    compress(str(source), str(target), OPTIONS, cluster=client, told=kill)
    assert killed
    assert content(target) == content(known)
    assert names(tmp_path) == ["a.nc", "a.zarr", "b.zarr"]
    client.wait_for_workers(2)
    client.run(one_thread)


def test_who_goes_on_with_a_cluster(
    client: Any, series_source: str, alone: Path, tmp_path: Path
) -> None:
    target, told = tmp_path / "a.zarr", list[int]()

    def interrupt(name: str, done: int, total: int) -> None:
        if done >= 5:
            raise KeyboardInterrupt

    one_by_one = replace(OPTIONS, batch=1)
    with pytest.raises(KeyboardInterrupt):
        compress(series_source, str(target), one_by_one, told=interrupt)
    kept = partial_folder(target) / "new" / "t2m" / "c"
    assert names(kept) == ["0", "1"]
    compress(
        series_source,
        str(target),
        OPTIONS,
        resume=True,
        cluster=client,
        told=lambda name, done, total: told.append(done),
    )
    assert content(target) == content(alone)
    assert told == [2, 4, 6, 8]


def test_an_interrupted_cluster_is_gone_on_with(
    client: Any, series_source: str, alone: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.zarr"

    def interrupt(name: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress(series_source, str(target), OPTIONS, cluster=client, told=interrupt)
    compress(series_source, str(target), OPTIONS, resume=True)
    assert content(target) == content(alone)


def test_errors_of_workers_are_ours(client: Any, tmp_path: Path) -> None:
    wrong = series(4).astype("f8")
    wrong["t2m"][3, 10, 20] = 1e300
    wrong.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(MissingValueError, match="'t2m': expected values that float32 can hold"):
        compress(str(tmp_path / "a.nc"), str(tmp_path / "a.zarr"), OPTIONS, cluster=client)
    assert names(tmp_path) == ["a.nc"]


def test_a_cluster_that_is_not_there(
    series_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    target = str(tmp_path / "a.zarr")
    for address in ("tcp://127.0.0.1:9", "nonsense://", str(tmp_path / "none.json")):
        with pytest.raises(UsageError, match="expected a dask scheduler at"):
            compress(series_source, target, OPTIONS, cluster=address)
    assert names(tmp_path) == []


def test_a_task_is_a_few_words(series_source: str, alone: Path) -> None:
    variables = (("t2m", (2,), 4),)
    job = Job(series_source, str(alone), str(alone), variables, "cpu", "token", "0")
    assert len(pickle.dumps((compress_part, job, "t2m", 3, {}))) < 1000
    with pytest.raises(OutputError, match="expected hpcodec 0 on every worker"):
        compress_part(job, "t2m", 3, {})


def opened() -> int:
    return cluster._opened.cache_info().misses


def test_workers_open_and_load_once(client: Any, series_source: str, tmp_path: Path) -> None:
    """Each of them, however many parts of a run it does; and again for the next run."""
    for name in ("a.zarr", "b.zarr"):
        before = client.run(opened)
        compress(series_source, str(tmp_path / name), OPTIONS, cluster=client)
        times = [count - before[worker] for worker, count in client.run(opened).items()]
        assert set(times) <= {0, 1}
        assert 1 in times
    assert content(tmp_path / "a.zarr") == content(tmp_path / "b.zarr")
