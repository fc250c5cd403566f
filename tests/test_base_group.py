"""The base fields of a store, as readers without hpcodec have them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Blosc

from hpcodec import base_group
from hpcodec.base_group import _BITS, BASE, _packed
from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.info import describe
from hpcodec.stages.zarr_store import open_store
from hpcodec.validation import validate
from tests.synthetic import MODEL, bytes_of, raw, rich


def base_of(store: str) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(store, group=BASE, consolidated=False, chunks=None)
    return dataset


def test_it_opens_where_hpcodec_is_not_installed(base_store: str) -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'hpcodec':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "try:\n"
        "    import hpcodec\n"
        "except ModuleNotFoundError:\n"
        "    import xarray as xr\n"
        "    ds = xr.open_dataset(sys.argv[1], engine='zarr', group='base', consolidated=False)\n"
        "    print(ds.t2m.dims, ds.t2m.shape, float(ds.t2m.mean()), ds.time.values[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, base_store],
        capture_output=True,
        text=True,
        check=True,
    )
    dims, mean = done.stdout.split(") (2, 768) ")
    assert dims == "('time', 'cell'"
    assert mean.split()[1].startswith("2020-01-01T06:00")
    assert float(mean.split()[0]) == pytest.approx(float(base_of(base_store).t2m.mean()))


def test_it_is_level_three_to_a_thousandth(base_store: str, tmp_path: Path) -> None:
    decompress(base_store, str(tmp_path / "out.nc"), level=3, device="cpu")
    truth = raw(tmp_path / "out.nc")
    with base_of(base_store) as base:
        widest = float((truth.t2m.max("cell") - truth.t2m.min("cell")).max())
        assert float(np.abs(base.t2m - truth.t2m.values).max()) < widest / 2000
        np.testing.assert_array_equal(base.cell, truth.cell)
        # What a file says of itself, and a part of its store does not.
        own = ("_FillValue", "lossy_compression")
        assert base.t2m.attrs == {k: v for k, v in truth.t2m.attrs.items() if k not in own}
        assert "coordinates" not in {**base.t2m.attrs, **base.t2m.encoding}
        assert "crs" in base.t2m.coords
        assert set(base.attrs) == {"Conventions", "dggs", "zarr_conventions"}


def test_a_store_with_it_is_a_store_and_keeps_the_ratio(base_store: str, tmp_path: Path) -> None:
    assert open_store(base_store).size == bytes_of(Path(base_store))
    assert describe(base_store)["ratio"] >= 4
    assert validate(base_store) == []
    assert set(xr.open_zarr(base_store, consolidated=False).variables) == {
        "t2m",
        "time",
        "lat",
        "lon",
    }


def test_by_default_where_it_is_cheap(
    single_source: str, single_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (Path(single_store) / BASE).exists()
    target = str(tmp_path / "a.zarr")
    options = Options(ratio=4, model=MODEL, device="cpu")
    monkeypatch.setattr(base_group, "_SHARE", 0.9)
    compress(single_source, target, options)
    assert base_of(target).t2m.shape == (1, 768)
    compress(single_source, target, Options(**{**vars(options), "base": False}), overwrite=True)
    assert not (Path(target) / BASE).exists()


def test_of_several_variables_and_dimensions(rich_source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "a.zarr")
    options = Options(rmse={"ta": 2, "msl": 200}, model=MODEL, device="cpu", base=True)
    compress(rich_source, target, options)
    with base_of(target) as base:
        assert base.ta.dims == ("time", "plev", "cell")
        assert base.msl.dims == ("member", "time", "cell")
        assert set(base.variables) == {"ta", "msl", "time", "plev", "member", "cell", "crs"}
        assert "bounds" not in base.time.attrs
        np.testing.assert_array_equal(base.plev, rich().plev)
        for name in ("ta", "msl"):
            mean = float(rich()[name].weighted(np.cos(np.deg2rad(rich().lat))).mean())
            assert float(base[name].mean()) == pytest.approx(mean, rel=2e-3)


@given(st.integers(0, 2**32 - 1), st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.integers(1, 5))
def test_noise_of_any_offset_takes_no_more_than_was_reserved(
    seed: int, offset: float, spread: float, count: int
) -> None:
    random = np.random.default_rng(seed)
    apart = random.uniform(0, 20, (count, 1)) * spread
    cells = (offset + apart + spread * random.random((count, 768))).astype("f4")
    packed, packing = _packed(cells)
    blosc = Blosc("zstd", 9, Blosc.BITSHUFFLE)
    assert len(blosc.encode(packed)) + 4 <= count * 768 * _BITS // 8
    back = packed * packing["scale_factor"] + packing["add_offset"]
    exact = cells.astype("f8")
    widest = float(np.ptp(exact, axis=-1).max()) or float(np.ptp(exact))
    assert np.abs(back - exact).max() <= 1.001 * widest / 2046 + 1e-9


def test_missing_cells_and_constant_fields() -> None:
    cells = np.full((2, 768), 3.5, np.float32)
    packed, packing = _packed(cells)
    np.testing.assert_array_equal(packed * packing["scale_factor"] + packing["add_offset"], cells)
    cells[0, 5], cells[1] = np.nan, np.nan
    packed, packing = _packed(cells)
    np.testing.assert_array_equal(packed == packing["_FillValue"], np.isnan(cells))
    assert packed[0, 4] * packing["scale_factor"] + packing["add_offset"] == 3.5
    assert (_packed(np.full((1, 768), np.nan, np.float32))[0] == -1).all()
