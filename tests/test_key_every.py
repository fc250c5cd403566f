"""Consecutive times coded from each other, from the option to the bytes and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.codec import FieldSpace, FieldSpaceCodec, coding_of
from hpcodec.compression import Options, VariableReport, compress
from hpcodec.decoding import decode_cells, decode_fields
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, GridError, UsageError
from hpcodec.fields import Coding, CompressedField
from hpcodec.info import describe
from hpcodec.pipeline import encode_fields
from hpcodec.stages.wire import (
    HEADER_MOST,
    pack,
    prefix_size,
    read_header,
    split_payloads,
    unpack,
)
from hpcodec.stages.zarr_store import chunk_key, chunk_shape, open_store
from hpcodec.validation import validate
from tests.synthetic import HOURS, axes, waves
from tests.tiny import (
    assert_same,
    compressed_field,
    flat_entropy,
    write_model,
)

Floats = npt.NDArray[np.float32]

MODEL, FINER = "following", "following-finer"
SHAPE = (37, 72)
EVERY, TIMES, LEVELS = 3, 7, 2
LEVEL = 5

# Model, data and stores


@pytest.fixture(autouse=True, scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Models that guess nothing, but code what is small in few bytes, on the search path.

    They go no finer than the grids do: what no grid point tells would only cost them.
    """
    folder = tmp_path_factory.mktemp("models")
    for name, level in ((MODEL, LEVEL - 1), (FINER, LEVEL)):
        write_model(folder / name, level)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCODEC_MODELS", str(folder))
        yield


@lru_cache
def slow(
    times: int = TIMES, levels: int = LEVELS, degrees: float = 5.0, drift: float = 0.3
) -> Floats:
    """Fields that hardly change, ``(times, levels, rows, columns)``, K."""
    base = waves(levels, degrees, seed=1)
    # Their difference is noise alone.
    noise = waves(times * levels, degrees, seed=2) - waves(times * levels, degrees, seed=3)
    values = base + drift * noise.reshape(times, *base.shape)
    values.flags.writeable = False
    return np.asarray(values, np.float32)


def dataset(values: Floats, degrees: float = 5.0) -> xr.Dataset:
    """Raw dataset of ``(times, levels, rows, columns)``."""
    temperature = {"standard_name": "air_temperature", "units": "K"}
    hours = ("time", 6 * np.arange(len(values)), HOURS)
    pressure = ("plev", np.array([850.0, 500.0])[: values.shape[1]], {"units": "hPa"})
    coordinates = {**axes(degrees), "time": hours, "plev": pressure}
    dims = ("time", "plev", "lat", "lon")
    return xr.Dataset(
        {"ta": (dims, values, temperature)}, coords=coordinates, attrs={"Conventions": "CF-1.8"}
    )


def series(values: Floats) -> xr.DataArray:
    """Variable ``(time, lat, lon)`` of the first level."""
    array: xr.DataArray = xr.decode_cf(dataset(values)).ta.isel(plev=0, drop=True)
    return array


@dataclass(frozen=True)
class Made:
    """A store, and what was said of it."""

    path: Path
    report: VariableReport

    def field(self, time: int, level: int) -> Path:
        """File of the chunk with a field."""
        item = open_store(str(self.path)).variables["ta"]
        step = time * item.shape[1] + level
        return self.path / "ta" / chunk_key(item.shape, step, item.coding.key_every)

    def values(self) -> Floats:
        """As xarray reads it."""
        with xr.open_zarr(self.path, consolidated=False) as read:
            return np.asarray(read.ta.values)


def make(folder: Path, values: Floats, degrees: float = 5.0, **options: Any) -> Made:
    """Store of ``values``."""
    folder.mkdir(exist_ok=True)
    source, target = folder / "source.nc", folder / "store.zarr"
    dataset(values, degrees).to_netcdf(source)
    plain: dict[str, Any] = {"ratio": 5, "key_every": EVERY, "model": MODEL, "device": "cpu"}
    wanted = Options(**{**plain, **options})
    (report,), _ = compress(str(source), str(target), wanted)
    return Made(target, report)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Seven times in chunks of three, of two levels."""
    return make(tmp_path_factory.mktemp("made") / "a", slow())


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four times in chunks of three, on a finer grid."""
    values = slow(4, 1, 2.5)
    return make(tmp_path_factory.mktemp("fine") / "a", values, 2.5, model=FINER, bottleneck=LEVEL)


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Made:
    """To be damaged."""
    shutil.copytree(made.path, tmp_path / "copy.zarr")
    return Made(tmp_path / "copy.zarr", made.report)


