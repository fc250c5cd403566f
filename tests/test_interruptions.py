"""Runs killed at any moment: the source is untouched, and who goes on gets the same bytes."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
import xarray as xr
from fsspec.implementations.memory import MemoryFileSystem

from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, OutputError, UsageError
from hpcodec.output_store import StoreOutput
from hpcodec.stages.zarr_store import open_store
from tests.interruptions import End, Run, content, end_of, names
from tests.synthetic import HOURS, axes, raw, waves
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


def again(run: Run, told: list[int] | None = None, **more: Any) -> list[str]:
    """Do a run in this process; what it notes, and in ``told`` how many fields were done when."""
    notes: list[str] = []
    done = told if told is not None else []
    options = {**run.options, **more}
    own = {key: options.pop(key) for key in ("overwrite", "resume") if key in options}
    compress(
        str(run.source),
        str(run.target),
        Options(**options),
        told=lambda name, so_far, total: done.append(so_far),
        note=notes.append,
        **own,
    )
    return notes


# Parts of the way: before there is anything to go on with, amid the fields, as it ends.
@pytest.mark.parametrize("part", [0.1, 0.6, 0.97])
def test_who_goes_on_writes_the_same_bytes(whole: Whole, tmp_path: Path, part: float) -> None:
    run, told = whole.elsewhere(tmp_path), list[int]()
    assert end_of(run, at_change=round(part * whole.changes)).killed
    assert content(run.source) == content(whole.run.source)
    assert names(tmp_path) == [".store.zarr.lock", ".store.zarr.partial", SOURCE]
    notes = again(run, told, resume=True, batch=1)
    assert content(run.target) == whole.content
    assert names(tmp_path) == [SOURCE, TARGET]
    fields = TIMES * LEVELS + TIMES
    if part == 0.1:
        assert len(notes) == 1
        assert len(told) == fields
    else:
        assert notes == []
        assert (len(told) < fields) if part == 0.6 else not told


def test_killed_by_the_clock(whole: Whole, tmp_path: Path) -> None:
    run = whole.elsewhere(tmp_path)
    end_of(run, after=0.4)
    again(run, resume=True, overwrite=True)
    assert content(run.target) == whole.content
    assert names(tmp_path) == [SOURCE, TARGET]


@pytest.fixture(scope="module")
def killed(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was killed amid the fields; to be copied."""
    run = whole.elsewhere(tmp_path_factory.mktemp("killed"))
    assert end_of(run, at_change=round(0.7 * whole.changes)).killed
    return run


