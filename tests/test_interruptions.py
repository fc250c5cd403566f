"""Runs killed at any moment: the source is untouched, and who goes on gets the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, OutputError
from hpcodec.stages.zarr_store import open_store
from tests.interruptions import Run, content, end_of, names
from tests.synthetic import HOURS, axes, waves
from tests.tiny import write_model

MODEL = "tiny"
SOURCE, TARGET = "source.nc", "store.zarr"
TIMES, LEVELS = 5, 2


@dataclass(frozen=True)
class Whole:
    """A run that nothing interrupted: what it left, and in how many changes of the disk."""

    run: Run
    content: dict[str, bytes]
    changes: int

    def elsewhere(self, folder: Path) -> Run:
        """The same run in another folder."""
        shutil.copy(self.run.source, folder / SOURCE)
        return replace(self.run, source=folder / SOURCE, target=folder / TARGET)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Folder of the tiny model, on the search path."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCODEC_MODELS", str(folder))
        yield str(folder)


def write_source(path: Path, seed: int = 0) -> None:
    """Two variables: one of levels, one without."""
    temperature = {"standard_name": "air_temperature", "units": "K"}
    values = waves(TIMES * LEVELS, seed=seed).reshape(TIMES, LEVELS, 37, 72)
    dims = ("time", "plev", "lat", "lon")
    fields = {
        "ta": (dims, values, temperature),
        "ts": (("time", "lat", "lon"), values[:, 0] + 1, {"units": "K"}),
    }
    coordinates = {**axes(), "time": ("time", 6 * np.arange(TIMES), HOURS)}
    xr.Dataset(fields, coords=coordinates).to_netcdf(path)


@pytest.fixture(scope="module")
def whole(models: str, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A store of chunks of two fields, each the second from the first."""
    folder = tmp_path_factory.mktemp("whole")
    write_source(folder / SOURCE)
    options = {"ratio": 5, "key_every": 2, "model": MODEL, "device": "cpu", "batch": 3}
    run = Run("compress", folder / SOURCE, folder / TARGET, options, models)
    ended = end_of(run)
    assert names(folder) == [SOURCE, TARGET]
    return Whole(run, content(folder / TARGET), ended.changes)


# Parts of the way: before there is anything to go on with, amid the fields, as it ends.
@pytest.mark.parametrize("part", [0.1, 0.6, 0.97])
def test_who_goes_on_writes_the_same_bytes(whole: Whole, tmp_path: Path, part: float) -> None:
    run = whole.elsewhere(tmp_path)
    assert end_of(run, at_change=round(part * whole.changes)).killed
    assert content(run.source) == content(whole.run.source)
    assert not run.target.exists()
    assert ".store.zarr.partial" in names(tmp_path)
    ended = end_of(run, resume=True, batch=2)
    assert not ended.error
    if part > 0.5:
        assert ended.changes < whole.changes
    assert content(run.target) == whole.content
    assert names(tmp_path) == [SOURCE, TARGET]


def test_killed_by_the_clock_again_and_again(whole: Whole, tmp_path: Path) -> None:
    run = whole.elsewhere(tmp_path)
    for after in (0.3, 0.5, 0.7):
        end_of(run, after=after, resume=True, overwrite=True)
    end_of(run, resume=True, overwrite=True)
    assert content(run.target) == whole.content
    assert names(tmp_path) == [SOURCE, TARGET]


@pytest.fixture
def interrupted(whole: Whole, tmp_path: Path) -> Run:
    """A run that was killed amid the fields."""
    run = whole.elsewhere(tmp_path)
    assert end_of(run, at_change=round(0.7 * whole.changes)).killed
    return run


def again(run: Run, **more: Any) -> list[str]:
    """Do a run in this process; what it notes."""
    notes: list[str] = []
    options = {**run.options, **more}
    own = {key: options.pop(key) for key in ("overwrite", "resume") if key in options}
    compress(str(run.source), str(run.target), Options(**options), note=notes.append, **own)
    return notes


def test_what_is_left_is_named_and_never_silently_kept(interrupted: Run, whole: Whole) -> None:
    folder = str(interrupted.target.with_name(".store.zarr.partial"))
    before = content(Path(folder))
    with pytest.raises(OutputError, match="--resume") as caught:
        again(interrupted)
    assert folder in str(caught.value)
    assert content(Path(folder)) == before
    with pytest.raises(FormatError, match="--resume"):
        open_store(str(interrupted.target))
    with pytest.raises(FormatError, match="did not finish"):
        open_store(f"{folder}/new")
    (note,) = again(interrupted, overwrite=True)
    assert folder in note
    assert content(interrupted.target) == whole.content
    assert names(interrupted.target.parent) == [SOURCE, TARGET]