def errors(decoded: Floats, truth: Floats) -> Floats:
    """RMSE of each field over the sphere."""
    weights = np.cos(np.deg2rad(np.linspace(90, -90, truth.shape[-2])))[:, None]
    weights = weights / weights.mean()
    return np.asarray(np.sqrt((weights * (decoded - truth) ** 2.0).mean((-2, -1))), np.float32)


# Wire


def following(bottleneck: int = 5) -> CompressedField:
    carry = (64, 40, 0, 63, 1, 64)[: bottleneck - 2]
    return replace(compressed_field(bottleneck, 0.4), carry=carry)


ALONE = pack(compressed_field(5, 0.4), flat_entropy())
FOLLOWING = pack(following(), flat_entropy())
SHORT = pack(following(3), flat_entropy())


@pytest.mark.parametrize("bottleneck", range(3, 9))
def test_headers_say_what_is_carried(bottleneck: int) -> None:
    levels = bottleneck - 2
    symbols, codes = (np.zeros((3, 0), np.int32),) * (levels - 1), (b"code",) * (levels - 1)
    alone = replace(following(3), carry=(), residuals=symbols, codes=codes)
    carry = tuple(range(64, 64 - levels, -1))
    payloads = [pack(field, flat_entropy()) for field in (alone, replace(alone, carry=carry))]
    headers = [read_header(payload[:HEADER_MOST]) for payload in payloads]
    assert [header.carry for header in headers] == [(), carry]
    assert headers[1].size == headers[0].size + levels <= HEADER_MOST
    assert (
        len(payloads[1]) == prefix_size(payloads[1], 8) == headers[1].size + sum(headers[1].lengths)
    )


@pytest.mark.parametrize("level", [3, 4, 5])
def test_prefixes_of_a_field_that_carries(level: int) -> None:
    size = prefix_size(FOLLOWING[:HEADER_MOST], level)
    part = unpack(FOLLOWING[:size], flat_entropy(), level)
    assert_same(part, unpack(FOLLOWING, flat_entropy(), level))
    assert part.carry == following().carry[: level - 2]
    assert part.bottleneck == level
    with pytest.raises(FormatError, match="segment of"):
        unpack(FOLLOWING[: size - 1], flat_entropy(), level)


def test_every_flipped_byte_of_a_field_that_carries_is_noticed() -> None:
    assert unpack(SHORT, flat_entropy()).carry == (64,)
    for place in range(len(SHORT)):
        damaged = bytearray(SHORT)
        damaged[place] ^= 0x41
        with pytest.raises(FormatError):
            unpack(bytes(damaged), flat_entropy())
    for size in range(len(SHORT)):
        with pytest.raises(FormatError):
            unpack(SHORT[:size], flat_entropy())


@given(st.integers(0, len(FOLLOWING) - 1), st.integers(1, 255))
def test_flips_in_finer_levels_are_noticed(place: int, change: int) -> None:
    damaged = bytearray(FOLLOWING)
    damaged[place] ^= change
    with pytest.raises(FormatError):
        unpack(bytes(damaged), flat_entropy())


@given(st.lists(st.sampled_from([ALONE, FOLLOWING, SHORT]), min_size=1, max_size=5))
def test_chunks_come_apart(payloads: list[bytes]) -> None:
    assert split_payloads(b"".join(payloads)) == payloads


def test_a_chunk_may_end_within_a_payload_but_not_within_a_header() -> None:
    whole, part = split_payloads(ALONE + FOLLOWING[:-1])
    assert (whole, part) == (ALONE, FOLLOWING[:-1])
    for end in (1, 4, 20):
        with pytest.raises(FormatError, match="expected"):
            split_payloads(ALONE + FOLLOWING[:end])


@given(st.binary(min_size=1, max_size=200))
def test_random_bytes_after_a_payload(rest: bytes) -> None:
    with pytest.raises(FormatError, match="expected"):
        split_payloads(ALONE + rest)


# Options and JSON


