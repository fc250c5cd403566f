"""Sources of every kind of grid come back on their own, and everything else with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from typer.testing import CliRunner

from hpcodec.cli import app
from hpcodec.coarse import decode_base
from hpcodec.codec import FieldSpaceCodec
from hpcodec.comparison import compare
from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError
from hpcodec.fields import Coding
from hpcodec.grid import BASE_LEVEL
from hpcodec.info import describe
from hpcodec.stages.zarr_store import open_store
from hpcodec.terminal_map import ROWS, draw
from hpcodec.validation import validate
from tests.scattered import SOURCES, icon, octahedral
from tests.synthetic import MODEL, raw

QUICK: dict[str, Any] = {"ratio": 4, "model": MODEL, "device": "cpu"}

Made = tuple[str, str]


@pytest.fixture(scope="module", params=SOURCES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A file, and its store."""
    folder = tmp_path_factory.mktemp(request.param)
    source, store = str(folder / "source.nc"), str(folder / "store.zarr")
    SOURCES[request.param]().to_netcdf(source)
    compress(source, store, Options(**QUICK))
    return source, store


def values(path: str) -> npt.NDArray[np.float32]:
    return np.asarray(raw(path)["tas"].to_numpy())


def close(ours: npt.NDArray[Any], truth: npt.NDArray[Any]) -> bool:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(truth))
    return bool(np.nanstd(ours - truth) < 0.05 * np.nanstd(truth))


def test_there_and_back(made: Made, tmp_path: Path) -> None:
    source, store = made
    back = str(tmp_path / "back.nc")
    decompress(store, back, device="cpu")
    before, after = raw(source), raw(back)
    assert set(after.variables) == set(before.variables)
    for name in set(before.variables) - {"tas"}:
        assert before[name].identical(after[name]), name
    assert after["tas"].dims == before["tas"].dims
    assert close(values(back), values(source))
    assert [found for found in validate(store, source) if found.severity == "error"] == []


def test_the_ratio_is_kept_without_the_coordinates(made: Made) -> None:
    about = describe(made[1])
    assert about["ratio"] >= 4
    assert about["bytes"] - about["grid_bytes"] <= 4 * values(made[0]).size / 4


def test_any_zarr_reader_decodes_it(made: Made) -> None:
    with xr.open_zarr(made[1], consolidated=False, chunks=None) as opened:
        assert close(opened["tas"].isel(time=[1]).to_numpy(), values(made[0])[1:])


def test_engine(made: Made) -> None:
    with xr.open_dataset(made[1], engine="hpcodec") as opened:
        assert close(opened["tas"].to_numpy(), values(made[0]))
    with xr.open_dataset(made[1], engine="hpcodec", level=3) as opened:
        assert opened["tas"].dims == ("time", "cell")
        assert set(opened.coords) == {"time", "cell", "crs"}


def test_compare(made: Made, tmp_path: Path) -> None:
    plot = tmp_path / "maps.png"
    rows = compare(*made, device="cpu", plot=str(plot))
    recorded = open_store(made[1]).record.error["tas"]
    assert rows[0].grid == "source"
    assert rows[0].figures.rmse == pytest.approx(recorded.rmse, rel=0.01)
    assert plot.stat().st_size > 10_000


def test_page(made: Made, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["compare", *made, "--html", str(page), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    text = page.read_text("utf-8")
    assert text.count('class="map"') == 3
    assert text.count('class="chart"') == 3
    assert text.count("nearest to it") == 3


def test_base_field_in_a_terminal(made: Made) -> None:
    store = open_store(made[1])
    item = store.variables["tas"]
    (cells,) = decode_base([store.read(item, 0, BASE_LEVEL)], item.coding)
    assert len(draw(cells).plain.splitlines()) == ROWS


def test_no_details_but_on_rows_and_columns(made: Made) -> None:
    coding = open_store(made[1]).variables["tas"].coding
    assert coding.detail == 0
    with pytest.raises(FormatError, match="expected no details"):
        Coding.from_dict({**coding.to_dict(), "detail": 1})


def test_bound(made: Made, tmp_path: Path) -> None:
    store = str(tmp_path / "bound.zarr")
    compress(made[0], store, Options(model=MODEL, device="cpu", max_error={"": 0.05}))
    with xr.open_zarr(store, consolidated=False, chunks=None) as opened:
        assert np.nanmax(np.abs(opened["tas"].to_numpy() - values(made[0]))) <= 0.05


def test_fields_that_follow_each_other(made: Made, tmp_path: Path) -> None:
    store = str(tmp_path / "chained.zarr")
    compress(made[0], store, Options(**QUICK, key_every=2))
    with xr.open_dataset(store, engine="hpcodec") as opened:
        assert close(opened["tas"].to_numpy(), values(made[0]))


def test_codec_of_an_array(made: Made, tmp_path: Path) -> None:
    with xr.open_dataset(made[0], decode_coords="all") as opened:
        field = opened["tas"].load()
    codec = FieldSpaceCodec.for_field(field, 4, MODEL)
    again = Coding.from_dict(json.loads(json.dumps(codec.coding.to_dict())))
    assert again == codec.coding
    chunks = 1, *field.shape[1:]
    how: dict[str, Any] = {
        "serializer": codec,
        "compressors": None,
        "filters": [],
        "chunks": chunks,
    }
    field.to_dataset().drop_encoding().to_zarr(
        tmp_path / "array.zarr", zarr_format=3, consolidated=False, encoding={"tas": how}
    )
    with xr.open_zarr(tmp_path / "array.zarr", consolidated=False, chunks=None) as opened:
        assert close(opened["tas"].to_numpy(), values(made[0]))


def test_conservative_remap(tmp_path: Path) -> None:
    source, store = tmp_path / "source.nc", str(tmp_path / "store.zarr")
    octahedral().to_netcdf(source)
    compress(str(source), store, Options(**QUICK, remap="conservative"))
    (item,) = open_store(store).variables.values()
    assert item.coding.remap == "conservative"
    with xr.open_zarr(store, consolidated=False, chunks=None) as opened:
        assert close(opened["tas"].to_numpy(), values(str(source)))


def test_points_first_and_time_last(tmp_path: Path) -> None:
    source, store = tmp_path / "turned.nc", str(tmp_path / "turned.zarr")
    turned = icon().transpose("cells", "nv", "time")
    turned.to_netcdf(source)
    compress(str(source), store, Options(**QUICK))
    with xr.open_zarr(store, consolidated=False, chunks=None) as opened:
        assert opened["tas"].dims == ("cells", "time")
        assert close(opened["tas"].to_numpy(), turned["tas"].to_numpy())


def test_cli_says_what_it_does_not_count(tmp_path: Path) -> None:
    source, store = tmp_path / "source.nc", tmp_path / "store.zarr"
    icon(4000).to_netcdf(source)
    command = ["compress", str(source), str(store), "--ratio", "4", "--model", MODEL, "-q"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "bytes of coordinates counted" in result.output
