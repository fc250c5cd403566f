"""Limits on memory: sizes in words, batches that fit, and what is too little for one field."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.errors import UsageError
from hpcodec.memory import fields_within, needed, read_size, shown_size
from hpcodec.stages.dataset import fields_together, find_fields, open_source
from tests.interruptions import content
from tests.synthetic import MODEL, raw, series


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("1.5g", 15 * 10**8), ("800 MiB", 800 * 2**20), ("1tib", 2**40), ("7", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "GB", "-1GB", "2XB", "0", "1iB", "1e9"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="such as 2GB"):
        read_size(text)


@given(
    memory=some.integers(1, 2**36),
    cells=some.integers(768, 12 * 4**10),
    size=some.integers(1, 2**28),
    wanted=some.integers(1, 100),
    together=some.integers(1, 1000),
)
def test_a_batch_fits_or_not_even_one_field_does(
    memory: int, cells: int, size: int, wanted: int, together: int
) -> None:
    least = needed(cells, size, 1, together)
    if least > memory:
        with pytest.raises(UsageError, match=f"Set --memory to {shown_size(least)}"):
            fields_within(memory, "t2m", cells, size, wanted, together)
        memory = read_size(shown_size(least))  # which does
    count = fields_within(memory, "t2m", cells, size, wanted, together)
    assert needed(cells, size, count, together) <= memory
    assert 1 <= count <= max(wanted, together)


def test_chunks_of_the_source_are_read_once() -> None:
    assert fields_within(2**40, "t2m", 768, 4, wanted=4, together=24) == 24
    assert fields_within(2**40, "t2m", 768, 4, wanted=60, together=24) == 48
    assert fields_within(None, "t2m", 768, 4, wanted=4, together=24) == 4


def test_chunks_of_a_source(tmp_path: Path) -> None:
    chunked = series(6)
    chunked.t2m.encoding["chunksizes"] = (3, 37, 72)
    chunked.to_netcdf(tmp_path / "a.nc")
    chunked.t2m.encoding = {"chunks": (8, 37, 72)}
    chunked.to_zarr(tmp_path / "a.zarr", consolidated=False)
    series(6).to_netcdf(tmp_path / "b.nc", unlimited_dims=[])
    for name, together in (("a.nc", 3), ("a.zarr", 6), ("b.nc", 1)):
        with open_source(str(tmp_path / name)) as source:
            (spec,) = find_fields(source)
            assert fields_together(source, spec) == together


def test_memory_changes_no_byte(series_source: str, series_store: str, tmp_path: Path) -> None:
    store, back = tmp_path / "a.zarr", tmp_path / "a.nc"
    how = ("--ratio", "4", "--model", MODEL, "--bottleneck", "5", "--device", "cpu")
    arguments = ["compress", series_source, str(store), *how, "--memory", "1GB"]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    made, known = content(store), content(Path(series_store))
    assert made.keys() == known.keys()
    assert {k for k in made if made[k] != known[k]} <= {"zarr.json"}  # it has the command
    arguments = ["decompress", str(store), str(back), "--memory", "1GB", "--device", "cpu"]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    assert abs(raw(back).t2m - raw(series_source).t2m).max() < 5


def test_too_little_for_one_field(series_source: str, series_store: str, tmp_path: Path) -> None:
    for arguments in (
        ["compress", series_source, str(tmp_path / "a.zarr"), "--memory", "100MB"],
        ["decompress", series_store, str(tmp_path / "a.nc"), "--memory", "100MB"],
    ):
        result = CliRunner().invoke(cli.app, arguments)
        assert isinstance(result.exception, UsageError)
        assert "for a field of 't2m'; got 0.1GB. Set --memory to 0.9GB" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
