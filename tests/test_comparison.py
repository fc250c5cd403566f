"""A store against its original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcodec.comparison import SOURCE_GRID, compare
from hpcodec.compression import Options, compress
from hpcodec.errors import GridError, LevelError, UsageError
from hpcodec.stages.zarr_store import open_store
from tests.synthetic import MODEL, bytes_of, raw, rich, series


def test_errors_are_those_that_compressing_measured(series_source: str, series_store: str) -> None:
    rows = compare(series_source, series_store, device="cpu", batch=8)
    assert [row.grid for row in rows] == [SOURCE_GRID, "3", "5"]
    assert {(row.name, row.units) for row in rows} == {("t2m", "K")}
    recorded = open_store(series_store).record.error["t2m"]
    assert rows[0].figures.rmse == pytest.approx(recorded.rmse, rel=0.02)
    assert rows[0].figures.max_error == pytest.approx(recorded.max_error, rel=0.02)
    ratio = 4 * 8 * 37 * 72 / bytes_of(Path(series_store))
    assert [row.ratio for row in rows] == pytest.approx([ratio] * 3)


def test_bytes_are_those_that_decoding_reads(series_source: str, series_store: str) -> None:
    rows = {row.grid: row for row in compare(series_source, series_store, device="cpu")}
    store = open_store(series_store)
    (item,) = store.variables.values()
    for grid, row in rows.items():
        level = None if grid == SOURCE_GRID else int(grid)
        assert row.bytes == sum(len(store.read(item, step, level)) for step in range(item.steps))
    assert rows["3"].bytes < rows["5"].bytes


def test_bytes_of_fields_that_follow_each_other_count_once(tmp_path: Path) -> None:
    source, target = str(tmp_path / "a.nc"), str(tmp_path / "a.zarr")
    series(4).to_netcdf(source)
    compress(source, target, Options(ratio=4, model=MODEL, device="cpu", key_every=4))
    (row,) = compare(source, target, levels=[], device="cpu")
    store = open_store(target)
    assert row.bytes == len(store.read(store.variables["t2m"], 3))


def test_errors_are_weighted_by_area(series_source: str, series_store: str) -> None:
    (row,) = compare(series_source, series_store, levels=[], device="cpu", batch=8)
    truth = series().t2m.values.astype(float)
    decoded = raw(series_store).t2m.values.astype(float)
    weights = np.cos(np.deg2rad(raw(series_source).lat.values))[:, None] * np.ones(72)
    rmse = np.sqrt(((decoded - truth) ** 2 * weights).sum() / (8 * weights.sum()))
    assert row.figures.rmse == pytest.approx(rmse, rel=0.02)


def test_coarser_is_closer(series_source: str, series_store: str) -> None:
    rows = {row.grid: row for row in compare(series_source, series_store, levels=[3, 5])}
    assert rows["3"].figures.rmse < rows["5"].figures.rmse


def test_chosen_variables_and_levels(rich_source: str, rich_store: str) -> None:
    rows = compare(rich_source, rich_store, variables=["msl"], levels=[3], device="cpu", batch=6)
    assert [(row.name, row.grid, row.units) for row in rows] == [
        ("msl", SOURCE_GRID, "Pa"),
        ("msl", "3", "Pa"),
    ]


@pytest.mark.parametrize("level", [-1, 2, 7, 10, 29])
def test_levels_that_are_refused(single_source: str, single_store: str, level: int) -> None:
    with pytest.raises(LevelError):
        compare(single_source, single_store, levels=[level], device="cpu")


def test_another_dataset_is_refused(series_source: str, single_store: str, tmp_path: Path) -> None:
    with pytest.raises(GridError, match="dataset that was compressed"):
        compare(series_source, single_store)
    series(1, 10.0).to_netcdf(tmp_path / "coarse.nc")
    with pytest.raises(GridError, match="dataset that was compressed"):
        compare(str(tmp_path / "coarse.nc"), single_store)
    rich().to_netcdf(tmp_path / "other.nc")
    with pytest.raises(UsageError, match="t2m"):
        compare(str(tmp_path / "other.nc"), single_store)


def test_a_picture(single_source: str, single_store: str, tmp_path: Path) -> None:
    path = tmp_path / "maps.png"
    compare(single_source, single_store, levels=[], device="cpu", plot=str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