@pytest.mark.parametrize("every", [0, -1])
def test_a_key_field_every_so_many_times_is_one_at_least(
    every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=f"got {every}"):
        Options(key_every=every)
    for make_codec in (FieldSpaceCodec.for_field, FieldSpace.for_field, coding_of):
        with pytest.raises(UsageError, match=f"got {every}"):
            make_codec(series(slow()), 5, MODEL, key_every=every)
    source = str(tmp_path / "a.nc")
    dataset(slow()).to_netcdf(source)
    result = CliRunner().invoke(cli.app, ["compress", source, "--key-every", str(every)])
    assert result.exit_code != 0
    assert isinstance(result.exception, UsageError | SystemExit)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_codings_in_json() -> None:
    alone, chained = (coding_of(series(slow()), 5, MODEL, key_every=every) for every in (1, 4))
    assert "key_every" not in alone.to_dict()
    assert Coding.from_dict(alone.to_dict()).key_every == 1
    assert chained.to_dict()["key_every"] == 4
    assert Coding.from_dict(json.loads(json.dumps(chained.to_dict()))) == chained != alone
    for wrong in (0, -3, 2.0, "4", True, None):
        with pytest.raises(FormatError, match="key_every"):
            Coding.from_dict({**chained.to_dict(), "key_every": wrong})


@pytest.mark.parametrize(
    ("shape", "every", "chunk", "keys"),
    [
        (SHAPE, 3, SHAPE, {0: "c/0/0"}),
        ((7, *SHAPE), 3, (3, *SHAPE), {0: "c/0/0/0", 2: "c/0/0/0", 3: "c/1/0/0", 6: "c/2/0/0"}),
        ((7, 2, *SHAPE), 3, (3, 1, *SHAPE), {5: "c/0/1/0/0", 6: "c/1/0/0/0", 13: "c/2/1/0/0"}),
        ((7, 2, *SHAPE), 1, (1, 1, *SHAPE), {5: "c/2/1/0/0"}),
    ],
)
def test_where_fields_are(
    shape: tuple[int, ...], every: int, chunk: tuple[int, ...], keys: dict[int, str]
) -> None:
    assert chunk_shape(shape, every) == chunk
    assert {step: chunk_key(shape, step, every) for step in keys} == keys


# Stores


def test_chunks_hold_the_times_that_they_should(made: Made) -> None:
    item = open_store(str(made.path)).variables["ta"]
    assert item.coding.key_every == EVERY
    files = sorted(p for p in (made.path / "ta").rglob("*") if p.is_file() and "/c/" in str(p))
    assert files == sorted({made.field(t, k) for t in range(TIMES) for k in range(LEVELS)})
    assert len(files) == 3 * LEVELS
    total = 0
    for time in (0, 3, 6):
        for level in range(LEVELS):
            payloads = split_payloads(made.field(time, level).read_bytes())
            carries = [bool(read_header(payload).carry) for payload in payloads]
            assert carries == [False, True, True][: min(EVERY, TIMES - time)]
            scalings = {(h.offset, h.scale) for h in map(read_header, payloads)}
            assert len(scalings) == 1
            assert max(map(len, payloads)) <= item.coding.size
            total += sum(map(len, payloads))
    assert total == made.report.payload_bytes


def test_xarray_reads_it_alone(made: Made) -> None:
    values = made.values()
    assert values.shape == (TIMES, LEVELS, *SHAPE)
    assert values.dtype == np.float32
    assert errors(values, slow()).max() < 0.35
    told = float(np.sqrt(np.mean(errors(values, slow()) ** 2)))
    assert told == pytest.approx(made.report.rmse, rel=0.02)
    one = zarr.open_array(made.path / "ta", mode="r")[4, 1]
    np.testing.assert_array_equal(one, values[4, 1])


@pytest.mark.parametrize("batch", [1, 4, 14])
def test_decompressing_gives_the_same(made: Made, tmp_path: Path, batch: int) -> None:
    decompress(str(made.path), str(tmp_path / "a.nc"), device="cpu", batch=batch)
    with xr.open_dataset(tmp_path / "a.nc") as read:
        assert read.ta.shape == (TIMES, LEVELS, *SHAPE)
        np.testing.assert_allclose(read.ta.values, made.values(), atol=2e-3)


