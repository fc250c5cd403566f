"""A store cannot lead its reader out of its folder, nor make it run or hold what it names."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcodec.containment import check_name, damaged, folder_size
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError, HpcodecError, ModelError
from hpcodec.info import describe
from hpcodec.stages.zarr_store import open_store
from hpcodec.validation import validate
from tests.golden.make import FOLDER

Damage = Callable[[Path], object]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    copy = tmp_path / "store.zarr"
    shutil.copytree(FOLDER / "ratio" / "store.zarr", copy)
    return copy


def edit(path: Path, change: Callable[[Any], object]) -> None:
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")


def linked(name: str) -> Damage:
    """The same file, or folder, but elsewhere, and a link to it."""

    def damage(store: Path) -> None:
        away = store.parent / "away"
        shutil.move(store / name, away)
        (store / name).symlink_to(away)

    return damage


def piped(name: str) -> Damage:
    """A pipe, of which a reader would wait for ever."""

    def damage(store: Path) -> None:
        (store / name).unlink()
        os.mkfifo(store / name)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        linked("t2m"),
        linked("t2m/zarr.json"),
        linked("t2m/c/0/0/0"),
        linked("time/c/0"),
        linked("lat"),
        linked("zarr.json"),
        piped("t2m/c/0/0/0"),
        piped("time/c/0"),
        piped("lat/zarr.json"),
    ],
)
def test_links_and_pipes_are_not_followed(store: Path, damage: Damage, tmp_path: Path) -> None:
    damage(store)
    with pytest.raises(FormatError, match="link or a device"):
        decompress(str(store), str(tmp_path / "a.nc"), level=3)
    assert not (tmp_path / "a.nc").exists()
    errors = [finding for finding in validate(str(store)) if finding.rule != "model"]
    assert any("link or a device" in finding.what for finding in errors)


def test_a_store_behind_a_link_is_the_users_choice(store: Path, tmp_path: Path) -> None:
    (tmp_path / "link.zarr").symlink_to(store)
    assert describe(str(tmp_path / "link.zarr"))["bytes"] == folder_size(store)


def test_a_loop_of_links_has_a_size(store: Path) -> None:
    before = folder_size(store)
    for name in "ab":
        (store / name).symlink_to("..")
    assert folder_size(store) == before


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "a/b", "/a", "a\\b", ".a", "a\0", "a\n", "\x1b["],
)
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(FormatError, match="variable's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["t2m", "2t", "a.b", "T-2", "température", "a b"])
def test_names_that_are_names(name: str) -> None:
    assert check_name(name) == name


def test_a_source_cannot_name_a_place_to_write_to(tmp_path: Path) -> None:
    from hpcodec.compression import Options, compress
    from tests.synthetic import series

    source = series(1).rename(t2m="../../out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hpcodec.compression.open_source", lambda path: source)
        with pytest.raises(HpcodecError, match="name"):
            compress("any.nc", str(tmp_path / "a.zarr"), Options(ratio=4))
    assert list(tmp_path.iterdir()) == []


def codec(name: str) -> Damage:
    def damage(store: Path) -> None:
        spec = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": name}]
        edit(store / "lat" / "zarr.json", lambda array: array.update(codecs=spec))

    return damage


def reshaped(name: str, shape: list[int], chunks: list[int]) -> Damage:
    def change(array: Any) -> None:
        array["shape"] = shape
        array["chunk_grid"]["configuration"]["chunk_shape"] = chunks

    return lambda store: edit(store / name / "zarr.json", change)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (codec("pickle"), "pickle|damaged"),
        (codec("numcodecs.zlib"), "numcodecs.zlib"),
        (reshaped("time", [2**40], [8]), "dimension 'time'|values of the coordinate"),
        (reshaped("lat", [2**40], [2**40]), "chunks of at most|dimension"),
        (reshaped("t2m", [2**40, 37, 72], [1, 37, 72]), "fields|dimension"),
        (reshaped("t2m", [0, 37, 72], [1, 37, 72]), "fields|dimension"),
        (lambda store: (store / ".t2m").mkdir(), ""),
        (lambda store: (store / "t2m").rename(store / "\n"), "variable's name"),
        (lambda store: (store / "zarr.json").write_text("[" * 10**6), "RecursionError|Check"),
        (
            lambda store: edit(
                store / "zarr.json",
                lambda root: root.update(consolidated_metadata={"metadata": {"x": 3}}),
            ),
            "",
        ),
    ],
)
def test_metadata_that_reach_too_far(store: Path, damage: Damage, words: str) -> None:
    damage(store)
    if not words:
        describe(str(store))
        return
    with pytest.raises(FormatError, match=words):
        open_store(str(store))


def test_many_fields_that_are_not_there_are_soon_refused(store: Path, tmp_path: Path) -> None:
    """A shape without end: nothing is allocated by it, and nobody counts to it."""
    reshaped("t2m", [2**31, 37, 72], [1, 37, 72])(store)
    shutil.rmtree(store / "time")
    findings = [finding for finding in validate(str(store)) if finding.rule == "checksum"]
    assert 10 < len(findings) < 50
    with pytest.raises(FormatError, match="expected chunk"):
        decompress(str(store), str(tmp_path / "a.zarr"), level=3)
    assert not (tmp_path / "a.zarr").exists()


def test_what_libraries_raise_becomes_one_line() -> None:
    for error in (ValueError("a\nb"), MemoryError(), RecursionError(), KeyError("x")):
        with pytest.raises(FormatError) as caught, damaged("a thing"):
            raise error
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError), damaged("a thing"):
        raise ModelError("ours")


def test_the_carried_part_is_what_it_was(store: Path) -> None:
    skeleton = open_store(str(store)).skeleton()
    with xr.open_zarr(store, consolidated=False, decode_cf=False) as whole:
        assert set(skeleton.variables) == set(whole.variables) - {"t2m"}
        np.testing.assert_array_equal(skeleton.lat, whole.lat)
        assert skeleton.attrs == {k: v for k, v in whole.attrs.items() if k != "hpcodec"}
