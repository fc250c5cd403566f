"""Files to stores: everything is carried, the ratio is kept, and nothing is left of a failure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hpcodec.compression import Options, compress
from hpcodec.errors import (
    FormatError,
    GridError,
    LevelError,
    MissingValueError,
    ModelError,
    OutputError,
    UsageError,
)
from hpcodec.stages.zarr_store import open_store
from tests.synthetic import MODEL, bytes_of, raw, rich, series

QUICK = Options(ratio=4, model=MODEL, device="cpu")


def source_bytes(path: str) -> int:
    return sum(4 * item.data.size for item in rich_fields(path))


def rich_fields(path: str) -> list[xr.DataArray]:
    return [v for v in raw(path).data_vars.values() if {"lat", "lon"} <= set(v.dims)]


@pytest.mark.parametrize(("name", "ratio"), [("single", 4), ("series", 4), ("rich", 4)])
def test_the_ratio_counts_every_file(
    name: str, ratio: float, request: pytest.FixtureRequest
) -> None:
    source = request.getfixturevalue(f"{name}_source")
    store = request.getfixturevalue(f"{name}_store")
    achieved = source_bytes(source) / bytes_of(Path(store))
    assert ratio <= achieved < 1.15 * ratio


@pytest.mark.parametrize("name", ["series", "rich"])
def test_everything_else_is_carried(name: str, request: pytest.FixtureRequest) -> None:
    source = raw(request.getfixturevalue(f"{name}_source"))
    store = raw(request.getfixturevalue(f"{name}_store"))
    fields = [v.name for v in rich_fields(request.getfixturevalue(f"{name}_source"))]
    assert set(store.variables) == set(source.variables)
    for key in set(source.variables) - set(fields):
        np.testing.assert_array_equal(store[key].values, source[key].values)
        assert store[key].dtype == source[key].dtype
        assert store[key].dims == source[key].dims
    for key in source.variables:
        wanted = {k: v for k, v in source[key].attrs.items() if k != "_FillValue"}
        got = {k: v for k, v in store[key].attrs.items() if k != "_FillValue"}
        assert got == wanted
    rest = {k: v for k, v in store.attrs.items() if k != "hpcodec"}
    assert {k: np.asarray(v).tolist() for k, v in rest.items()} == {
        k: np.asarray(v).tolist() for k, v in source.attrs.items()
    }


def test_reports_are_what_the_store_says(single_source: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    target = str(tmp_path / "a.zarr")
    (report,), size = compress(single_source, target, QUICK, told=lambda *event: told.append(event))
    assert told == [("t2m", 1, 1)]
    assert size == bytes_of(Path(target))
    record = open_store(target).record
    assert record.error["t2m"].rmse == pytest.approx(report.rmse, rel=1e-3)
    assert report.steps == 1
    assert (report.name, report.units, report.model) == ("t2m", "K", MODEL)
    assert report.source_bytes == 4 * 73 * 144
    assert 0 < report.payload_bytes < size
    assert report.remap_rmse <= 1.05 * report.rmse < 0.1 * 20
    with xr.open_zarr(target, consolidated=False) as decoded:
        truth = series(1, 2.5)
        error = (decoded.t2m.values - truth.t2m.values) ** 2
        weights = np.cos(np.deg2rad(truth.lat.values))[:, None] * np.ones(144)
    rmse = np.sqrt((error[0] * weights).sum() / weights.sum())
    assert rmse == pytest.approx(report.rmse, rel=0.05)
    assert np.sqrt(error.max()) == pytest.approx(report.max_error, rel=0.05)


def test_batches_do_not_change_the_store(
    series_source: str, series_store: str, tmp_path: Path
) -> None:
    target = tmp_path / "a.zarr"
    options = Options(ratio=4, model=MODEL, device="cpu", batch=8, bottleneck=5)
    compress(series_source, str(target), options)
    for path in Path(series_store).rglob("*"):
        if path.is_file() and "/c/" in str(path):
            again = target / path.relative_to(series_store)
            assert again.read_bytes() == path.read_bytes()


def test_batches_do_not_change_a_store_by_error(rich_source: str, tmp_path: Path) -> None:
    chunks = []
    for batch in (1, 4):
        target = tmp_path / f"{batch}.zarr"
        options = Options(rmse={"ta": 1, "msl": 90}, model=MODEL, device="cpu", batch=batch)
        compress(rich_source, str(target), options)
        paths = sorted(path for path in target.rglob("*") if path.is_file() and "/c/" in str(path))
        chunks.append([(path.relative_to(target), path.read_bytes()) for path in paths])
    assert chunks[0] == chunks[1]


def test_only_the_variables_chosen(rich_source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "a.zarr")
    options = Options(ratio=4, model=MODEL, device="cpu", batch=6)
    compress(rich_source, target, options, variables=["msl"])
    assert set(open_store(target).variables) == {"msl"}
    assert set(raw(target).data_vars) == {"msl", "co2", "time_bnds", "crs"}
    assert 4 * 6 * 37 * 72 / bytes_of(Path(target)) >= 4


def test_axes_in_any_order(tmp_path: Path) -> None:
    source = tmp_path / "a.nc"
    series(2).transpose("lon", "time", "lat").to_netcdf(source)
    compress(str(source), str(tmp_path / "b.zarr"), QUICK)
    store = raw(tmp_path / "b.zarr")
    assert store.t2m.dims == ("lon", "time", "lat")
    assert np.std(store.t2m.transpose("time", "lat", "lon").values - series(2).t2m.values) < 2


def test_packed_integers_stay_packed(tmp_path: Path) -> None:
    packed = series(2).copy()
    attributes = {"scale_factor": 0.01, "add_offset": 280.0, "units": "K"}
    integers = np.round((packed.t2m.values - 280) / 0.01).astype("i2")
    packed["t2m"] = (("time", "lat", "lon"), integers, attributes)
    packed.to_netcdf(tmp_path / "a.nc")
    compress(str(tmp_path / "a.nc"), str(tmp_path / "b.zarr"), QUICK)
    store = raw(tmp_path / "b.zarr")
    assert (store.t2m.dtype, store.t2m.attrs) == (np.dtype("i2"), attributes)
    assert np.std(0.01 * store.t2m.values + 280 - series(2).t2m.values) < 2


def too_large(path: Path) -> str:
    source = series(2).astype("f8")
    source["t2m"][1, 10, 20] = 1e300
    source.to_netcdf(path)
    return str(path)


def test_values_that_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    source = too_large(tmp_path / "a.nc")
    one_by_one = Options(ratio=4, model=MODEL, device="cpu", batch=1)
    with pytest.raises(MissingValueError, match="'t2m': expected values that float32 can hold"):
        compress(source, str(tmp_path / "b.zarr"), one_by_one)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_an_interruption_leaves_no_store(series_source: str, tmp_path: Path) -> None:
    def fail(name: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    one = Options(ratio=4, model=MODEL, device="cpu", batch=1)
    with pytest.raises(KeyboardInterrupt):
        compress(series_source, str(tmp_path / "a.zarr"), one, told=fail)
    assert [path.name for path in tmp_path.iterdir()] == [".a.zarr.partial"]


def test_an_existing_store_is_kept_unless_it_may_go(single_source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "a.zarr")
    compress(single_source, target, QUICK)
    before = (Path(target) / "zarr.json").read_bytes()
    with pytest.raises(OutputError, match="exists"):
        compress(single_source, target, QUICK)
    with pytest.raises(MissingValueError):  # a failure keeps the old one
        compress(too_large(tmp_path / "a.nc"), target, QUICK, overwrite=True)
    assert (Path(target) / "zarr.json").read_bytes() == before
    other = Options(ratio=4.5, model=MODEL, device="cpu")
    compress(single_source, target, other, overwrite=True)
    assert 4 * 73 * 144 / bytes_of(Path(target)) >= 4.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nc", "a.zarr"]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (Options(ratio=1000, model=MODEL), UsageError, "smaller ratio"),
        (Options(ratio=4, model="any-l8"), ModelError, "any-l9"),
        (Options(ratio=4, model=MODEL, level=10), LevelError, "level"),
        (Options(ratio=4, model=MODEL, level=3), LevelError, "level"),
        (Options(ratio=4, model=MODEL, bottleneck=7), LevelError, "level"),
        (Options(ratio=4, model=MODEL, remap="spline"), UsageError, "least_squares"),
        (Options(ratio=4, model=MODEL, device="abacus"), UsageError, "device"),
    ],
)
def test_options_that_are_refused(
    single_source: str,
    tmp_path: Path,
    options: Options,
    kind: type[Exception],
    words: str,
) -> None:
    with pytest.raises(kind, match=words) as caught:
        compress(single_source, str(tmp_path / "a.zarr"), options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_options_that_make_no_sense() -> None:
    for wrong in (
        {"ratio": 3.99},
        {"ratio": 4097.0},
        {"ratio": float("nan")},
        {"rmse": {"t2m": 0.0}},
        {"rmse": {"": float("inf")}},
        {"batch": 0},
    ):
        with pytest.raises(UsageError, match="expected"):
            Options(**wrong)


def test_a_coarser_level_and_bottleneck(single_source: str, tmp_path: Path) -> None:
    options = Options(ratio=4, model=MODEL, device="cpu", level=5, bottleneck=4)
    (report,), _ = compress(single_source, f"{tmp_path / 'a.zarr'}/", options)
    assert (report.level, report.bottleneck) == (5, 4)
    assert report.numbers == 4


def test_sources_that_are_refused(tmp_path: Path, series_store: str) -> None:
    rich().isel(lat=slice(0, 20)).to_netcdf(tmp_path / "half.nc")
    (tmp_path / "text.nc").write_text("no dataset")
    target = str(tmp_path / "a.zarr")
    for source, kind in [
        (str(tmp_path / "half.nc"), GridError),
        (str(tmp_path / "text.nc"), FormatError),
        (str(tmp_path / "none.nc"), FormatError),
        (series_store, FormatError),
    ]:
        with pytest.raises(kind):
            compress(source, target, QUICK)
    assert not Path(target).exists()
