"""Stores with a bound: it holds at every point, wherever they are decoded, or there is no store."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from hpcodec import bounds, cli, decoding
from hpcodec.codec import FieldSpace, FieldSpaceCodec, coding_of
from hpcodec.compression import Options, compress
from hpcodec.correction import corrected, reserve
from hpcodec.decoding import decode_fields
from hpcodec.decompression import decompress
from hpcodec.errors import OutputError, UsageError
from hpcodec.info import describe
from hpcodec.pipeline import encode_cells, encode_fields
from hpcodec.stages.wire import correction_in, prefix_size, read_header
from hpcodec.stages.zarr_store import open_store
from hpcodec.validation import validate
from tests.synthetic import MODEL, Floats, bytes_of, raw, rich, series, waves

BOUND = 0.75


def options(**more: Any) -> Options:
    return Options(**{"max_error": {"": BOUND}, "model": MODEL, "device": "cpu", **more})


def worst(truth: Any, decoded: Any) -> float:
    return float(np.abs(np.asarray(truth, np.float64) - np.asarray(decoded)).max())


@pytest.fixture(scope="module")
def store(series_source: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the series, within ``BOUND``, by the network."""
    target = str(tmp_path_factory.mktemp("bounded") / "series.zarr")
    compress(series_source, target, options(batch=3, bottleneck=5))
    return target


@pytest.fixture(scope="module")
def payload(store: str) -> bytes:
    opened = open_store(store)
    return opened.read(opened.variables["t2m"], 0)


def test_every_point_is_within_the_bound(store: str, tmp_path: Path) -> None:
    truth = series().t2m.values
    with xr.open_zarr(store, consolidated=False) as opened:
        assert 0.5 * BOUND < worst(truth, opened.t2m.values) <= BOUND
    decompress(store, str(tmp_path / "a.nc"), device="cpu", batch=5)
    back = raw(tmp_path / "a.nc")
    assert worst(truth, back.t2m.values) <= BOUND
    assert back.t2m.attrs["hpcodec_bound"] == BOUND
    assert back.t2m.attrs["hpcodec_max_error"] <= BOUND


def test_the_store_tells_its_bound(store: str, series_source: str) -> None:
    told = open_store(store).record.error["t2m"]
    assert told.bound == BOUND
    assert 0.5 * BOUND < told.max_error <= BOUND
    about = describe(store)["variables"]["t2m"]
    assert about["max_error"] == BOUND
    assert about["first_correction_bytes"] > 0
    assert validate(store) == []
    assert validate(store, series_source, device="cpu") == []


def test_all_bytes_are_counted_and_few(series_source: str, store: str, tmp_path: Path) -> None:
    """With the correction no more than either a fine field or a coarse one would need."""
    sizes = []
    for ratio in (4.0, 16.0):
        target = str(tmp_path / f"{ratio}.zarr")
        (report,), size = compress(series_source, target, options(ratio=ratio))
        assert size == bytes_of(Path(target))
        assert report.max_error <= BOUND
        assert 0 <= report.correction_bytes < report.payload_bytes
        sizes.append(report.payload_bytes)
    (report,), _ = compress(series_source, str(tmp_path / "auto.zarr"), options())
    assert report.payload_bytes <= 1.03 * min(sizes)


