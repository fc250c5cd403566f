"""Stores to files: on the source grid and on HEALPix cells, all or a choice of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, HpcodecError, LevelError, OutputError, UsageError
from hpcodec.stages.zarr_store import open_store
from tests.synthetic import MODEL, raw, rich, series


def plain(dataset: xr.Dataset, name: str) -> dict[str, object]:
    added = ("_FillValue", "lossy_compression")
    attributes = dataset[name].attrs.items()
    return {key: np.asarray(v).tolist() for key, v in attributes if key not in added}


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_the_source_comes_back(rich_store: str, tmp_path: Path, suffix: str) -> None:
    target = str(tmp_path / f"out{suffix}")
    decompress(rich_store, target, device="cpu", batch=6)
    truth, out = rich(), raw(target)
    assert set(out.variables) == set(truth.variables)
    for name in ("ta", "msl"):
        assert out[name].dims == truth[name].dims
        assert out[name].dtype == np.float32
        error = out[name].values - truth[name].values
        assert np.std(error) < 0.1 * np.std(truth[name].values)
    for key in set(truth.variables) - {"ta", "msl"}:
        np.testing.assert_array_equal(out[key].values, truth[key].values)
    for key in map(str, truth.variables):
        assert plain(out, key) == plain(truth, key)
    assert out.attrs["institution"] == "none"
    assert "hpcodec" not in out.attrs


def test_it_is_what_zarr_gives(series_store: str, tmp_path: Path) -> None:
    target = str(tmp_path / "out.nc")
    decompress(series_store, target, device="cpu", batch=3)
    with xr.open_zarr(series_store, consolidated=False) as through_zarr:
        np.testing.assert_allclose(raw(target).t2m, through_zarr.t2m, atol=2e-3)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_cells_of_a_level(series_store: str, tmp_path: Path, suffix: str) -> None:
    read = {}
    for level in (3, 4):
        target = str(tmp_path / f"out{level}{suffix}")
        read[level] = decompress(series_store, target, level=level, device="cpu", batch=8)
    coarse, fine = (raw(tmp_path / f"out{level}{suffix}") for level in (3, 4))
    assert read[3] < 0.8 * read[4]
    assert coarse.t2m.dims == fine.t2m.dims == ("time", "cell")
    means = fine.t2m.values.reshape(8, 768, 4).mean(-1)
    np.testing.assert_allclose(coarse.t2m.values, means, atol=2e-3)
    np.testing.assert_array_equal(fine.time, 6 * np.arange(8))
    assert {"lat", "lon"}.isdisjoint(fine.variables)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_cells_are_described_as_cf_has_it(series_store: str, tmp_path: Path, suffix: str) -> None:
    target = str(tmp_path / f"out{suffix}")
    decompress(series_store, target, level=3, time="2020-01-01", device="cpu")
    out = raw(target)
    crs = out[out.t2m.attrs["grid_mapping"]]
    assert crs.shape == ()
    assert crs.attrs["grid_mapping_name"] == "healpix"
    assert crs.attrs["indexing_scheme"] == "nested"
    assert crs.attrs["refinement_level"] == 3
    assert out.cell.attrs["standard_name"] == "healpix_index"
    np.testing.assert_array_equal(out.cell, np.arange(768))
    assert out.t2m.attrs["standard_name"] == "air_temperature"
    assert out.attrs["Conventions"] == "CF-1.13"
    assert "hpcodec decompress" in out.attrs["history"]
    assert ("dggs" in out.attrs) == (suffix == ".zarr")


def test_cells_of_zarr_come_back_as_netcdf(series_store: str, tmp_path: Path) -> None:
    """NetCDF holds no nested attributes: those of zarr's conventions stay away, others are text."""
    cells, store, target = (str(tmp_path / name) for name in ("c.zarr", "s.zarr", "t.nc"))
    decompress(series_store, cells, level=4, device="cpu")
    zarr.open_group(cells, mode="r+").attrs["steps"] = [{"by": "me"}, {"by": "you"}]
    compress(cells, store, Options(ratio=4, model=MODEL, device="cpu"))
    decompress(store, target, device="cpu")
    with xr.open_dataset(target) as out:
        assert json.loads(out.attrs["steps"]) == [{"by": "me"}, {"by": "you"}]
        assert not {"dggs", "zarr_conventions"} & set(out.attrs)
        assert out.crs.attrs["refinement_level"] == 4


