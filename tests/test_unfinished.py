"""Outputs that are not whole yet: alone in their folder, in place at the end or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcodec.errors import MissingValueError, OutputError, UsageError
from hpcodec.unfinished import Growth, growing


def nothing() -> None:
    """No target is refused."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left(target: Path, *, journal: bool) -> Growth:
    """What a killed run leaves."""
    growth = Growth(target)
    growth.new.mkdir(parents=True)
    (growth.new / "half").write_text("half")
    if journal:
        growth.journal.write_text("{}")
    return growth


def write(growth: Growth, text: str = "new") -> None:
    growth.new.mkdir(exist_ok=True)
    (growth.new / "data").write_text(text)


@pytest.mark.parametrize("old", [False, True])
def test_it_is_in_place_at_the_end(tmp_path: Path, old: bool) -> None:
    target = tmp_path / "a.zarr"
    if old:
        target.mkdir()
        (target / "data").write_text("old")
    with growing(target, nothing, overwrite=old) as growth:
        write(growth)
        assert names(tmp_path) == [".a.zarr.lock", ".a.zarr.partial", *(["a.zarr"] * old)]
    assert names(tmp_path) == ["a.zarr"]
    assert (target / "data").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OutputError, UsageError, MissingValueError])
@pytest.mark.parametrize("journal", [False, True])
def test_only_what_can_be_gone_on_with_is_kept(
    tmp_path: Path, error: type[BaseException], journal: bool
) -> None:
    notes: list[str] = []

    def fail() -> None:
        with growing(tmp_path / "a.zarr", nothing, note=notes.append) as growth:
            write(growth)
            if journal:
                growth.journal.write_text("{}")
            raise error

    with pytest.raises(error):
        fail()
    # What was asked for wrongly would be refused again.
    kept = journal and error in (KeyboardInterrupt, OutputError)
    assert names(tmp_path) == ([".a.zarr.partial"] if kept else [])
    assert [".a.zarr.partial" in note for note in notes] == [True] * kept


def test_what_is_left_is_gone_on_with_or_replaced(tmp_path: Path) -> None:
    target, notes = tmp_path / "a.zarr", list[str]()
    growth = left(target, journal=True)
    with pytest.raises(OutputError, match="--resume"), growing(target, nothing):
        pass
    assert (growth.new / "half").exists()
    with growing(target, nothing, resume=True, overwrite=True, note=notes.append) as growth:
        assert (growth.new / "half").exists()
        write(growth)
    assert notes == []
    assert names(target) == ["data", "half"]
    left(target, journal=True)
    with growing(target, nothing, overwrite=True, note=notes.append) as growth:
        write(growth)
    assert names(target) == ["data"]
    left(target, journal=False)
    with growing(target, nothing, resume=True, note=notes.append) as growth:
        assert not growth.new.exists()
        write(growth)
    assert names(target) == ["data"]
    assert len(notes) == 2


def test_a_swap_that_was_cut_short_is_undone(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    growth = left(target, journal=True)
    growth.old.mkdir()

    def refuse() -> None:
        if target.exists():
            raise OutputError("exists")

    with pytest.raises(OutputError, match="exists"), growing(target, refuse):
        pass
    assert names(tmp_path) == [".a.zarr.partial", "a.zarr"]
    assert names(growth.folder) == ["journal.json", "new"]
    growth.old.mkdir()  # killed when the new was in place already
    with growing(target, nothing, overwrite=True) as growth:
        assert not growth.old.exists()
        write(growth)
    assert names(tmp_path) == ["a.zarr"]


def test_an_old_one_comes_back_if_the_new_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.zarr"
    target.mkdir()
    replace: Callable[..., None] = os.replace

    def failing(source: Path, place: Path) -> None:
        if source.name == "new":
            raise OSError("no")
        replace(source, place)

    monkeypatch.setattr(os, "replace", failing)

    def fail() -> None:
        with growing(target, nothing, overwrite=True) as growth:
            write(growth)

    with pytest.raises(OutputError, match="no"):
        fail()
    assert names(tmp_path) == ["a.zarr"]
    assert names(target) == []


def test_only_one_writes(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    with growing(target, nothing) as growth:
        write(growth)
        cases: list[dict[str, Any]] = [{}, {"overwrite": True}, {"resume": True}]
        for options in cases:
            with (
                pytest.raises(OutputError, match="alone"),
                growing(target, nothing, **options),
            ):
                pass
        with growing(tmp_path / "b.zarr", nothing) as other:
            write(other)
    assert names(tmp_path) == ["a.zarr", "b.zarr"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Make it first"), growing(tmp_path / "no/a", nothing):
        pass
