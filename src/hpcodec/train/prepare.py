"""Prepare training: files of any grid to a folder of remapped, normalised faces.

NetCDF, zarr --prepare--> <digest>-<variable>-<step>.npy, index.json
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hpcodec.errors import HpcodecError, UsageError
from hpcodec.grid import FINEST_LEVEL
from hpcodec.missing import fill_nearest
from hpcodec.networks.sphere import to_faces
from hpcodec.stages import dataset
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import measure_scaling
from hpcodec.train.fields import PreparedField

__all__ = ["prepare"]

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
    files = sorted({path for pattern in patterns for path in data.glob(pattern)})
    if not files:
        raise UsageError(f"expected files in {data} that match {list(patterns)}; got none.")
    folder.mkdir(parents=True, exist_ok=True)
    prepared = [item for path in files for item in _prepare_file(data, path, folder)]
    index = json.dumps([asdict(item) for item in prepared], indent=1)
    (folder / "index.json").write_text(index, "utf-8")
    return tuple(prepared)


def _prepare_file(data: Path, path: Path, folder: Path) -> list[PreparedField]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = dataset.open_source(str(path))
    prepared = []
    try:
        for spec in dataset.find_fields(source):
            level = min(spec.grid.fine_level, FINEST_LEVEL)
            remap = remap_for(spec.grid, level)
            for step in range(spec.steps):
                sheet = spec.grid.sheet(dataset.read_steps(source, spec, step, step + 1)[0])
                cells = remap.to_healpix(spec.grid.unsheet(fill_nearest(sheet)))
                scaling = measure_scaling(cells)
                name = f"{digest[:16]}-{spec.name}-{step}.npy"
                faces, unit = _quantised_faces((cells - scaling.offset) / scaling.scale)
                np.save(folder / name, faces, allow_pickle=False)
                prepared.append(
                    PreparedField(
                        file=str(path.relative_to(data)),
                        sha256=digest,
                        variable=spec.name,
                        standard_name=spec.standard_name,
                        units=spec.units,
                        step=step,
                        level=level,
                        offset=scaling.offset,
                        scale=scaling.scale,
                        unit=unit,
                        array=name,
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