@pytest.mark.parametrize(("time", "first", "last"), [(5, 5, 5), (2, 2, 3), (6, 6, 6), (0, 0, 0)])
def test_decompressing_a_few_times(
    made: Made, tmp_path: Path, time: int, first: int, last: int
) -> None:
    day = np.datetime64("2020-01-01T00")
    span = "/".join(str(day + 6 * hour) for hour in (first, last))
    decompress(str(made.path), str(tmp_path / "a.zarr"), time=span, device="cpu")
    with xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as read:
        assert read.ta.shape == (last - first + 1, LEVELS, *SHAPE)
        np.testing.assert_allclose(read.ta.values, made.values()[first : last + 1], atol=2e-3)


@pytest.mark.parametrize("level", [3, 4, 5])
def test_coarser_levels_are_the_means_of_the_finest(fine: Made, level: int) -> None:
    store = open_store(str(fine.path))
    item = store.variables["ta"]
    assert (item.coding.level, item.coding.bottleneck) == (5, 5)
    chains = [store.read(item, step) for step in range(4)]
    whole = decode_cells(chains, item.coding, 5, "cpu")
    for step in range(4):
        read = store.read(item, step, level)
        coarse = decode_cells([read], item.coding, level, "cpu")
        means = whole[step].reshape(coarse.shape[1], -1).mean(-1, dtype=np.float64)
        np.testing.assert_allclose(coarse[0], means, atol=2e-3)


def test_decompressing_one_time_at_a_coarser_level(fine: Made, tmp_path: Path) -> None:
    target = str(tmp_path / "a.nc")
    decompress(str(fine.path), target, level=4, time="2020-01-01T12", device="cpu")
    store = open_store(str(fine.path))
    item = store.variables["ta"]
    whole = decode_cells([store.read(item, 2)], item.coding, 5, "cpu")
    with xr.open_dataset(target) as read:
        assert read.ta.shape == (1, 1, 12 * 4**4)
        means = whole.reshape(-1, 4).mean(-1, dtype=np.float64)
        np.testing.assert_allclose(read.ta.values[0, 0], means, atol=2e-3)


def test_the_last_payload_of_a_chain_may_be_a_prefix(fine: Made) -> None:
    store = open_store(str(fine.path))
    item = store.variables["ta"]
    *before, own = split_payloads(store.read(item, 2))
    prefix = b"".join([*before, own[: prefix_size(own, 4)]])
    part = decode_cells([prefix], item.coding, 4, "cpu")
    whole = decode_cells([store.read(item, 2)], item.coding, 4, "cpu")
    np.testing.assert_array_equal(part, whole)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5, 6], [6, 2, 0, 5, 4, 1, 3], [1, 1, 0], [5]])
def test_fields_decode_in_any_order(made: Made, order: list[int]) -> None:
    store = open_store(str(made.path))
    item = store.variables["ta"]
    for level in range(LEVELS):
        chains = [store.read(item, time * LEVELS + level) for time in order]
        decoded = decode_fields(chains, item.coding, "cpu")
        np.testing.assert_allclose(decoded, made.values()[order, level], atol=2e-3)


def test_levels_decode_side_by_side(made: Made) -> None:
    store = open_store(str(made.path))
    item = store.variables["ta"]
    chains = [store.read(item, step) for step in range(item.steps)]
    decoded = decode_fields(chains, item.coding, "cpu").reshape(TIMES, LEVELS, *SHAPE)
    np.testing.assert_allclose(decoded, made.values(), atol=2e-3)


def test_a_whole_store_has_no_findings(made: Made) -> None:
    assert validate(str(made.path)) == []


def test_info(made: Made) -> None:
    about = describe(str(made.path))["variables"]["ta"]
    assert about["dims"] == {"time": TIMES, "plev": LEVELS, "lat": 37, "lon": 72}
    (first, *_) = split_payloads(made.field(0, 0).read_bytes())
    assert list(about["first_field_bytes"].values()) == read_header(first).lengths


