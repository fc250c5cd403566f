"""Object stores: written there, read there, and never half there."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
import xarray as xr
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, OutputError, UsageError
from hpcodec.info import describe
from hpcodec.shards import index_size
from hpcodec.stages.zarr_store import open_store
from hpcodec.validation import validate
from tests.synthetic import raw
from tests.tiny import write_model

QUICK = {"ratio": 4, "model": "tiny", "device": "cpu", "shard": 3, "batch": 1}
OPTIONS = Options(**QUICK)  # type: ignore[arg-type]


class Cloud(MemoryFileSystem):  # type: ignore[misc]
    """An object store that notes what is asked of it, and may be gone after some writes."""

    protocol = "cloud"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    left: ClassVar[int] = 10**6
    written: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("cloud://", "memory://")))

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        if Cloud.left <= 0:
            raise ConnectionError("the bucket is gone")
        Cloud.left -= 1
        Cloud.written.append(self._strip_protocol(path))
        super().pipe_file(path, value, **options)


@pytest.fixture(autouse=True)
def cloud() -> Iterator[Cloud]:
    """Empty."""
    fsspec.register_implementation("cloud", Cloud, clobber=True)
    files = Cloud()
    files.store.clear()
    Cloud.left, Cloud.written[:] = 10**6, []
    yield files
    files.store.clear()


@pytest.fixture(autouse=True, scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tiny model is on the search path."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCODEC_MODELS", str(folder))
        yield


@pytest.fixture(scope="module")
def here(series_source: str, models: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store on a disk."""
    target = tmp_path_factory.mktemp("here") / "a.zarr"
    compress(series_source, str(target), OPTIONS)
    return target


def objects(files: Any, prefix: str) -> dict[str, bytes]:
    """All below a prefix."""
    found = files.find(prefix)
    return {path.removeprefix(f"{prefix}/"): files.cat_file(path) for path in found}


