"""Examples for a restorer: fields coded as details, beside what that lost.

NetCDF, zarr --make_examples--> <number>.npz, statics-<grid>.npy, index.json --read_examples-->
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpcodec.detail import Detailer
from hpcodec.errors import UsageError
from hpcodec.grid import LatLonGrid
from hpcodec.missing import fill_smoothly
from hpcodec.restoring import Inputs, Restoring, lost
from hpcodec.stages import dataset
from hpcodec.stages.wavelets import halvings, to_bands
from hpcodec.train.prepare import files_matching, source_digest

__all__ = ["Example", "fields_of", "make_examples", "read_examples", "step_of_share"]

Halves = npt.NDArray[np.float16]

_MOST = 6e4  # near what float16 holds

_FIELDS, _STEPS = 2, 2  # of a variable of a file, at most; and of a field


@dataclass(frozen=True)
class Example:
    """A field that was coded, at one step.

    Parameters
    ----------
    file, sha256 : str
        Source file below the data folder, and its digest.
    variable : str
        Standard name.
    step : int
        Which field of the variable.
    share : float
        Of the coefficients that are larger than the quantisation step: some 6.5 bits each.
    activity : tuple of float
        As in :class:`hpcodec.restoring.Inputs`.
    arrays : str
        File with ``coded`` and ``lost``, float16, in steps.
    statics : str
        File of the static fields of its grid.
    """

    file: str
    sha256: str
    variable: str
    step: int
    share: float
    activity: tuple[float, ...]
    arrays: str
    statics: str

    def load(self, folder: Path) -> tuple[Halves, Halves, Halves]:
        """``coded``, ``lost`` and static fields, channels first."""
        with np.load(folder / self.arrays) as arrays:
            return arrays["coded"], arrays["lost"], np.load(folder / self.statics)


def make_examples(
    data: Path,
    patterns: Sequence[str],
    folder: Path,
    *,
    model: Path,
    shares: Sequence[float],
    seed: int | None = None,
) -> None:
    """Code fields of the files that match, and write what comes of it to ``folder``.

    Parameters
    ----------
    data : Path
        Folder that the patterns are below.
    patterns : sequence of str
        Such as ``train/t2m*.nc``.
    folder : Path
        Where the examples go, beside those that it has.
    model : Path
        Folder of a model, for its static fields.
    shares : sequence of float
        Of the coefficients that are larger than the step: each of them for every field; or, with a
        seed, of each file two fields of every variable at two shares between the least and the
        largest.
    seed : int, optional
        Of all chance.

    Raises
    ------
    UsageError
        If no file matches.
    """
    files = files_matching(data, patterns)
    folder.mkdir(parents=True, exist_ok=True)
    index = (
        [asdict(one) for one in read_examples(folder)] if (folder / "index.json").exists() else []
    )
    for number, path in enumerate(files):
        rng = None if seed is None else np.random.default_rng([seed, number])
        made = _examples_of(data, path, folder, model, shares, rng, len(index))
        index += [asdict(one) for one in made]
    (folder / "index.json").write_text(json.dumps(index, indent=1), "utf-8")


def read_examples(folder: Path, patterns: Sequence[str] = ("*",)) -> list[Example]:
    """Examples in a folder, of files that match.

    Raises
    ------
    UsageError
        If there are none.
    """
    try:
        entries = json.loads((folder / "index.json").read_text("utf-8"))
        every = [Example(**one | {"activity": tuple(one["activity"])}) for one in entries]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"expected examples in {folder}; got {error}.") from error
    found = [one for one in every if any(fnmatch(one.file, pattern) for pattern in patterns)]
    if not found:
        raise UsageError(f"expected examples of files {list(patterns)}; got none of them.")
    return found


def _examples_of(
    data: Path,
    path: Path,
    folder: Path,
    model: Path,
    shares: Sequence[float],
    rng: np.random.Generator | None,
    number: int,
) -> Iterator[Example]:
    digest = source_digest(path)
    for grid, field, (variable, step) in fields_of(path, rng):
        least, most = np.log(min(shares)), np.log(max(shares))
        chosen = shares if rng is None else np.exp(rng.uniform(least, most, _STEPS))
        for share in map(float, chosen):
            inputs, gone = _coded(field, grid, model, share)
            name = f"{number:05}.npz"
            np.savez(folder / name, coded=_half(inputs.coded), lost=_half(gone))
            yield Example(
                file=str(path.relative_to(data)),
                sha256=digest,
                variable=variable,
                step=step,
                share=share,
                activity=tuple(map(float, inputs.activity)),
                arrays=name,
                statics=_statics(grid, model, folder),
            )
            number += 1


def fields_of(
    path: Path, rng: np.random.Generator | None
) -> Iterator[tuple[LatLonGrid, npt.NDArray[np.float32], tuple[str, int]]]:
    """Fields ``(rows, columns)`` of a file that may be details, with standard name and step.

    Two of every variable, or, without chance, all.
    """
    with dataset.open_source(str(path)) as source:
        for spec in dataset.find_fields(source):
            if not isinstance(spec.grid, LatLonGrid) or halvings(spec.grid.shape) < 2:
                continue
            steps = range(spec.steps) if rng is None else rng.permutation(spec.steps)[:_FIELDS]
            for step in map(int, steps):
                read = spec.grid.sheet(dataset.read_steps(source, spec, step, step + 1)[0])
                field = fill_smoothly(read)
                if np.ptp(field):
                    yield spec.grid, field, (spec.standard_name, step)


def step_of_share(
    detailer: Detailer, bands: Sequence[npt.NDArray[np.float64]], share: float
) -> float:
    """Step, in the field's unit, that such a share of the coefficients is larger than."""
    one = detailer.steps(1.0, by_area=True)
    sizes = [np.abs(band / unit).ravel() for band, unit in zip(bands[1:], one[1:], strict=True)]
    return float(np.quantile(np.concatenate(sizes), 1 - share)) or 1.0


def _coded(
    field: npt.NDArray[np.float32], grid: LatLonGrid, model: Path, share: float
) -> tuple[Inputs, npt.NDArray[np.float64]]:
    """What a restorer is given of a field, and what it should give back."""
    bands = to_bands(field.astype(np.float64) - field.mean(dtype=np.float64))
    detailer = Detailer(grid, model)
    step = step_of_share(detailer, bands, share)
    shares = detailer.shares(bands, step, by_area=True)
    _, detail = detailer.encode(bands, step, shares, by_area=True)
    return Inputs.of(detail), lost(bands, detail)


def _half(values: npt.NDArray[np.floating]) -> Halves:
    return np.asarray(np.clip(values, -_MOST, _MOST), np.float16)


def _statics(grid: LatLonGrid, model: Path, folder: Path) -> str:
    rows = np.asarray(grid.latitude, np.float64).tobytes()
    key = hashlib.sha256(rows + np.asarray(grid.longitude, np.float64).tobytes()).hexdigest()[:16]
    if not (folder / f"statics-{key}.npy").exists():
        np.save(folder / f"statics-{key}.npy", _half(Restoring(grid, model).statics))
    return f"statics-{key}.npy"
