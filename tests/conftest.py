"""Sources and stores that many tests read; what is made once here is never changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hpcodec import remap_operators
from hpcodec.compression import Options, compress
from hpcodec.models import load_model
from hpcodec.stages.zarr_store import chunk_key
from tests.synthetic import MODEL, rich, series
from tests.tiny import write_model


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny networks are slower on many threads, by far where something else is running."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's own cache of remap operators, or their models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCODEC_CACHE_DIR", str(tmp_path_factory.mktemp("operators")))
        patch.setenv("HPCODEC_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        remap_operators.operators_for.cache_clear()
        yield


@pytest.fixture(scope="session")
def series_source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """NetCDF file of one variable in eight steps."""
    path = tmp_path_factory.mktemp("series") / "series.nc"
    series().to_netcdf(path)
    return str(path)


@pytest.fixture(scope="session")
def single_source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """NetCDF file of one step, at 2.5 degrees."""
    path = tmp_path_factory.mktemp("single") / "single.nc"
    series(1, 2.5).to_netcdf(path)
    return str(path)


@pytest.fixture(scope="session")
def rich_source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Zarr group of two variables, levels, members, and what is no field."""
    path = tmp_path_factory.mktemp("rich") / "rich.zarr"
    rich().to_zarr(path, consolidated=False)
    return str(path)


@pytest.fixture(scope="session")
def series_store(series_source: str) -> str:
    """Store of the series at a ratio of 4, by the network."""
    target = series_source.replace(".nc", ".zarr")
    options = Options(ratio=4, model=MODEL, device="cpu", batch=3, bottleneck=5)
    compress(series_source, target, options)
    return target


@pytest.fixture(scope="session")
def single_store(single_source: str) -> str:
    """Store of the single step at a ratio of 4."""
    target = single_source.replace(".nc", ".zarr")
    compress(single_source, target, Options(ratio=4, model=MODEL, device="cpu"))
    return target


@pytest.fixture(scope="session")
def base_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Store of two steps at 2.5 degrees that has its base fields for any reader."""
    folder = tmp_path_factory.mktemp("base")
    series(2, 2.5).to_netcdf(folder / "base.nc")
    target = str(folder / "base.zarr")
    compress(
        str(folder / "base.nc"), target, Options(ratio=4, model=MODEL, device="cpu", base=True)
    )
    return target


@pytest.fixture(scope="session")
def rich_store(rich_source: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Store of the rich source at a ratio of 4."""
    target = str(tmp_path_factory.mktemp("rich_store") / "store.zarr")
    compress(rich_source, target, Options(ratio=4, model=MODEL, device="cpu", batch=6))
    return target


@pytest.fixture
def damaged(single_store: str, tmp_path: Path) -> Path:
    """Copy of the store of one step, to be damaged."""
    copy = tmp_path / "damaged.zarr"
    shutil.copytree(single_store, copy)
    return copy


@pytest.fixture
def chunk(damaged: Path) -> Path:
    """The only payload of the copy."""
    return damaged / "t2m" / chunk_key((1, 73, 144), 0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model that is not installed."""
    folder = tmp_path_factory.mktemp("made") / "tiny"
    write_model(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder of its own, which a refusal leaves empty."""
    monkeypatch.setenv("HPCODEC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("hpcodec.model_folders._given", {})
    load_model.cache_clear()
    yield tmp_path / "data"
    load_model.cache_clear()