@pytest.fixture
def interrupted(killed: Run, tmp_path: Path) -> Run:
    """A run that was killed amid the fields."""
    shutil.copytree(killed.source.parent, tmp_path, dirs_exist_ok=True)
    return replace(killed, source=tmp_path / SOURCE, target=tmp_path / TARGET)


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
    with pytest.raises(UsageError, match="device"):
        again(interrupted, resume=True, device="abacus")
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
    run, ends = whole.elsewhere(tmp_path), list[End]()

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
    store, target = str(whole.run.target), tmp_path / name
    run = Run("decompress", whole.run.target, target, {"device": "cpu"}, models)
    changes = end_of(run).changes
    target.rename(tmp_path / "new")
    assert end_of(run, at_change=changes // 2).killed
    assert names(tmp_path) == [f".{name}.lock", f".{name}.partial", "new"]
    decompress(store, str(target), device="cpu", level=3)
    old, notes = content(target), list[str]()
    assert end_of(run, at_change=changes // 2, overwrite=True).killed
    assert content(target) == old
    decompress(store, str(target), device="cpu", overwrite=True, note=notes.append)
    assert [f".{name}.partial" in note for note in notes] == [True]
    assert names(tmp_path) == [name, "new"]
    with xr.open_dataset(tmp_path / "new", **opened(name)) as new:
        # The history has the time in it.
        assert raw(target).assign_attrs(history="").identical(new.assign_attrs(history=""))


def opened(name: str) -> dict[str, Any]:
    """How to open a dataset raw, whatever its path ends in."""
    plain: dict[str, Any] = {"decode_cf": False}
    if name.endswith(".zarr"):
        return {**plain, "engine": "zarr", "consolidated": False}
    return {**plain, "engine": "netcdf4"}


# Disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A disk of its own, whose size and rights can be set."""
    folder, mounted = tmp_path / "disk", list[Path]()
    folder.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if mounted else ""
        command = ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a tmpfs is not permitted here")
        mounted.append(folder)
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


# Before there is anything to go on with, and amid the fields.
@pytest.mark.parametrize("size", ["40k", "56k"])
def test_a_disk_that_is_full(
    whole: Whole, disk: Callable[[str], Path], tmp_path: Path, size: str
) -> None:
    run = replace(whole.elsewhere(tmp_path), target=disk(f"size={size}") / TARGET)
    with pytest.raises(OutputError, match=r"No space left on device \(the disk is full\)"):
        again(run)
    left = names(run.target.parent)
    assert left == ([] if size == "40k" else [".store.zarr.partial"])
    assert content(run.source) == content(whole.run.source)
    disk("size=2m")
    told: list[int] = []
    again(run, told, resume=True)
    assert content(run.target) == whole.content
    assert names(run.target.parent) == [TARGET]


def test_a_disk_that_only_reads(whole: Whole, disk: Callable[[str], Path], tmp_path: Path) -> None:
    run = replace(whole.elsewhere(tmp_path), target=disk("size=1m,ro") / TARGET)
    with pytest.raises(OutputError, match="Read-only file system"):
        again(run)
    with pytest.raises(OutputError, match="Read-only file system"):
        decompress(str(whole.run.target), str(run.target), device="cpu")
    assert names(run.target.parent) == []


@pytest.mark.parametrize("writes", [3, 9])
def test_a_write_that_fails(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    run, left, put = whole.elsewhere(tmp_path), [writes], StoreOutput._set

    def failing(self: StoreOutput, key: str, value: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(StoreOutput, "_set", failing)
        with pytest.raises(OutputError, match="No space left on device"):
            again(run)
    assert names(tmp_path) == ([SOURCE] if writes == 3 else [".store.zarr.partial", SOURCE])
    again(run, resume=True)
    assert content(run.target) == whole.content


class Gone(MemoryFileSystem):  # type: ignore[misc]
    """An object store with a source, which fails after some reads."""

    protocol = "gone"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    left = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("gone://", "memory://")))

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> Any:
        if "/c/" in path:
            Gone.left -= 1
            if Gone.left < 0:
                raise TimeoutError("no answer")
        return super().cat_file(path, start, end, **options)


def test_a_source_that_fails(whole: Whole, tmp_path: Path) -> None:
    fsspec.register_implementation("gone", Gone, clobber=True)
    plain = raw(whole.run.source)
    for name in ("ta", "ts"):
        plain[name].encoding = {"chunks": (1, *plain[name].shape[1:])}
    plain.to_zarr(tmp_path / "source.zarr", zarr_format=3, consolidated=False)
    Gone().put(str(tmp_path / "source.zarr"), "/source.zarr", recursive=True)
    target = tmp_path / TARGET

    def compressed(target: Path = target, **more: Any) -> None:
        compress("gone://source.zarr", str(target), Options(**whole.run.options), **more)

    Gone.left = 1000
    compressed(tmp_path / "uninterrupted.zarr")

    Gone.left = 16
    with pytest.raises(FormatError, match="'ta', step"):
        compressed()
    assert names(tmp_path) == [".store.zarr.partial", "source.zarr", "uninterrupted.zarr"]
    Gone.left = 1000
    compressed(resume=True)
    assert content(target) == content(tmp_path / "uninterrupted.zarr")


@pytest.fixture(scope="module")
def sharded(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A store of shards of four fields, each the second from the first."""
    options = {**whole.run.options, "shard": 4}
    run = replace(whole.elsewhere(tmp_path_factory.mktemp("sharded")), options=options)
    ended = end_of(run)
    return Whole(run, content(run.target), ended.changes)


@pytest.mark.parametrize("part", [0.1, 0.75, 0.8, 0.85, 0.9, 0.97])
def test_shards_are_gone_on_with(sharded: Whole, tmp_path: Path, part: float) -> None:
    run, told = sharded.elsewhere(tmp_path), list[int]()
    assert end_of(run, at_change=round(part * sharded.changes)).killed
    again(run, told, resume=True, batch=1)
    assert content(run.target) == sharded.content
    assert names(tmp_path) == [SOURCE, TARGET]
    assert (len(told) == TIMES * LEVELS + TIMES) == (part == 0.1)


def test_nobody_goes_on_with_other_shards(sharded: Whole, tmp_path: Path) -> None:
    run = sharded.elsewhere(tmp_path)
    assert end_of(run, at_change=round(0.85 * sharded.changes)).killed
    with pytest.raises(OutputError, match=r"expected shard 4, .* got 6"):
        again(run, resume=True, shard=6)
    kept = tmp_path / ".store.zarr.partial" / "shard"
    kept.write_bytes(kept.read_bytes()[:-9] + b"?" * 9)
    (tmp_path / ".store.zarr.partial" / "new" / "ta" / "c" / "0" / "0" / "0" / "0").write_bytes(b"")
    with pytest.raises(OutputError, match="chunks of 'ta'"):
        again(run, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "sharded"])
def test_killed_before_every_change_of_the_disk(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    whole: Whole = request.getfixturevalue(kind)
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
