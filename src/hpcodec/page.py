"""A page that shows what compression changed: one HTML file that asks for no other.

store, original --compare(watch=Page.watch)--> Views --Page.write--> report.html

Whatever a store or a dataset says of itself is text on the page, never a part of it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from importlib.resources import files
from math import prod
from pathlib import Path
from string import Template
from typing import Any

import fsspec
import numpy.typing as npt

from hpcodec.charts import has_matplotlib, shared
from hpcodec.comparison import Comparison, compared_table
from hpcodec.errors import OutputError, UsageError
from hpcodec.models import load_model
from hpcodec.output_formats import reported
from hpcodec.report import MOST_COMMAND
from hpcodec.sections import anchor, errors_of, in_bytes, section, table
from hpcodec.stages.zarr_store import Store, StoredVariable, open_store
from hpcodec.views import View, names_along

__all__ = ["Page"]

# Width of maps by how many variables there are, so that a page of tens of them can be mailed.
_PIXELS = ((4, 1000), (12, 640), (math.inf, 400))

_NO_PICTURES = (
    "There are no maps, spectra and histograms on this page: matplotlib was not installed where "
    "it was made. Install it with pip install 'hpcodec[plot]' and compare again."
)


class Page:
    """A page that is going to be written.

    Parameters
    ----------
    path : str
        Local, ending in ``.html``; an existing file is replaced, once all is drawn.
    store : str
        What it is about.

    Raises
    ------
    UsageError
        If it ends otherwise.
    OutputError
        If its folder is not there.
    FormatError
        If the store is none.
    """

    def __init__(self, path: str, store: str) -> None:
        self._path = Path(path)
        if self._path.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"expected a page ending in .html; got '{path}'. Name it so.")
        if not self._path.parent.is_dir() or self._path.is_dir():
            raise OutputError(
                f"expected a path of a file in an existing folder; got '{path}'. Choose another."
            )
        self._store = open_store(store)
        self._views: dict[str, View] = {}

    def watch(
        self, item: StoredVariable, start: int, truth: npt.NDArray[Any], decoded: npt.NDArray[Any]
    ) -> None:
        """Take in a batch of fields; a :data:`hpcodec.comparison.Watch`."""
        if item.name not in self._views:
            told = self._store.record.error.get(item.name)
            self._views[item.name] = View(item, told.max_error if told else 0.0)
        self._views[item.name].add(start, truth, decoded)

    def write(self, original: str, rows: Sequence[Comparison], note: Callable[[str], None]) -> None:
        """Write the page of what was watched.

        Parameters
        ----------
        original : str
            The dataset.
        rows : sequence of Comparison
            Of the store with it.
        note : callable
            Called with a line of what cannot be on the page.

        Raises
        ------
        OutputError
            If it cannot be written; what stood there stays.
        """
        if not (pictures := has_matplotlib()):
            note(_NO_PICTURES)
        text = self._text(original, rows, pictures)
        fresh = self._path.with_name(f".{self._path.name}.new")
        with reported(self._path):
            try:
                fresh.write_text(text, "utf-8")
                os.replace(fresh, self._path)
            finally:
                fresh.unlink(missing_ok=True)

    def _text(self, original: str, rows: Sequence[Comparison], pictures: bool) -> str:
        store = self._store
        items = [view.item for view in self._views.values()]
        skeleton = store.skeleton()
        sections, pixels = [], next(size for most, size in _PIXELS if len(items) <= most)
        for name, view in self._views.items():
            own = [row for row in rows if row.name == name]
            names = names_along(skeleton, view.item)
            sections.append(section(view, own, names, pixels if pictures else 0))
        name = Path(original.rstrip("/")).name
        land = load_model(items[0].coding.model, items[0].coding.weights).land if pictures else None
        template = Template(files("hpcodec").joinpath("page.html").read_text("utf-8"))
        return template.substitute(
            title=f"{escape(name)} {rows[0].ratio:.0f} times smaller",
            shared="" if land is None else shared(land),
            name=escape(name),
            lead=_lead(items, len(store.variables), rows),
            sizes=_sizes(original, store, rows),
            facts=_facts(original, store, items),
            missing="" if pictures else f'<p class="missing">{escape(_NO_PICTURES)}</p>',
            overview=_overview(rows, items) if len(items) > 1 else "",
            sections="\n".join(sections),
            made=f"Made {_now()} by hpcodec {version('hpcodec')}: hpcodec compare --html.",
        )


def _lead(items: Sequence[StoredVariable], known: int, rows: Sequence[Comparison]) -> str:
    fields = sum(item.steps for item in items)
    names = ", ".join(escape(item.name) for item in items[:6]) + ", ..." * (len(items) > 6)
    few = f" of {known}" * (known > len(items))
    kinds = f"{len(items)}{few} variables" if known > 1 else "one variable"
    return (
        f"{f'{fields:,} fields' if fields > 1 else 'One field'} of {kinds} ({names}), compressed "
        f"{rows[0].ratio:.1f} times, and how far what comes back is from what went in."
    )


def _sizes(original: str, store: Store, rows: Sequence[Comparison]) -> str:
    before = sum(4 * prod(item.shape) for item in store.variables.values())
    apart = ", without coordinates of points" * bool(store.grid_size)
    boxes = [
        ("Fields before", in_bytes(before), "as float32"),
        ("Store after", in_bytes(store.size), "all files counted"),
        ("Ratio", f"{rows[0].ratio:.1f}", f"bytes before over bytes after{apart}"),
    ]
    if size := _size_of(original):
        boxes.insert(0, ("File before", in_bytes(size), "on disk, as it was"))
    return "".join(
        f"<div><dt>{what}</dt><dd>{told}<small>{how}</small></dd></div>"
        for what, told, how in boxes
    )


def _facts(original: str, store: Store, items: Sequence[StoredVariable]) -> str:
    models = dict.fromkeys((item.coding.model, item.coding.weights) for item in items)
    facts = [("Original", f"<code>{escape(original)}</code>")]
    facts.append(("Store", f"<code>{escape(store.path)}</code>"))
    for model, weights in models:
        told = f"{escape(model)}, weights sha256 <code>{weights}</code>"
        facts.append(("Model", told))
    command = store.record.command
    cut = " ..." * (len(command) >= MOST_COMMAND)  # no more of it is recorded
    told = f"<code>{escape(command)}{cut}</code>" if command else "not recorded"
    facts.append(("Command", told))
    facts.append(("Compressed by", f"hpcodec {escape(store.record.version)}"))
    facts.append(("Page made", f"{_now()} by hpcodec {version('hpcodec')}"))
    return "".join(f"<dt>{what}</dt><dd>{told}</dd>" for what, told in facts)


def _overview(rows: Sequence[Comparison], items: Sequence[StoredVariable]) -> str:
    firsts = {row.name: row for row in reversed(rows)}
    chosen = [firsts[item.name] for item in items]
    body = []
    for row, cell, item in zip(chosen, compared_table(chosen)[1], items, strict=True):
        link = f'<a href="#{anchor(row.name)}">{escape(row.name)}</a>'
        sizes = f"{row.bytes:,}", f"{4 * prod(item.shape) / row.bytes:.1f}"
        body.append((link, *map(escape, errors_of(row, cell)), *sizes))
    columns = ("variable", "RMSE", "max error", "bias", "PSNR", "bytes", "ratio")
    caption = "On the source grid, over all fields; bytes of compressed fields, without metadata."
    return f"<h3>All variables</h3>{table(caption, columns, body)}"


def _size_of(path: str) -> int:
    """Bytes of a file, a folder or a URL; 0 where nobody tells."""
    try:
        system, inner = fsspec.url_to_fs(path)
        return int(system.du(inner))
    except (OSError, ValueError, NotImplementedError):
        return 0


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