@pytest.mark.parametrize("asked", [{"ratio": 5}, {"rmse": {"ta": 0.4}}])
def test_batches_do_not_change_the_bytes(tmp_path: Path, asked: dict[str, Any]) -> None:
    chunks = []
    for batch in (1, 5, 14):
        store = make(tmp_path / str(batch), slow(), batch=batch, **asked).path
        paths = sorted(path for path in store.rglob("*") if path.is_file() and "/c/" in str(path))
        chunks.append([(path.relative_to(store), path.read_bytes()) for path in paths])
    assert chunks[0] == chunks[1] == chunks[2]


@pytest.mark.parametrize("every", [2, 7, 100])
def test_any_number_of_times_to_a_key_field(tmp_path: Path, every: int) -> None:
    store = make(tmp_path / "a", slow(), key_every=every)
    # No reader has to make room for more times than there are.
    assert zarr.open_array(store.path / "ta", mode="r").chunks[0] == min(every, TIMES)
    assert store.values().shape == slow().shape
    assert errors(store.values(), slow()).max() < 0.35
    assert validate(str(store.path)) == []


def test_a_variable_without_time(tmp_path: Path) -> None:
    source, target = str(tmp_path / "a.nc"), str(tmp_path / "a.zarr")
    dataset(slow()).isel(time=0, plev=0, drop=True).to_netcdf(source)
    compress(source, target, Options(ratio=4, key_every=EVERY, model=MODEL, device="cpu"))
    with xr.open_zarr(target, consolidated=False) as read:
        assert read.ta.shape == SHAPE
        assert errors(read.ta.values, slow()[0, 0]) < 0.7
    assert validate(target) == []
    decompress(target, str(tmp_path / "b.nc"), device="cpu")


# What it is for


def test_by_ratio_the_error_is_smaller(tmp_path: Path) -> None:
    alone = make(tmp_path / "alone", slow(), key_every=1, bottleneck=4)
    chained = make(tmp_path / "chained", slow(), key_every=TIMES)
    floor = alone.report.remap_rmse
    assert chained.report.payload_bytes <= alone.report.payload_bytes * 1.02
    own = [np.sqrt(store.report.rmse**2 - floor**2) for store in (alone, chained)]
    assert own[1] < 0.7 * own[0]


def test_by_error_the_bytes_are_fewer(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"rmse": {"ta": 0.4}}
    alone = make(tmp_path / "alone", slow(), key_every=1, bottleneck=4, **asked)
    chained = make(tmp_path / "chained", slow(), key_every=TIMES, **asked)
    assert errors(chained.values(), slow()).max() <= 0.4001
    assert chained.report.payload_bytes < 0.6 * alone.report.payload_bytes


def test_a_series_that_stands_still(tmp_path: Path) -> None:
    """Key fields are no worse than on their own, whatever those that follow them need."""
    values = np.repeat(slow()[:1, :1], 8, 0)
    alone = make(tmp_path / "alone", values[:4], ratio=4, key_every=1, bottleneck=4)
    chained = make(tmp_path / "chained", values, ratio=4, key_every=4)
    found = errors(chained.values(), values)[:, 0]
    assert found.max() < 1.05 * found[0]
    assert found[0] < 1.05 * alone.report.rmse


# Chains of fields that are not alike


def constant(value: float) -> Floats:
    return np.full((1, 1, *SHAPE), value, np.float32)


@pytest.mark.parametrize("asked", [{"ratio": 5}, {"rmse": {"ta": 0.4}}], ids=["ratio", "rmse"])
@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("value", [0.0, 280.0, float(np.median(waves(2, seed=1)[0]))])
def test_a_constant_field_in_a_chain(
    tmp_path: Path, place: int, value: float, asked: dict[str, Any]
) -> None:
    """Such as sea ice before there is any; other fields do without its scale."""
    weather = slow(3, 1)
    values = np.concatenate([weather[:place], constant(value), weather[place:]])
    store = make(tmp_path / "a", values, key_every=4, **asked)
    found = errors(store.values(), values)[:, 0]
    assert found[place] < 0.01
    assert found.max() < 0.42
    assert validate(str(store.path)) == []


def test_constant_fields_one_after_the_other(tmp_path: Path) -> None:
    values = np.concatenate([constant(value) for value in (0, 0, 1, 280, 280, -5)])
    store = make(tmp_path / "a", values, key_every=6)
    assert np.abs(store.values() - values).max() < 1e-4


