"""Writing stores: whole or not at all, and without a byte too many."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
import zarr
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from fsspec.implementations.memory import MemoryFileSystem
from zarr.storage import FsspecStore

from hpcodec.creation import create_store
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, OutputError, UsageError
from hpcodec.fields import FORMAT_VERSION
from hpcodec.output import OutputVariable
from hpcodec.output_formats import reported
from hpcodec.output_store import StoreOutput
from hpcodec.stages.zarr_store import CODEC, open_store
from hpcodec.validation import validate
from tests.synthetic import axes, bytes_of, coding_in, raw, series

RECORD = {"format": FORMAT_VERSION, "version": "0", "command": "", "error": {}}


def variable(steps: int = 2) -> OutputVariable:
    return OutputVariable(
        name="t2m",
        dims=("time", "lat", "lon"),
        shape=(steps, 37, 72),
        attributes={"units": "K", "levels": np.array([1, 2])},
        leading=1,
    )


def skeleton() -> xr.Dataset:
    return series(2).drop_vars("t2m")


def test_what_is_put_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    coding = coding_in(series(1), 2000)
    with create_store(path, skeleton(), overwrite=False) as output:
        output.add(variable(), coding)
        output.put("t2m", 0, b"first")
        output.put("t2m", 1, b"second")
        output.finish(RECORD)
        size = output.size
    store = open_store(path)
    item = store.variables["t2m"]
    assert item.coding == coding
    assert item.attributes == {"units": "K", "levels": [1, 2]}
    assert [store.read(item, step) for step in (0, 1)] == [b"first", b"second"]
    assert store.size == size == bytes_of(Path(path))
    assert store.record.to_dict() == RECORD


def test_an_array_can_be_replaced_by_one_of_another_coding(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    with create_store(path, skeleton(), overwrite=False) as output:
        for size in (9000, 2000):
            output.add(variable(), coding_in(series(1), size))
        output.finish(RECORD)
    assert open_store(path).variables["t2m"].coding.size == 2000


def test_it_is_no_store_until_it_is_finished(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    with create_store(path, skeleton(), overwrite=False) as output:
        output.add(variable(), coding_in(series(1), 2000))
        assert not Path(path).exists()
    with pytest.raises(FormatError, match="did not finish"):
        open_store(path)


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with create_store(str(tmp_path / "a.zarr"), skeleton(), overwrite=False) as output:
            output.add(variable(), coding_in(series(1), 2000))
            output.put("t2m", 0, b"first")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_reported(tmp_path: Path) -> None:

    def fail() -> None:
        with create_store(str(tmp_path / "a.zarr"), skeleton(), overwrite=False) as output:
            output.add(variable(), coding_in(series(1), 2000))
            partial = tmp_path / ".a.zarr.partial" / "new"
            (partial / "t2m" / "c").write_text("in the way")
            output.put("t2m", 0, b"first")

    with pytest.raises(OutputError, match="expected to write"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_paths_that_are_refused(tmp_path: Path) -> None:
    refused = [("a.nc", UsageError), ("no/folder.zarr", OutputError)]
    (tmp_path / "taken.zarr").mkdir()
    (tmp_path / "taken.zarr" / "thesis.tex").write_text("years of work")
    for name, kind in [*refused, ("taken.zarr", OutputError)]:
        with (
            pytest.raises(kind),
            create_store(str(tmp_path / name), skeleton(), overwrite=True),
        ):
            pass
    assert (tmp_path / "taken.zarr" / "thesis.tex").exists()


@pytest.mark.parametrize("count", [1, 8, 9, 700])
def test_coordinates_come_back_exactly_and_small(tmp_path: Path, count: int) -> None:
    hours = np.arange(count) * 6.0
    source = xr.Dataset(
        coords={**axes(), "time": ("time", hours, {"units": "hours since 2000-1-1"})}
    )
    with create_store(str(tmp_path / "a.zarr"), source, overwrite=False) as output:
        output.add(variable(count), coding_in(series(1), 2000))
        output.finish(RECORD)
    read = raw(tmp_path / "a.zarr")
    for name in ("time", "lat", "lon"):
        np.testing.assert_array_equal(read[name], source[name])
        assert read[name].dtype == source[name].dtype
    assert bytes_of(tmp_path / "a.zarr" / "time") < 700 + count


def test_metadata_hold_no_white_space(series_store: str) -> None:
    for path in Path(series_store).rglob("zarr.json"):
        text = path.read_text("utf-8")
        assert text == json.dumps(json.loads(text), separators=(",", ":"))


def test_every_chunk_has_a_checksum(rich_store: str) -> None:
    group = zarr.open_group(rich_store, mode="r")
    metadata: dict[str, Any] = {name: array.metadata.to_dict() for name, array in group.arrays()}
    codecs = {name: [codec["name"] for codec in data["codecs"]] for name, data in metadata.items()}
    assert {"ta", "msl", "lat", "plev", "time", "co2", "crs"} < set(codecs)
    for name, chain in codecs.items():
        # A payload has checksums of its own, which are checked before anything is decoded.
        assert chain == [CODEC] if name in ("ta", "msl") else chain[-1] == "crc32c"


def test_a_flipped_byte_of_what_is_carried_is_noticed(rich_store: str, tmp_path: Path) -> None:
    store = tmp_path / "store.zarr"
    shutil.copytree(rich_store, store)
    for name in open_store(rich_store).carried:
        chunks = [path for path in (store / name).rglob("c*") if path.is_file()]
        chunks += [path for path in (store / name).rglob("c/**/*") if path.is_file()]
        assert chunks
        for chunk in chunks:
            good = chunk.read_bytes()
            for at in (len(good) // 2, len(good) - 1):
                chunk.write_bytes(good[:at] + bytes([good[at] ^ 16]) + good[at + 1 :])
                with pytest.raises(FormatError):
                    decompress(str(store), str(tmp_path / "out.nc"), device="cpu")
                assert name in {finding.where for finding in validate(str(store))}
            chunk.unlink()
            with pytest.raises(FormatError, match=f"chunk '{name}/c"):
                decompress(str(store), str(tmp_path / "out.nc"), device="cpu")
            chunk.write_bytes(good)
    assert validate(str(store)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["store.zarr"]


def test_what_is_all_zero_is_stored(tmp_path: Path) -> None:
    with create_store(
        str(tmp_path / "a.zarr"), skeleton().assign(nought=0), overwrite=False
    ) as out:
        out.add(variable(), coding_in(series(1), 2000))
        out.finish(RECORD)
    assert (tmp_path / "a.zarr" / "nought" / "c").is_file()


class Failing(MemoryFileSystem):  # type: ignore[misc]
    """An object store that is gone after some writes."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    left = 0

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        if self.left == 0:
            raise ConnectionError("the bucket is gone")
        self.left -= 1
        super().pipe_file(path, value, **options)


@pytest.mark.parametrize("writes", [0, 3, 9, 14, 1000])
def test_an_object_store_that_fails_holds_no_store(writes: int) -> None:
    files = Failing(skip_instance_cache=True)
    files.store.clear()
    files.left = writes
    place = FsspecStore(AsyncFileSystemWrapper(files, asynchronous=True), path="/bucket/a.zarr")
    output = StoreOutput(place, "bucket/a.zarr")

    def write() -> None:
        with reported("bucket/a.zarr"):
            output.fill(skeleton())
        output.even_out()
        output.add(variable(), coding_in(series(1), 2000))
        output.put("t2m", 0, b"first")
        output.put("t2m", 1, b"second")
        output.finish(RECORD)

    if writes == 1000:
        write()
        assert output.size == sum(len(files.cat_file(path)) for path in files.find("/bucket"))
        assert "hpcodec" in zarr.open_group(place, mode="r").attrs
        return
    with pytest.raises(OutputError, match="the bucket is gone"):
        write()
    files.left = 1000
    if files.exists("/bucket/a.zarr/zarr.json"):
        assert "hpcodec" not in zarr.open_group(place, mode="r").attrs
