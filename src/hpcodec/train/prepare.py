"""Prepare training: files of any grid to a folder of remapped, normalised faces.

NetCDF, zarr --prepare--> <digest>-<variable>-<step>.npy, index.json
one of them, some of its steps --prepare_steps--> PreparedField, ...
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hpcodec.errors import HpcodecError, UsageError
from hpcodec.fields import FieldSpec
from hpcodec.grid import FINEST_LEVEL
from hpcodec.missing import fill_nearest
from hpcodec.models import file_digest
from hpcodec.networks.sphere import to_faces
from hpcodec.stages import dataset
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import measure_scaling
from hpcodec.train.fields import PreparedField

__all__ = ["files_matching", "prepare", "prepare_steps", "source_digest", "write_index"]

_LARGEST = 32767  # of int16


def prepare(data: Path, patterns: Sequence[str], folder: Path) -> tuple[PreparedField, ...]:
    """Remap and normalise every field of the files that match, and write them to ``folder``.

    Parameters
    ----------
    data : Path
        Folder that the patterns are below.
    patterns : sequence of str
        Such as ``train/t2m*.nc``.
    folder : Path
        Where the faces go; those of earlier calls with the same files are replaced.

    Returns
    -------
    tuple of PreparedField
        In the order of the files' names; also written to ``folder/index.json``.

    Raises
    ------
    UsageError
        If no file matches.

    Notes
    -----
    Missing values are filled with their nearest valid neighbour. Files without a global field
    raise: leave them out by pattern.
    """
    files = files_matching(data, patterns)
    folder.mkdir(parents=True, exist_ok=True)
    prepared = [
        item
        for path in files
        for item in prepare_steps(
            path, str(path.relative_to(data)), source_digest(path), folder, finest=FINEST_LEVEL
        )
    ]
    write_index(prepared, folder)
    return tuple(prepared)


def files_matching(data: Path, patterns: Sequence[str]) -> list[Path]:
    """Files below ``data`` that match any of the patterns, in order.

    Raises
    ------
    UsageError
        If none does.
    """
    files = sorted({path for pattern in patterns for path in data.glob(pattern)})
    if not files:
        raise UsageError(f"expected files in {data} that match {list(patterns)}; got none.")
    return files


def write_index(prepared: Sequence[PreparedField], folder: Path) -> None:
    """Say which fields a folder has, for :func:`hpcodec.train.fields.read_index`."""
    index = json.dumps([asdict(item) for item in prepared], indent=1)
    (folder / "index.json").write_text(index, "utf-8")


def source_digest(path: Path) -> str:
    """Sha256 of a file, or of the names and the sha256 of all files of a zarr group."""
    if path.is_file():
        return file_digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = (f"{file.relative_to(path).as_posix()} {file_digest(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _all_steps(spec: FieldSpec) -> range:
    return range(spec.steps)


def prepare_steps(
    path: Path,
    name: str,
    digest: str,
    folder: Path,
    *,
    steps: Callable[[FieldSpec], Iterable[int]] = _all_steps,
    finest: int,
) -> list[PreparedField]:
    """Remap and normalise fields of one file, and write them to ``folder``.

    Parameters
    ----------
    path : Path
        NetCDF, zarr or GRIB.
    name, digest : str
        What the file is called in the index, and its sha256.
    folder : Path
        Where the faces go; it exists.
    steps : callable
        Steps to take of each variable; by default all.
    finest : int
        Level that no field is remapped beyond.
    """
    source = dataset.open_source(str(path))
    prepared = []
    try:
        for spec in dataset.find_fields(source):
            if not (wanted := list(steps(spec))):
                continue
            level = min(spec.grid.fine_level, finest)
            remap = remap_for(spec.grid, level)
            for step in wanted:
                sheet = spec.grid.sheet(dataset.read_steps(source, spec, step, step + 1)[0])
                cells = remap.to_healpix(spec.grid.unsheet(fill_nearest(sheet)))
                scaling = measure_scaling(cells)
                array = f"{digest[:16]}-{spec.name}-{step}.npy"
                faces, unit = _quantised_faces((cells - scaling.offset) / scaling.scale)
                np.save(folder / array, faces, allow_pickle=False)
                prepared.append(
                    PreparedField(
                        file=name,
                        sha256=digest,
                        variable=spec.name,
                        standard_name=spec.standard_name,
                        units=spec.units,
                        step=step,
                        level=level,
                        offset=scaling.offset,
                        scale=scaling.scale,
                        unit=unit,
                        array=array,
                    )
                )
    except HpcodecError as error:
        error.add_note(f"while preparing {path}")
        raise
    finally:
        source.close()
    return prepared


def _quantised_faces(cells: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int16], float]:
    faces = to_faces(torch.from_numpy(np.asarray(cells, np.float32))).numpy()
    unit = float(np.abs(faces).max()) / _LARGEST or 1.0
    return np.asarray(np.rint(faces / unit), np.int16), unit