def test_finer_than_the_source_is_predicted(single_store: str, tmp_path: Path) -> None:
    target = str(tmp_path / "out.nc")
    whole = decompress(single_store, target, level=7, device="cpu")
    assert raw(target).t2m.shape == (1, 12 * 4**7)
    assert whole == len(open_store(single_store).read(open_store(single_store).variables["t2m"], 0))


@pytest.mark.parametrize(
    ("time", "hours"),
    [
        ("2020-01-01T06", [6]),
        ("2020-01-01", [0, 6, 12, 18]),
        ("2020-01-01T12/2020-01-02T00", [12, 18, 24]),
        ("2020-01-02T06/", [30, 36, 42]),
        ("/2020-01-01T06", [0, 6]),
    ],
)
def test_times(series_store: str, tmp_path: Path, time: str, hours: list[int]) -> None:
    target = str(tmp_path / "out.nc")
    decompress(series_store, target, time=time, device="cpu", batch=8)
    out = raw(target)
    np.testing.assert_array_equal(out.time, hours)
    truth = series().t2m.sel(time=hours).values
    for step, field in enumerate(out.t2m.values):
        errors = [np.std(field - other) for other in truth]
        assert int(np.argmin(errors)) == step, "steps are mixed up"


def test_times_and_levels_together(rich_store: str, tmp_path: Path) -> None:
    target = str(tmp_path / "out.nc")
    decompress(rich_store, target, time="2020-01-01T06", variables=["msl"], level=3, device="cpu")
    out = raw(target)
    assert out.msl.shape == (2, 1, 768)
    assert "ta" not in out.variables
    np.testing.assert_array_equal(out.time_bnds, [[6, 12]])
    np.testing.assert_array_equal(out.co2, [410.5])


@pytest.mark.parametrize("time", ["2021", "soon", "2020-01-02T01/2020-01-02T02", "2020-13-01"])
def test_times_that_select_nothing(series_store: str, tmp_path: Path, time: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        decompress(series_store, str(tmp_path / "out.nc"), time=time, device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("level", [-1, 2, 10, 29])
def test_levels_that_are_refused(series_store: str, tmp_path: Path, level: int) -> None:
    with pytest.raises(LevelError, match="3 to 9"):
        decompress(series_store, str(tmp_path / "out.nc"), level=level)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_are_refused(single_store: str, tmp_path: Path) -> None:
    (tmp_path / "old.nc").write_text("old")
    cases: list[tuple[str, type[HpcodecError]]] = [
        ("old.nc", OutputError),
        ("out.grib", UsageError),
        ("no/out.nc", OutputError),
    ]
    for name, kind in cases:
        with pytest.raises(kind):
            decompress(single_store, str(tmp_path / name), device="cpu")
    assert (tmp_path / "old.nc").read_text() == "old"
    decompress(single_store, str(tmp_path / "old.nc"), device="cpu", overwrite=True)
    assert raw(tmp_path / "old.nc").t2m.shape == (1, 73, 144)


def test_a_variable_that_is_not_there(single_store: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 't2m'"):
        decompress(single_store, str(tmp_path / "out.nc"), variables=["t2"])


def test_a_damaged_chunk_leaves_nothing(damaged: Path, chunk: Path, tmp_path: Path) -> None:
    good = chunk.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for bad in (bytes(flipped), good[:-5], b"", b"\0" * len(good), None):
        if bad is None:
            chunk.unlink()
        else:
            chunk.write_bytes(bad)
        with pytest.raises(FormatError) as caught:
            decompress(str(damaged), str(tmp_path / "out.nc"), device="cpu")
        assert "\n" not in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["damaged.zarr"]


def test_progress_is_told(series_store: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    decompress(
        series_store,
        str(tmp_path / "out.nc"),
        level=3,
        device="cpu",
        batch=5,
        told=lambda *event: told.append(event),
    )
    assert told == [("t2m", 5, 8), ("t2m", 8, 8)]


def test_the_skeleton_is_all_but_the_fields(rich_store: str) -> None:
    skeleton = open_store(rich_store).skeleton()
    assert set(skeleton.variables) == set(rich().variables) - {"ta", "msl"}
    assert "hpcodec" not in skeleton.attrs