def test_batches_do_not_change_the_store(series_source: str, store: str, tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    compress(series_source, str(target), options(batch=8, bottleneck=5))
    for path in (Path(store) / "t2m" / "c").rglob("*"):
        if path.is_file():
            assert (target / path.relative_to(store)).read_bytes() == path.read_bytes()


def test_levels_are_read_without_the_correction(store: str, tmp_path: Path, payload: bytes) -> None:
    opened = open_store(store)
    item = opened.variables["t2m"]
    correction = read_header(payload).correction
    assert correction > 0
    for level in (3, item.coding.bottleneck, 8):
        got = len(opened.read(item, 0, level))
        assert got == prefix_size(payload, level) <= len(payload) - correction
    decompress(store, str(tmp_path / "a.zarr"), level=4, device="cpu")
    assert "not on HEALPix" in raw(tmp_path / "a.zarr").t2m.attrs["hpcodec_bound"]


def test_sharp_fields_have_no_bound(store: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bound"):
        decompress(store, str(tmp_path / "a.nc"), sharp=True, device="cpu")
    decompress(store, str(tmp_path / "a.zarr"), sharp=True, level=5, device="cpu")


def test_bounds_by_variable(rich_source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "a.zarr")
    given = options(max_error={"ta": 0.5}, max_rel_error={"": 0.01}, batch=6)
    reports, _ = compress(rich_source, target, given)
    # A folder lists variables in any order.
    told = {r.name: (r.bound, r.relative_bound) for r in reports}
    assert told == {"ta": (0.5, 0), "msl": (0, 0.01)}
    truth = rich()
    with xr.open_zarr(target, consolidated=False) as opened:
        assert worst(truth.ta.values, opened.ta.values) <= 0.5
        for member in range(2):
            for time in range(3):
                one = truth.msl.values[member, time]
                other = opened.msl.values[member, time]
                assert worst(one, other) <= 0.01 * float(np.ptp(one.astype(np.float64)))
    assert validate(target, rich_source, device="cpu") == []


def test_fields_that_follow_each_other(series_source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "a.zarr")
    compress(series_source, target, options(key_every=3))
    with xr.open_zarr(target, consolidated=False) as opened:
        assert worst(series().t2m.values, opened.t2m.values) <= BOUND
    assert validate(target, series_source, device="cpu") == []


def test_an_rmse_and_a_bound(single_source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "a.zarr")
    (report,), _ = compress(single_source, target, options(rmse={"": 0.6}))
    assert report.rmse <= 0.6
    assert report.max_error <= BOUND


def test_a_constant_field(tmp_path: Path) -> None:
    source = series(2)
    source["t2m"][...] = 281.3
    source.to_netcdf(tmp_path / "a.nc")
    given = options(max_error={}, max_rel_error={"": 0.01})
    compress(str(tmp_path / "a.nc"), str(tmp_path / "b.zarr"), given)
    np.testing.assert_array_equal(raw(tmp_path / "b.zarr").t2m.values, np.float32(281.3))


def test_float64_and_packed_sources(tmp_path: Path) -> None:
    source = series(1)
    source["t2m"] = source.t2m.astype("f8") + 1e-6
    source.to_netcdf(tmp_path / "a.nc")
    compress(str(tmp_path / "a.nc"), str(tmp_path / "b.zarr"), options())
    assert worst(source.t2m.values, raw(tmp_path / "b.zarr").t2m.values) <= BOUND
    attributes = {"scale_factor": 0.01, "add_offset": 280.0, "units": "K"}
    packed = np.round((series(1).t2m.values - 280) / 0.01).astype("i2")
    source["t2m"] = (("time", "lat", "lon"), packed, attributes)
    source.to_netcdf(tmp_path / "c.nc")
    compress(str(tmp_path / "c.nc"), str(tmp_path / "d.zarr"), options())
    found = raw(tmp_path / "d.zarr").t2m.values * 0.01 + 280.0
    assert worst(packed * 0.01 + 280.0, found) <= BOUND


def test_what_fills_holes_does_not_widen_the_range(tmp_path: Path) -> None:
    source = series(1)
    source["t2m"][0, 10:14, 20:25] = np.nan
    source.to_netcdf(tmp_path / "a.nc")
    given = options(max_error={}, max_rel_error={"": 0.02})
    compress(str(tmp_path / "a.nc"), str(tmp_path / "b.zarr"), given)
    truth = source.t2m.values
    error = np.abs(truth - raw(tmp_path / "b.zarr").t2m.values)
    assert np.nanmax(error) <= 0.02 * (np.nanmax(truth) - np.nanmin(truth))


@pytest.mark.parametrize("codec", ["v2", "v3"])
def test_the_codec(codec: str) -> None:
    field = series(1).t2m
    given: dict[str, Any] = {"model": MODEL, "max_error": BOUND}
    if codec == "v2":
        made = FieldSpace.for_field(field, **given)
        back = made.decode(made.encode(field.values)).reshape(field.shape)
        assert FieldSpace(**{k: v for k, v in made.get_config().items() if k != "id"}).coding
    else:
        kept = FieldSpaceCodec.from_dict(FieldSpaceCodec.for_field(field, **given).to_dict())
        back = decode_fields(encode_fields(field.values, kept.coding).payloads, kept.coding)
    assert worst(field.values, back) <= BOUND
    relative = coding_of(field, model=MODEL, max_rel_error=0.02)
    assert relative.bound(field.values[0]) == pytest.approx(0.02 * np.ptp(field.values))
    with pytest.raises(UsageError, match="above 0"):
        coding_of(field, max_error=-1)


def other_ways(payload: bytes, coding: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Floats]:
    """The first of several decodings of the same payload, elsewhere and otherwise."""
    found = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for batch in (1, 3):
            found[f"{threads}, {batch}"] = decode_fields([payload] * batch, coding, "cpu")[0]
    torch.set_num_threads(1)
    with torch.autocast("cpu", torch.bfloat16):
        found["bfloat16"] = decode_fields([payload], coding, "cpu")[0]
    torch.set_float32_matmul_precision("medium")
    try:
        found["medium"] = decode_fields([payload], coding, "cpu")[0]
    finally:
        torch.set_float32_matmul_precision("highest")
    return found


def test_the_bound_holds_elsewhere(
    store: str, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    coding = open_store(store).variables["t2m"].coding
    truth = series().t2m.values[0]
    ways = other_ways(payload, coding, monkeypatch)
    assert len(ways) == 6
    for way, decoded in ways.items():
        assert worst(truth, decoded) <= BOUND, way
    np.testing.assert_array_equal(ways["bfloat16"], ways["1, 1"])


@pytest.mark.parametrize("push", [1, -1, 0])
def test_the_bound_holds_at_the_edge_of_the_reserve(
    store: str, payload: bytes, monkeypatch: pytest.MonkeyPatch, push: int
) -> None:
    """All points of the decoded field moved by the reserve, but for what rounding takes of it."""
    coding = open_store(store).variables["t2m"].coding
    truth = series().t2m.values[0]
    kept = reserve(truth, read_header(payload).scale)
    signs = push or np.random.default_rng(0).choice([-1, 1], truth.shape)

    def moved(decoded: Floats, code: bytes) -> Floats:
        return corrected(np.asarray(decoded + signs * kept * (1 - 2**-3), np.float32), code)

    before = decode_fields([payload], coding, "cpu")[0]
    monkeypatch.setattr(decoding, "corrected", moved)
    after = decode_fields([payload], coding, "cpu")[0]
    assert worst(before, after) > 0.5 * kept
    assert worst(truth, after) <= BOUND


def test_the_reserve_is_small_and_far_more_than_is_needed(store: str, payload: bytes) -> None:
    coding = open_store(store).variables["t2m"].coding
    truth = series().t2m.values[0]
    kept = reserve(truth, read_header(payload).scale)
    assert kept < 0.01 * BOUND
    ways = [decode_fields([payload] * count, coding, "cpu")[0] for count in (1, 2, 5)]
    assert max(worst(ways[0], way) for way in ways) <= kept / 10


def test_a_bound_that_does_not_hold_is_no_store(
    single_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any, **more: Any) -> Floats:
        fields = decode_fields(*arguments, **more)
        fields[..., 3, 3] += np.float32(2 * BOUND)
        return fields

    monkeypatch.setattr(bounds, "decode_fields", wrong)
    with pytest.raises(OutputError, match="'t2m', step 0"):
        compress(single_source, str(tmp_path / "a.zarr"), options())
    assert list(tmp_path.iterdir()) == []


def test_validate_finds_what_is_beyond(store: str, tmp_path: Path) -> None:
    other = series()
    other["t2m"][5, 7, 7] += 3 * BOUND
    other.to_netcdf(tmp_path / "a.nc")
    found = {one.where: one.what for one in validate(store, str(tmp_path / "a.nc"), device="cpu")}
    assert set(found) == {"t2m", "t2m, step 5"}
    assert f"expected errors up to {BOUND}" in found["t2m, step 5"]
    series(3).to_netcdf(tmp_path / "b.nc")
    finding, *_ = validate(store, str(tmp_path / "b.nc"), device="cpu")
    assert "shape" in finding.what
    result = CliRunner().invoke(cli.app, ["validate", store, str(tmp_path / "a.nc")])
    assert result.exit_code == 1
    assert "t2m, step 5" in result.output


def test_damaged_corrections_are_found(store: str, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy.zarr"
    shutil.copytree(store, copy)
    chunk = copy / "t2m" / "c" / "2" / "0" / "0"
    code = chunk.read_bytes()
    assert correction_in(code)
    for bad in (code[:-1], code[:-9] + bytes([code[-9] ^ 4]) + code[-8:], code + b"\0"):
        chunk.write_bytes(bad)
        (finding,) = validate(str(copy))
        assert finding.where == "t2m, step 2"


def test_bounds_that_cannot_be_kept(single_source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'t2m': expected a bound of at least .*"):
        compress(single_source, str(tmp_path / "a.zarr"), options(max_error={"": 1e-6}))
    with pytest.raises(UsageError, match="Did you mean 't2m'"):
        compress(single_source, str(tmp_path / "a.zarr"), options(max_error={"t2n": 1}))
    with pytest.raises(UsageError, match="above 0"):
        options(max_rel_error={"": 0.0})
    assert list(tmp_path.iterdir()) == []
    coding = coding_of(series(1).t2m, model=MODEL, max_error=1)
    with pytest.raises(UsageError, match="for cells"):
        encode_cells(np.zeros((1, 12 * 4**coding.level), np.float32), coding)


def test_the_command(single_source: str, tmp_path: Path) -> None:
    target = str(tmp_path / "a.zarr")
    given = ["--max-rel-error", "1%", "--model", MODEL, "--device", "cpu", "--json"]
    result = CliRunner().invoke(cli.app, ["compress", single_source, target, *given])
    assert result.exit_code == 0, result.output
    (report,) = json.loads(result.stdout)["variables"]
    truth = waves(1, 2.5)[0]
    bound = 0.01 * float(np.ptp(truth))
    assert report["relative_bound"] == 0.01
    assert report["correction_bytes"] > 0
    assert 0.5 * bound < worst(truth, raw(target).t2m.values[0]) <= bound
    shown = CliRunner().invoke(cli.app, ["info", target])
    assert "1% of the range" in shown.stdout
    for wrong in (["--ratio", "auto"], ["--max-error", "1%"], ["--max-error", "0.1,0.2"]):
        result = CliRunner().invoke(cli.app, ["compress", single_source, f"{target}2", *wrong])
        assert result.exit_code in (1, 2)


def test_coding_keeps_its_bound() -> None:
    coding = coding_of(series(1).t2m, model=MODEL, max_error=BOUND)
    assert coding.free
    assert type(coding).from_dict(coding.to_dict()) == coding
    both = dataclasses.replace(coding, max_rel_error=0.001)
    assert both.bound(np.array([0.0, 100.0, np.nan])) == 0.1
    assert not dataclasses.replace(coding, size=100).free