def test_a_field_of_another_size_in_a_chain(tmp_path: Path) -> None:
    """Such as the first hours of a model that starts from rest."""
    quiet = 280 + 0.01 * (slow(1, 1) - 280)
    values = np.concatenate([quiet, slow(3, 1)])
    found = errors(make(tmp_path / "a", values, key_every=4).values(), values)[:, 0]
    assert found[0] < 0.01
    assert found.max() < 0.35


# Damage


def rewrite(path: Path, *payloads: bytes) -> None:
    path.write_bytes(b"".join(payloads))


def test_a_chunk_that_begins_with_a_field_that_follows(copy: Made, tmp_path: Path) -> None:
    chunk = copy.field(0, 0)
    _, second, third = split_payloads(chunk.read_bytes())
    rewrite(chunk, second, second, third)
    with pytest.raises(FormatError, match="begins with"):
        decompress(str(copy.path), str(tmp_path / "a.nc"), device="cpu")
    with pytest.raises(FormatError, match="begins with"):
        copy.values()
    assert [finding.where for finding in validate(str(copy.path))] == ["ta, step 0"]


def test_fields_that_follow_none_where_each_has_its_own_chunk(made: Made) -> None:
    store = open_store(str(made.path))
    item = store.variables["ta"]
    _, follower, _ = split_payloads(made.field(0, 0).read_bytes())
    with pytest.raises(FormatError, match="begins with"):
        decode_fields([follower], replace(item.coding, key_every=1), "cpu")


@pytest.mark.parametrize("time", [0, 6])
def test_a_chunk_with_too_few_fields(copy: Made, tmp_path: Path, time: int) -> None:
    chunk = copy.field(time, 1)
    rewrite(chunk, *split_payloads(chunk.read_bytes())[:-1])
    found = validate(str(copy.path))
    assert found
    assert all(finding.where.startswith("ta, step") for finding in found)
    with pytest.raises(FormatError, match="expected"):
        decompress(str(copy.path), str(tmp_path / "a.nc"), device="cpu")


@pytest.mark.parametrize("time", [0, 6])
def test_a_chunk_with_too_many_fields(copy: Made, tmp_path: Path, time: int) -> None:
    chunk = copy.field(time, 1)
    payloads = split_payloads(chunk.read_bytes())
    rewrite(chunk, *payloads, payloads[-1])
    assert validate(str(copy.path))
    with pytest.raises(FormatError, match="expected"):
        decompress(str(copy.path), str(tmp_path / "a.nc"), device="cpu")


@pytest.mark.parametrize("place", [0, 5, 40, 2500, -1])
def test_damage_within_a_chunk(copy: Made, place: int) -> None:
    chunk = copy.field(0, 0)
    damaged = bytearray(chunk.read_bytes())
    damaged[place] ^= 0x41
    rewrite(chunk, bytes(damaged))
    assert validate(str(copy.path))
    with pytest.raises(FormatError):
        copy.values()


def test_truncated_chunks(copy: Made) -> None:
    chunk = copy.field(0, 0)
    whole = chunk.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 10, 0):
        rewrite(chunk, whole[:size])
        assert validate(str(copy.path))
        with pytest.raises(FormatError):
            copy.values()


def test_payloads_that_are_not_there() -> None:
    coding = coding_of(series(slow()), 5, MODEL, key_every=4)
    with pytest.raises(FormatError, match="expected"):
        decode_fields([b""], coding, "cpu")


# Codec


@lru_cache
def chained_codec() -> FieldSpaceCodec:
    return FieldSpaceCodec.for_field(series(slow()), 5, MODEL, key_every=4)


def write(path: Path, values: Floats, codec: Any, chunks: tuple[int, ...]) -> None:
    version = 3 if isinstance(codec, FieldSpaceCodec) else 2
    how = {"serializer": codec, "compressors": None} if version == 3 else {"compressors": codec}
    series(values).to_dataset().to_zarr(
        path, zarr_format=version, consolidated=False, encoding={"ta": {**how, "chunks": chunks}}
    )


def read(path: Path) -> Floats:
    with xr.open_zarr(path, consolidated=False) as opened:
        return np.asarray(opened.ta.values)


