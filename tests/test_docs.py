"""Code on the pages of the documentation runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import zarr
from xarray.backends.plugins import list_engines

from hpcodec.compression import Options, compress
from hpcodec.xarray_backend import StoreBackend
from tests.synthetic import MODEL

ROOT = Path(__file__).parents[1]


def blocks(page: str) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S))


def test_xarray(base_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask")
    shutil.copytree(base_store, tmp_path / "era5.zarr")
    shutil.copytree(base_store, tmp_path / "later.zarr")
    time: Any = zarr.open_group(tmp_path / "later.zarr", mode="r+")["time"]
    time[...] = time[...] + 12
    # An environment may hold the entry points of an older installation.
    monkeypatch.setitem(list_engines(), "hpcodec", StoreBackend())
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(blocks("docs/xarray.md"), "docs/xarray.md", "exec"), names)
    assert names["ds"].t2m.dims == ("time", "lat", "lon")
    assert names["mean"].shape == (12 * 4**6,)
    assert names["both"].t2m.shape == (4, 12 * 4**4)
    assert names["coarse"].shape == names["base"].t2m.shape == (2, 768)
    assert (tmp_path / "some.nc").exists()


def test_report(
    single_source: str, single_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(single_source, tmp_path / "msl.nc")
    shutil.copytree(single_store, tmp_path / "msl.zarr")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(blocks("docs/report.md"), "docs/report.md", "exec"), names)
    assert "t2m" in (tmp_path / "report.html").read_text("utf-8")


# The libraries warn of what zarr's specification has not settled.
@pytest.mark.filterwarnings("ignore")
def test_scale(series_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("icechunk")
    pytest.importorskip("virtualizarr")
    shutil.copy(series_source, tmp_path / "era5.nc")
    options = Options(ratio=4, model=MODEL, device="cpu", shard=3)
    compress(series_source, str(tmp_path / "era5.zarr"), options)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"folder": tmp_path}
    exec(compile(blocks("docs/scale.md"), "docs/scale.md", "exec"), names)
    assert abs(names["decoded"].t2m - names["source"].t2m).max() < 5
    with xr.open_zarr(tmp_path / "era5.zarr", consolidated=False) as store:
        xr.testing.assert_equal(names["virtual"].t2m, store.t2m)