def on_disk(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_same_bytes_as_on_a_disk(series_source: str, here: Path, cloud: Cloud) -> None:
    _, size = compress(series_source, "cloud://b/a.zarr", OPTIONS)
    there = objects(cloud, "/b/a.zarr")
    assert there == on_disk(here)
    assert size == sum(map(len, there.values()))
    assert cloud.find("/b") == [f"/b/a.zarr/{name}" for name in sorted(there)]  # and nothing else
    assert Cloud.written[0] == "/b/.a.zarr.partial/begun"
    chunks = [n for n, path in enumerate(Cloud.written) if "/t2m/c/" in path]
    assert Cloud.written[-1] == "/b/a.zarr/zarr.json"
    assert len(chunks) == 3


def test_every_verb(series_source: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli.app, list(arguments))
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    raw(series_source).to_zarr("cloud://b/in.zarr", zarr_format=3, consolidated=False)
    how = ["--ratio", "4", "--model", "tiny", "--device", "cpu", "--shard", "3"]
    run("compress", "cloud://b/in.zarr", "cloud://b/out.zarr", *how)
    assert "t2m" in run("info", "cloud://b/out.zarr")
    assert "whole" in run("validate", "cloud://b/out.zarr", "cloud://b/in.zarr", "--device", "cpu")
    run("decompress", "cloud://b/out.zarr", "cloud://b/back.zarr", "--device", "cpu")
    run("decompress", "cloud://b/out.zarr", "cloud://b/back.nc", "--device", "cpu")
    run("decompress", "cloud://b/out.zarr", str(tmp_path / "back.nc"), "--device", "cpu")
    truth = raw(tmp_path / "back.nc").t2m.values
    with xr.open_zarr("cloud://b/back.zarr", consolidated=False) as back:
        np.testing.assert_allclose(back.t2m.values, truth, rtol=1e-6)
    Cloud().get_file("/b/back.nc", str(tmp_path / "there.nc"))
    np.testing.assert_allclose(raw(tmp_path / "there.nc").t2m, truth, rtol=1e-6)
    with xr.open_dataset("cloud://b/out.zarr", engine="hpcodec", level=4) as opened:
        assert opened.t2m.isel(time=-1).values.shape == (12 * 4**4,)


@pytest.mark.parametrize(
    ("writes", "parts"), [(0, 3), (1, 3), (4, 3), (19, 3), (21, 2), (25, 0), (29, 0)]
)
def test_a_store_that_is_not_whole_does_not_look_so(
    series_source: str, here: Path, cloud: Cloud, writes: int, parts: int
) -> None:
    Cloud.left = writes
    notes: list[str] = []
    with pytest.raises(OutputError, match="the bucket is gone"):
        compress(series_source, "cloud://b/a.zarr", OPTIONS, note=notes.append)
    Cloud.left = 10**6
    with pytest.raises(FormatError):
        open_store("cloud://b/a.zarr")
    kept = bool(cloud.find("/b"))
    assert kept == (parts < 3) == bool(notes)
    if kept:
        with pytest.raises(OutputError, match="--resume"):
            compress(series_source, "cloud://b/a.zarr", OPTIONS)
    Cloud.written.clear()
    compress(series_source, "cloud://b/a.zarr", OPTIONS, resume=True)
    chunks = [path for path in Cloud.written if "/t2m/c/" in path]
    assert len(chunks) == parts
    assert objects(cloud, "/b/a.zarr") == on_disk(here)
    assert not cloud.find("/b/.a.zarr.partial")


def test_what_is_replaced_is_gone_first(series_source: str, cloud: Cloud) -> None:
    compress(series_source, "cloud://b/a.zarr", OPTIONS)
    with pytest.raises(OutputError, match="exists"):
        compress(series_source, "cloud://b/a.zarr", OPTIONS)
    Cloud.left = 9
    with pytest.raises(OutputError, match="gone"):
        compress(series_source, "cloud://b/a.zarr", OPTIONS, overwrite=True)
    with pytest.raises(FormatError):
        open_store("cloud://b/a.zarr")
    Cloud.left = 10**6
    cloud.pipe_file("/b/thesis.zarr/thesis.tex", b"years of work")
    with pytest.raises(OutputError, match="another kind"):
        compress(series_source, "cloud://b/thesis.zarr", OPTIONS, overwrite=True)
    assert cloud.exists("/b/thesis.zarr/thesis.tex")


@pytest.mark.parametrize("name", ["back.zarr", "back.nc"])
def test_what_is_decompressed_is_whole_or_not_there(here: Path, cloud: Cloud, name: str) -> None:
    decompress(str(here), f"cloud://b/{name}", device="cpu")
    writes = len(Cloud.written)
    with pytest.raises(OutputError, match="exists"):
        decompress(str(here), f"cloud://b/{name}", device="cpu")
    if name.endswith(".nc"):
        return  # it is one object
    assert Cloud.written[-1] == "/b/back.zarr/zarr.json"
    for left in (2, writes - 1):
        Cloud.left = left
        with pytest.raises(OutputError, match="the bucket is gone"):
            decompress(str(here), "cloud://b/half.zarr", device="cpu")
        Cloud.left = 10**6
        assert not cloud.find("/b/half.zarr")
    decompress(str(here), "cloud://b/back.zarr", device="cpu", overwrite=True)


def test_what_a_killed_run_left_is_replaced(here: Path, cloud: Cloud) -> None:
    cloud.pipe_file("/b/.half.zarr.partial/begun", b"")
    cloud.pipe_file("/b/half.zarr/t2m/c/0/0/0", b"half")
    notes: list[str] = []
    decompress(str(here), "cloud://b/half.zarr", device="cpu", note=notes.append)
    assert ["half.zarr" in note for note in notes] == [True]
    assert not cloud.find("/b/.half.zarr.partial")


def test_names_of_outputs(series_source: str) -> None:
    with pytest.raises(UsageError, match=r"end in \.zarr"):
        compress(series_source, "cloud://b/a.nc", OPTIONS)


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Files with parts of them, and a note of what was asked for."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def log_message(self, *arguments: Any) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        Ranges.asked.append((self.path, asked))
        path = Path(self.translate_path(self.path))
        if not asked or not path.is_file():
            super().do_GET()
            return
        first, last = (int(end) for end in asked.removeprefix("bytes=").split("-"))
        content = path.read_bytes()
        part = content[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture
def web(here: Path) -> Iterator[str]:
    """The store behind plain HTTP."""
    handler = partial(Ranges, directory=str(here.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/a.zarr"
        server.shutdown()
        thread.join()


def test_plain_http(web: str, here: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    assert validate(web) == []
    about = describe(web)["variables"]
    assert about == describe(str(here))["variables"]
    decompress(web, str(tmp_path / "a.nc"), level=3, device="cpu")
    assert raw(tmp_path / "a.nc").t2m.shape == (8, 768)


def test_a_step_over_http_is_two_requests(web: str, here: Path) -> None:
    pytest.importorskip("aiohttp")
    with xr.open_dataset(web, engine="hpcodec", device="cpu") as opened:
        Ranges.asked.clear()
        assert opened.t2m.isel(time=4).values.shape == (37, 72)
    item = open_store(str(here)).variables["t2m"]
    payload = open_store(str(here)).read(item, 4)
    at = (here / "t2m/c/1/0/0").read_bytes().index(payload)
    assert Ranges.asked == [
        ("/a.zarr/t2m/c/1/0/0", f"bytes=0-{index_size(3) - 1}"),
        ("/a.zarr/t2m/c/1/0/0", f"bytes={at}-{at + len(payload) - 1}"),
    ]