def test_nobody_goes_on_with_other_options(interrupted: Run, whole: Whole) -> None:
    with pytest.raises(OutputError, match=r"expected ratio 5, .* got 6"):
        again(interrupted, resume=True, ratio=6)
    assert again(interrupted, resume=True, batch=1) == []
    assert content(interrupted.target) == whole.content


def test_nobody_goes_on_with_another_source(interrupted: Run) -> None:
    write_source(interrupted.source, seed=1)
    with pytest.raises(OutputError, match="The source has changed"):
        again(interrupted, resume=True)
    assert not interrupted.target.exists()


def test_nobody_goes_on_with_damaged_chunks(interrupted: Run) -> None:
    partial = interrupted.target.with_name(".store.zarr.partial")
    chunk = partial / "new" / "ta" / "c" / "0" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    with pytest.raises(OutputError, match="chunks of 'ta'"):
        again(interrupted, resume=True)
    (partial / "journal.json").write_text("{")
    with pytest.raises(OutputError, match="journal"):
        again(interrupted, resume=True)
    again(interrupted, overwrite=True)
    assert names(interrupted.target.parent) == [SOURCE, TARGET]


def test_an_interrupted_run_says_what_it_keeps(whole: Whole, tmp_path: Path) -> None:
    run, notes = whole.elsewhere(tmp_path), list[str]()

    def interrupt(name: str, done: int, total: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    source, target, options = str(run.source), str(run.target), Options(**run.options)
    with pytest.raises(KeyboardInterrupt):
        compress(source, target, options, told=interrupt, note=notes.append)
    assert [".store.zarr.partial" in note and "--resume" in note for note in notes] == [True]
    assert again(run, resume=True) == []
    assert content(run.target) == whole.content


def test_of_two_one_wins_and_one_is_told(whole: Whole, tmp_path: Path) -> None:
    run, ends = whole.elsewhere(tmp_path), []

    def meanwhile(name: str, done: int, total: int) -> None:
        if not ends:
            ends.append(end_of(run, resume=True, overwrite=True))

    source, target, options = str(run.source), str(run.target), Options(**run.options)
    compress(source, target, options, told=meanwhile)
    assert [end.error.startswith("expected to be alone") for end in ends] == [True]
    assert content(run.target) == whole.content
    assert names(tmp_path) == [SOURCE, TARGET]


@pytest.mark.parametrize("name", ["back.nc", "back.zarr"])
def test_decompress_leaves_the_old_or_the_new(
    whole: Whole, models: str, tmp_path: Path, name: str
) -> None:
    run = Run("decompress", whole.run.target, tmp_path / name, {"device": "cpu"}, models)
    changes = end_of(run).changes
    new = content(run.target)
    for at in (changes // 2, changes - 2):
        shutil.rmtree(run.target) if run.target.is_dir() else run.target.unlink()
        assert end_of(run, at_change=at).killed
        assert not run.target.exists() or content(run.target) == new
    decompress(str(whole.run.target), str(run.target), device="cpu", level=3, overwrite=True)
    old = content(run.target)
    assert end_of(run, at_change=changes // 2, overwrite=True).killed
    assert content(run.target) == old
    assert names(tmp_path) == [f".{name}.lock", f".{name}.partial", name]
    notes: list[str] = []
    decompress(
        str(whole.run.target), str(run.target), device="cpu", overwrite=True, note=notes.append
    )
    assert [f".{name}.partial" in note for note in notes] == [True]
    assert names(tmp_path) == [name]


@pytest.mark.slow
def test_killed_before_every_change_of_the_disk(whole: Whole, tmp_path: Path) -> None:
    for at in range(1, whole.changes + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        run = whole.elsewhere(folder)
        assert end_of(run, at_change=at).killed
        assert content(run.source) == content(whole.run.source)
        if run.target.exists():
            assert content(run.target) == whole.content
        again(run, resume=True, overwrite=True)
        assert content(run.target) == whole.content
        assert names(folder) == [SOURCE, TARGET]
        shutil.rmtree(folder)
