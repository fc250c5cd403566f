"""The page that a comparison is told on."""

from __future__ import annotations

import json
import re
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from hpcodec import cli
from hpcodec.comparison import compare
from hpcodec.compression import Options, compress
from hpcodec.errors import OutputError, UsageError
from hpcodec.page import Page
from hpcodec.targets import ALL
from tests.nasty import coast
from tests.synthetic import MODEL, axes, waves

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Checks that all is closed, and keeps what is said and referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        told = dict(attrs)
        assert len(told) == len(attrs), (tag, attrs)
        assert not any(name.startswith("on") for name in told)
        self.ids += [told["id"] or ""] if "id" in told else []
        self.links += [told[name] or "" for name in ("href", "src", "xlink:href") if name in told]
        if tag == "svg" and "aria-hidden" not in told:
            assert told.get("role") == "img"
            self.labels.append(told.get("aria-label") or "")
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th", "a") and "tr" in self.open:
            self.rows[-1].append(data)


def read(path: Path) -> tuple[Reader, str]:
    """A page that is whole and refers to nothing but itself, and its text."""
    text = path.read_text("utf-8")
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert text.startswith("<!DOCTYPE html>")
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)
    assert not {"script", "iframe", "object", "embed", "link", "img"} & set(reader.tags)
    for link in reader.links:
        assert link.startswith("data:image/png;base64,") or link[1:] in reader.ids, link[:60]
    assert all(place in reader.ids for place in re.findall(r"url\(#?([^)]*)\)", text))
    assert "@import" not in text
    return reader, unescape(re.sub(r"<[^>]*>", "", text.partition("</style>")[2]))


def page_of(source: str, store: str, path: Path, **options: Any) -> tuple[Reader, str]:
    page, notes = Page(str(path), store), list[str]()
    rows = compare(source, store, device="cpu", watch=page.watch, **options)
    page.write(source, rows, notes.append)
    assert notes == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return read(path)


def test_variables_and_levels(rich_source: str, rich_store: str, tmp_path: Path) -> None:
    reader, text = page_of(rich_source, rich_store, tmp_path / "a.html", batch=4)
    rows = compare(rich_source, rich_store, device="cpu")
    for row in rows:
        grid = "source" if row.grid == "source" else f"level {row.grid}"
        errors = f"{row.figures.rmse:.4g} {row.units}", f"{row.figures.max_error:.4g} {row.units}"
        bias, psnr = f"{row.figures.bias:+.2g} {row.units}", f"{row.figures.psnr:.1f} dB"
        size = 4 * 6 * 37 * 72 / row.bytes
        assert [grid, *errors, bias, psnr, f"{row.bytes:,}", f"{size:.1f}"] in reader.rows
    assert {"variable-ta", "variable-msl"} <= set(reader.ids)
    assert len(reader.labels) == 2 * 6
    assert sum("Map of" in label for label in reader.labels) == 6
    assert {"plev 850 hPa", "plev 500 hPa"} <= {row[0] for row in reader.rows}
    assert {"2020-01-01 00:00", "2020-01-01 12:00"} <= {row[0] for row in reader.rows}
    assert "98.8 kB" not in text
    assert f"{rows[0].ratio:.1f}" in text
    assert "any-l9" in text
    assert "fields of 2 variables" in text


def test_errors_by_level_are_those_of_the_level(
    rich_source: str, rich_store: str, tmp_path: Path
) -> None:
    reader, text = page_of(
        rich_source, rich_store, tmp_path / "a.html", variables=["ta"], levels=[]
    )
    assert "6 fields of 1 of 2 variables (ta)" in text
    (whole,) = compare(rich_source, rich_store, variables=["ta"], levels=[], device="cpu")
    told = {row[0]: float(row[1].split()[0]) for row in reader.rows if row[0].startswith("plev ")}
    assert len(told) == 2
    both = np.sqrt(np.mean(np.square(list(told.values()))))
    assert both == pytest.approx(whole.figures.rmse, rel=1e-3)
    assert "variable-msl" not in reader.ids


def test_masks_constants_bounds_and_foreign_text(tmp_path: Path) -> None:
    masked = waves(1)
    masked[:, coast()] = np.nan
    sea = {"units": "K <$&", "long_name": '<b onclick="a">$sea</b> & more'}
    fields = {
        "sst": (("time", "lat", "lon"), masked, sea),
        "flat": (("time", "lat", "lon"), np.full_like(masked, 3.5), {"units": "1"}),
        "none": (("time", "lat", "lon"), np.full_like(masked, np.nan)),
    }
    (tmp_path / "out").mkdir()
    source, store = str(tmp_path / "a.nc"), str(tmp_path / "a.zarr")
    xr.Dataset(fields, coords=axes()).to_netcdf(source)
    compress(source, store, Options(max_error={ALL: 0.5}, model=MODEL, device="cpu"))
    text = tmp_path / "out" / "b.html"
    reader, told = page_of(source, store, text, levels=[3])
    assert "The bound is 0.5 K <$&: dashed lines." in told
    assert "Grey: no value." in told
    assert f"sst: {sea['long_name']}" in told
    assert "all come back as they were" in told
    assert "all are missing" in told
    assert len(reader.labels) == 6 + 2
    assert ["none", *["not compared"] * 4] in [row[:5] for row in reader.rows]
    (used,) = re.findall(r"The largest error is ([\d.]+)% of its bound", told)
    assert 0 < float(used) <= 100


def test_without_matplotlib(
    monkeypatch: pytest.MonkeyPatch, single_source: str, single_store: str, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    path = tmp_path / "a.html"
    arguments = ["compare", single_source, single_store, "--html", str(path), "--json"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert "pip install 'hpcodec[plot]'" in result.stderr
    reader, text = read(path)
    assert "no maps, spectra and histograms" in text
    assert "svg" not in reader.tags
    (first, *_) = json.loads(result.stdout)
    assert f"{first['figures']['rmse']:.4g} K" in text
    assert f"{first['bytes']:,}" in text


def test_paths_that_are_refused(single_store: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.html"):
        Page(str(tmp_path / "a.pdf"), single_store)
    with pytest.raises(OutputError, match="existing folder"):
        Page(str(tmp_path / "no" / "a.html"), single_store)
    (tmp_path / "b.html").mkdir()
    with pytest.raises(OutputError, match="existing folder"):
        Page(str(tmp_path / "b.html"), single_store)


def test_an_older_page_is_replaced_whole(
    single_source: str, single_store: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.html"
    path.write_text("older")
    _, text = page_of(single_source, single_store, path, levels=[])
    assert "older" not in text
    assert path.stat().st_size < 2_000_000
