"""The codec in zarr pipelines, of both zarr formats."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
import zarr
from zarr.registry import get_codec_class

from hpcodec.codec import FieldSpace, FieldSpaceCodec, coding_of
from hpcodec.errors import FormatError, GridError, ModelError, UsageError
from hpcodec.fields import Coding
from hpcodec.stages.zarr_store import CODEC, chunk_key, open_store
from tests.synthetic import MODEL, series, waves

SHAPE = (37, 72)
VALUES = waves(3)

READ = """
import sys
import xarray
assert "hpcodec" not in sys.modules
dataset = xarray.open_zarr(sys.argv[1], consolidated=False)
dataset.t2m.to_netcdf(sys.argv[2])
"""


@lru_cache
def field() -> xr.DataArray:
    return xr.decode_cf(series(3))["t2m"]


@lru_cache
def v3() -> FieldSpaceCodec:
    return FieldSpaceCodec.for_field(field(), 5, MODEL)


@lru_cache
def v2() -> FieldSpace:
    return FieldSpace.for_field(field(), 5, MODEL)


def encoding(version: int, chunks: tuple[int, ...] = (1, *SHAPE)) -> dict[str, dict[str, Any]]:
    if version == 2:
        return {"t2m": {"compressors": v2(), "chunks": chunks}}
    return {"t2m": {"serializer": v3(), "compressors": None, "chunks": chunks}}


def write(
    path: Path, version: int, values: npt.NDArray[Any], chunks: tuple[int, ...] = (1, *SHAPE)
) -> None:
    data = field().to_dataset().isel(time=slice(0, len(values)))
    data = data.assign(t2m=data.t2m.copy(data=values))
    data.to_zarr(
        path,
        zarr_format=3 if version == 3 else 2,
        consolidated=False,
        encoding=encoding(version, chunks),
    )


@pytest.mark.parametrize(("version", "together"), [(2, 1), (3, 3)])
def test_a_fresh_process_reads_it_with_xarray_alone(
    tmp_path: Path, version: int, together: int
) -> None:
    write(tmp_path / "a.zarr", version, VALUES, (together, *SHAPE))
    run = [sys.executable, "-c", READ, str(tmp_path / "a.zarr"), str(tmp_path / "out.nc")]
    subprocess.run(run, check=True, timeout=120)
    with xr.open_dataset(tmp_path / "out.nc") as read:
        assert read.t2m.dtype == np.float32
        assert read.t2m.attrs["standard_name"] == "air_temperature"
        assert np.std(read.t2m.values - VALUES) < 0.1 * np.std(VALUES)


@pytest.mark.parametrize("version", [2, 3])
def test_the_ratio_is_kept(tmp_path: Path, version: int) -> None:
    write(tmp_path / "a.zarr", version, VALUES)
    folder = tmp_path / "a.zarr" / "t2m"
    chunks = [p for p in folder.rglob("*") if p.is_file() and p.name[0] not in "z."]
    assert len(chunks) == 3
    assert max(path.stat().st_size for path in chunks) <= 4 * np.prod(SHAPE) / 5


@pytest.mark.parametrize("version", [2, 3])
def test_an_error_asked_for(tmp_path: Path, version: int) -> None:
    kind: Any = {2: FieldSpace, 3: FieldSpaceCodec}[version]
    codec = kind.for_field(field(), rmse=0.3, model=MODEL)
    assert codec.coding.rmse == 0.3
    name = {2: "compressors", 3: "serializer"}[version]
    own = {"t2m": {"compressors": None, name: codec, "chunks": (1, *SHAPE)}}
    data = field().to_dataset()
    data.to_zarr(tmp_path / "a.zarr", zarr_format=version, consolidated=False, encoding=own)
    read = xr.open_zarr(tmp_path / "a.zarr", consolidated=False).t2m.values
    errors = np.sqrt((codec.coding.grid.area_weights * (read - VALUES) ** 2.0).mean((1, 2)))
    assert (errors <= 0.3001).all()
    assert (errors >= 0.28).all()


def test_a_chunk_does_not_depend_on_those_before() -> None:
    alone = v2().encode(VALUES[1:2])
    v2().encode(VALUES[:1])
    assert v2().encode(VALUES[1:2]) == alone


def test_doubles_in_v3_come_back_as_doubles(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", 3, VALUES[:1].astype(np.float64))
    read = xr.open_zarr(tmp_path / "a.zarr", consolidated=False).t2m
    assert read.dtype == np.float64
    assert np.std(read.values - VALUES[:1]) < 0.1 * np.std(VALUES)


def test_configuration_through_json_v3() -> None:
    plain = json.loads(json.dumps(v3().to_dict()))
    assert FieldSpaceCodec.from_dict(plain) == v3()
    assert get_codec_class(CODEC).from_dict(plain) == v3()
    assert hash(FieldSpaceCodec.from_dict(plain)) == hash(v3())
    assert FieldSpaceCodec.for_field(field(), 6, MODEL) != v3()


def test_configuration_through_json_v2() -> None:
    plain = json.loads(json.dumps(v2().get_config()))
    assert numcodecs.get_codec(dict(plain)) == v2()
    assert plain["id"] == CODEC
    assert FieldSpace.for_field(field(), 6, MODEL) != v2()


def test_repr_makes_the_codec_again() -> None:
    from hpcodec.grid import LatLonGrid
    from hpcodec.packing import Packing

    names = {
        "FieldSpace": FieldSpace,
        "FieldSpaceCodec": FieldSpaceCodec,
        "Coding": Coding,
        "LatLonGrid": LatLonGrid,
        "Packing": Packing,
    }
    assert eval(repr(v2()), names) == v2()
    assert eval(repr(v3()), names) == v3()


@pytest.mark.parametrize(
    ("key", "value"), [("level", 10), ("level", "4"), ("size", 0), ("format", "2.0"), ("sise", 3)]
)
def test_configuration_that_is_not_ours(key: str, value: object) -> None:
    plain: dict[str, Any] = {**v3().coding.to_dict(), key: value}
    with pytest.raises(FormatError):
        FieldSpaceCodec.from_dict({"name": CODEC, "configuration": plain})
    with pytest.raises(FormatError):
        FieldSpace(**plain)


def test_registered_for_both_formats() -> None:
    (third,) = entry_points(group="zarr.codecs", name=CODEC)
    (second,) = entry_points(group="numcodecs.codecs", name=CODEC)
    assert third.load() is FieldSpaceCodec
    assert second.load() is FieldSpace


def test_threads_decode_at_once() -> None:
    chunk = v2().encode(VALUES[:1])
    alone = v2().decode(chunk)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(v2().decode, [chunk] * 12))
    for result in results:
        np.testing.assert_array_equal(result, alone)


def test_a_leading_axis_of_one_costs_nothing() -> None:
    assert v2().encode(VALUES[0]) == v2().encode(VALUES[:1]) == v2().encode(VALUES[None, :1])


def test_a_bare_buffer_is_taken_as_fields() -> None:
    assert v2().encode(VALUES[:1].tobytes()) == v2().encode(VALUES[:1])


def test_decode_into_an_array_given() -> None:
    chunk = v2().encode(VALUES[:2])
    out = np.empty_like(VALUES[:2])
    v2().decode(chunk, out)
    np.testing.assert_array_equal(out, v2().decode(chunk).reshape(out.shape))


def test_bytes_are_those_of_a_store(series_store: str, tmp_path: Path) -> None:
    item = open_store(series_store).variables["t2m"]
    values = waves(8)
    stored = (Path(series_store) / "t2m" / chunk_key(item.shape, 0)).read_bytes()
    assert FieldSpace(**item.coding.to_dict()).encode(values[:1]) == stored
    group = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(1, *SHAPE),
        chunks=(1, *SHAPE),
        dtype="f4",
        serializer=FieldSpaceCodec(item.coding),
        compressors=None,
    )
    group[:] = values[:1]
    written = (tmp_path / "a.zarr" / "c" / "0" / "0" / "0").read_bytes()
    assert written == (Path(series_store) / "t2m" / chunk_key(item.shape, 0)).read_bytes()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("chunks", [(1, 18, 72), (1, 37, 36), (2, 18, 72)])
def test_chunks_that_are_no_whole_spheres(
    tmp_path: Path, version: int, chunks: tuple[int, ...]
) -> None:
    with pytest.raises(GridError, match="whole fields"):
        write(tmp_path / "a.zarr", version, VALUES, chunks)


def test_types_that_would_be_misread_are_refused(tmp_path: Path) -> None:
    for values in (VALUES[:1].astype(">f4"), VALUES[:1].astype("f8")):
        with pytest.raises(GridError, match="float32"):
            v2().encode(values)
    with pytest.raises(GridError, match="C order"):
        v2().encode(np.asfortranarray(VALUES[:1]))
    with pytest.raises(GridError, match="whole fields"):
        v2().encode(b"123")
    with pytest.raises(GridError, match="numbers; got bool"):
        zarr.create_array(
            tmp_path / "a.zarr",
            shape=(1, *SHAPE),
            chunks=(1, *SHAPE),
            dtype="bool",
            serializer=v3(),
            compressors=None,
        )


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_values_come_back(tmp_path: Path, version: int, value: float) -> None:
    values = VALUES[:2].copy()
    values[0, 5:9, 6:20] = value
    write(tmp_path / "a.zarr", version, values)
    decoded = np.asarray(xr.open_zarr(tmp_path / "a.zarr", consolidated=False).t2m)
    np.testing.assert_array_equal(np.isfinite(decoded), np.isfinite(values))
    np.testing.assert_array_equal(decoded[0, 5:9, 6:20], values[0, 5:9, 6:20])


@pytest.mark.parametrize("dtype", ["f8", "f2", "i2", "u2"])
def test_other_types(tmp_path: Path, dtype: str) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(1, *SHAPE),
        chunks=(1, *SHAPE),
        dtype=dtype,
        serializer=v3(),
        compressors=None,
    )
    array[...] = VALUES[:1].astype(dtype)
    decoded = np.asarray(array[...])
    assert decoded.dtype == dtype
    assert np.abs(decoded - VALUES[:1]).max() < 8


def test_damaged_chunks(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", 3, VALUES[:1])
    chunk = tmp_path / "a.zarr" / "t2m" / "c" / "0" / "0" / "0"
    good = chunk.read_bytes()
    flipped = bytearray(good)
    flipped[-9] ^= 4
    for bad in (good[:-1], bytes(flipped), good + good, b"HPC1", good[1:]):
        chunk.write_bytes(bad)
        with pytest.raises(FormatError):
            np.asarray(xr.open_zarr(tmp_path / "a.zarr", consolidated=False).t2m)


def test_coding_of_a_variable() -> None:
    assert coding_of(field(), 5, MODEL) == v3().coding
    assert v3().coding.size == 4 * 37 * 72 // 5
    with pytest.raises(UsageError, match="ratio"):
        coding_of(field(), 1)
    with pytest.raises(UsageError, match="Give one"):
        coding_of(field(), 16, rmse=0.3)
    with pytest.raises(UsageError, match="above 0"):
        coding_of(field(), rmse=0)
    with pytest.raises(GridError, match="floating"):
        coding_of(field().astype(int), 5)
    with pytest.raises(GridError):
        coding_of(field().isel(lon=slice(0, 30)), 5)
    with pytest.raises(GridError):
        coding_of(field().isel(lat=0), 5)
    with pytest.raises(ModelError, match=MODEL):
        coding_of(field(), 5, "any-l8")
