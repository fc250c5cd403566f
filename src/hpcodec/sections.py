"""What a page says of one variable: words, pictures and tables, all of it HTML.

View, Comparison, ... --section--> heading, sentence, panels, table by grid, table by level
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import product
from math import prod

from hpcodec.comparison import Comparison, compared_table
from hpcodec.panels import draw_panels
from hpcodec.report import bound_text
from hpcodec.stages.zarr_store import StoredVariable
from hpcodec.views import View

__all__ = ["anchor", "errors_of", "in_bytes", "section", "table"]

_MOST_LEVELS = 60  # rows of a table that somebody reads


def section(view: View, rows: Sequence[Comparison], names: list[list[str]], pixels: int) -> str:
    """HTML of a variable.

    Parameters
    ----------
    view : View
        What was watched of it.
    rows : sequence of Comparison
        Of it, the first on the source grid.
    names : list of list of str
        Of its leading dimensions, from :func:`hpcodec.views.names_along`.
    pixels : int
        Width of the maps; 0 for no pictures.
    """
    item = view.item
    long_name = str(item.attributes.get("long_name", ""))
    told = f"{item.name}: {long_name}" if long_name else item.name
    parts = [f'<section id="{anchor(item.name)}"><h2>{escape(told)}</h2>', _words(view, rows[0])]
    if pixels and rows[0].figures.count:
        step = ", ".join(_step_names(item, names, view.step))
        parts.append(f'<div class="panels">{draw_panels(view, step, pixels)}</div>')
    parts.append(_by_grid(item, rows))
    if view.levels:
        parts.append(_by_level(view, rows[0].units, names[1:]))
    return "\n".join([*parts, "</section>"])


def _words(view: View, row: Comparison) -> str:
    figures, coding, unit = row.figures, view.item.coding, f" {row.units}" if row.units else ""
    if not figures.count:
        return "<p>It has no values to compare: all are missing.</p>"
    spread = figures.maximum - figures.minimum
    ends = escape(f"from {figures.minimum:.6g}{unit} to {figures.maximum:.6g}{unit}")
    share = f", {100 * figures.rmse / spread:.2g} % of their range" if spread else ""
    if view.exact:
        return f"<p>Values go {ends}, and all come back as they were.</p>"
    bound = bound_text(coding.max_error, coding.max_rel_error, row.units)
    promised = "No bound was asked for" if bound == "none" else f"The bound is {bound}"
    rmse, most = (escape(f"{error:.4g}{unit}") for error in (figures.rmse, figures.max_error))
    return (
        f"<p>Values go {ends}. Decoded ones are off by <strong>{rmse}</strong> (RMSE){share}, and "
        f"nowhere by more than <strong>{most}</strong>. {escape(promised)}.</p>"
    )


def _by_grid(item: StoredVariable, rows: Sequence[Comparison]) -> str:
    columns, cells = compared_table(rows)
    before = 4 * prod(item.shape)
    body = []
    for row, cell in zip(rows, cells, strict=True):
        sizes = f"{row.bytes:,}", f"{before / row.bytes:.1f}"
        body.append((*map(escape, (cell[1], *errors_of(row, cell))), *sizes))
    caption = (
        "By grid: errors over all fields, the bytes of compressed fields that decoding to that "
        f"grid reads, and how many times fewer they are than {in_bytes(before)} as float32."
    )
    return table(caption, (*columns[1:], "bytes", "ratio"), body)


def _by_level(view: View, units: str, names: list[list[str]]) -> str:
    told = [", ".join(place) for place in product(*names)]
    levels = view.levels
    if len(levels) > _MOST_LEVELS:
        return f"<p>Errors of each of {len(levels):,} levels would be a table too long to read.</p>"
    rows = [Comparison(told[place], units, "", 0, 0, figures) for place, figures in levels.items()]
    columns, cells = compared_table(rows)
    body = [
        tuple(map(escape, (cell[0], *errors_of(row, cell))))
        for row, cell in zip(rows, cells, strict=True)
    ]
    dims = " and ".join(view.item.dims[1 : -view.item.axes])
    caption = f"By {escape(dims)}: errors on the source grid."
    return table(caption, (dims, *columns[2:]), body)


def _step_names(item: StoredVariable, names: list[list[str]], step: int) -> list[str]:
    found = []
    for places, size in zip(reversed(names), reversed(item.leading_shape), strict=True):
        step, place = divmod(step, size)
        found.append(places[place])
    return found[::-1]


def errors_of(row: Comparison, cell: tuple[str, ...]) -> tuple[str, ...]:
    """Errors of a row of :func:`hpcodec.comparison.compared_table`, if there are such."""
    return cell[2:] if row.figures.count else ("not compared",) * len(cell[2:])


def table(caption: str, columns: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Table of cells that are HTML, the first of each row its heading."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    rows = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in body
    )
    return (
        f'<div class="table"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def anchor(name: str) -> str:
    """Name of a variable's section, for links."""
    return f"variable-{escape(name.replace(' ', '-'))}"


def in_bytes(size: int) -> str:
    """Size in words, three figures.

    Examples
    --------
    >>> in_bytes(16049), in_bytes(4152960), in_bytes(274)
    ('16.0 kB', '4.15 MB', '274 bytes')
    """
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:,.{2 - min(len(str(int(size / step))) - 1, 2)}f} {unit}"
    return f"{size} bytes"