@pytest.mark.parametrize("kind", [FieldSpace, FieldSpaceCodec])
def test_chunks_of_several_times_in_a_pipeline(
    tmp_path: Path, kind: type[FieldSpace] | type[FieldSpaceCodec]
) -> None:
    values = slow()[:6]
    codec = kind.for_field(series(slow()), 5, MODEL, key_every=4)
    write(tmp_path / "a.zarr", values, codec, (4, *SHAPE))
    assert read(tmp_path / "a.zarr").shape == (6, *SHAPE)
    assert errors(read(tmp_path / "a.zarr"), values[:, 0]).max() < 0.35
    write(tmp_path / "b.zarr", values[:4], codec, (4, *SHAPE))
    np.testing.assert_array_equal(read(tmp_path / "b.zarr"), read(tmp_path / "a.zarr")[:4])


def test_the_last_chunk_holds_what_there_is(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", slow()[:6], chained_codec(), (4, *SHAPE))
    folder = tmp_path / "a.zarr" / "ta" / "c"
    counts = [len(split_payloads((folder / f"{n}/0/0").read_bytes())) for n in (0, 1)]
    assert counts == [4, 2]


def test_a_chunk_that_zarr_fills_with_zeros(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(6, *SHAPE),
        chunks=(4, *SHAPE),
        dtype="f4",
        serializer=chained_codec(),
        compressors=None,
    )
    array[:] = slow()[:6, 0]
    assert errors(np.asarray(array[:]), slow()[:6, 0]).max() < 0.35
    array[5] = slow()[0, 0]  # a part of a chunk: the rest is read, and coded again
    assert errors(np.asarray(array[5]), slow()[0, 0]) < 0.5


def test_chunks_are_those_of_a_store(tmp_path: Path, made: Made) -> None:
    """Encoded without a hint, the first chunk of a store has the same bytes."""
    item = open_store(str(made.path)).variables["ta"]
    first = encode_fields(slow()[:3, 0], item.coding, "cpu")
    payloads = split_payloads(made.field(0, 0).read_bytes())
    assert first.payloads[0] == payloads[0]
    chained = [b"".join(first.payloads[: n + 1]) for n in range(3)]
    decoded = decode_fields(chained, item.coding, "cpu")
    np.testing.assert_allclose(decoded, first.decoded, atol=2e-3)


def test_configuration_of_a_codec() -> None:
    plain = json.loads(json.dumps(chained_codec().to_dict()))
    assert plain["configuration"]["key_every"] == 4
    assert FieldSpaceCodec.from_dict(plain) == chained_codec()
    second = FieldSpace.for_field(series(slow()), 5, MODEL, key_every=4)
    assert second.get_config()["key_every"] == 4
    assert eval(repr(second), {"FieldSpace": FieldSpace}) == second


@pytest.mark.parametrize("chunks", [(8, *SHAPE), (2, *SHAPE), (1, *SHAPE)])
def test_chunks_of_another_number_of_fields(tmp_path: Path, chunks: tuple[int, ...]) -> None:
    with pytest.raises(GridError, match="4"):
        write(tmp_path / "a.zarr", slow(), chained_codec(), chunks)


def test_chunks_across_levels(tmp_path: Path) -> None:
    """A level does not follow another."""
    with pytest.raises(GridError, match="4, 1, 37, 72"):
        zarr.create_array(
            tmp_path / "a.zarr",
            shape=(4, 2, *SHAPE),
            chunks=(4, 2, *SHAPE),
            dtype="f4",
            serializer=chained_codec(),
            compressors=None,
        )


def test_damaged_chunks_of_a_codec(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", slow()[:4], chained_codec(), (4, *SHAPE))
    chunk = tmp_path / "a.zarr" / "ta" / "c" / "0" / "0" / "0"
    payloads = split_payloads(chunk.read_bytes())
    assert len(payloads) == 4
    for bad in (
        payloads[1:],
        [*payloads, payloads[-1]],
        [*payloads[:3], payloads[3][:-1]],
        [payloads[0][:-1], *payloads[1:]],
        [payloads[0], b"HPC1", *payloads[1:]],
        [],
    ):
        rewrite(chunk, *bad)
        with pytest.raises(FormatError):
            read(tmp_path / "a.zarr")
    # One that ends early is as one beyond the end of the array.
    rewrite(chunk, *payloads[:3])
    values = read(tmp_path / "a.zarr")
    assert np.isfinite(values[:3]).all()
    assert np.isnan(values[3]).all()
