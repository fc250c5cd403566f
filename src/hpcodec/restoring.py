"""A decoded detail with what a network adds to it: no bytes, and a smaller error.

Detail --Restoring.restore--> detail ``(rows, columns)``

What comes out depends on the machine in its last digits, as all that the networks say of values.
Nothing that is decoded from bytes depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from hpcodec.detail import Detail
from hpcodec.grid import LatLonGrid
from hpcodec.quarters import from_quarters, to_quarters
from hpcodec.relief import relief_on
from hpcodec.restorers import load_restorer
from hpcodec.stages.wavelets import from_bands, to_bands

__all__ = ["Inputs", "Restoring", "lost"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_HALVINGS = 5  # whose activity is told
_QUIET = 2e-3  # added to it before the logarithm is taken
_OCTAVES = 4  # of activity that are one to the network
_AROUND = 9  # places, in each direction, over whose mean a mean is told


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the network is given of one field.

    Parameters
    ----------
    coded : ndarray of float32
        ``(31, rows, columns)``, in steps: symbols, with the means less those around in place of
        the coarsest; and what relief explains of all but the means.
    activity : ndarray of float32
        ``(5,)``, logarithm of the mean magnitude of the symbols of each halving, finest first.
    means : ndarray of float64
        ``(rows, columns)``, the decoded means themselves, in steps.
    """

    coded: Floats
    activity: Floats
    means: Doubles

    @classmethod
    def of(cls, detail: Detail) -> Inputs:
        """Of a detail of at least two halvings."""
        means = from_bands(detail.bands[:-6]) / _steps_of_means(detail)
        fine = [np.asarray(band, np.float64) for band in detail.symbols[-6:]]
        parts = zip(detail.known[-6:], detail.steps[-6:], fine, strict=True)
        explained = [np.broadcast_to(one / unit, band.shape) for one, unit, band in parts]
        channels = to_quarters([means - _smooth(means), *fine])
        relief = to_quarters([means, *explained])[1:]
        coded = np.concatenate([channels, relief]).astype(np.float32)
        return cls(coded, _activity(detail), means)


@dataclass(frozen=True, eq=False)
class Restoring:
    """Restores details on a grid.

    Parameters
    ----------
    grid : LatLonGrid
        The grid.
    folder : Path
        Of the model that names the restorer, and whose static fields it is given.
    """

    grid: LatLonGrid
    folder: Path

    def restore(self, detail: Detail, variable: str) -> Doubles:
        """Detail ``(rows, columns)`` in the field's unit, with what it is likely to lack.

        Parameters
        ----------
        detail : Detail
            Of at least two halvings.
        variable : str
            Standard name of the field.
        """
        inputs = Inputs.of(detail)
        shapes = [(band.shape[0], band.shape[1]) for band in detail.symbols]
        means, *fine = from_quarters(self._corrections(inputs, variable), shapes)
        parts = zip(detail.bands[-6:], fine, detail.steps[-6:], strict=True)
        found = [one + by * unit for one, by, unit in parts]
        return from_bands([(inputs.means + means) * _steps_of_means(detail), *found])

    @cached_property
    def statics(self) -> Floats:
        """Orography, land, sine and cosine of latitude, ``(34, rows, columns)``."""
        relief = [to_quarters(to_bands(one)) for one in relief_on(self.folder, self.grid)]
        polar = np.deg2rad(np.asarray(self.grid.latitude)[::4])[:, None]
        latitude = [np.broadcast_to(f(polar), relief[0].shape[1:]) for f in (np.sin, np.cos)]
        return np.concatenate([*relief, np.stack(latitude)]).astype(np.float32)

    def _corrections(self, inputs: Inputs, variable: str) -> Doubles:
        """Of the channels ``(16, rows, columns)``, in steps."""
        import torch

        network, shape = load_restorer(self.folder)
        whole = np.concatenate([inputs.coded, self.statics])
        round_globe = np.pad(whole, ((0, 0), (0, 0), (shape.reach, shape.reach)), mode="wrap")
        with torch.inference_mode():
            found = network(
                torch.from_numpy(round_globe)[None].to(memory_format=torch.channels_last),
                torch.from_numpy(inputs.activity)[None],
                torch.tensor([shape.index(variable)]),
            )[0, :, :, shape.reach : -shape.reach]
        return np.asarray(found.numpy(), np.float64)


def lost(bands: list[Doubles], detail: Detail) -> Doubles:
    """What a detail lacks of the bands that it was made of, as channels, in steps."""
    parts = zip(bands[-6:], detail.bands[-6:], detail.steps[-6:], strict=True)
    fine = [(band - one) / unit for band, one, unit in parts]
    means = from_bands(bands[:-6]) - from_bands(detail.bands[:-6])
    return to_quarters([means / _steps_of_means(detail), *fine])


def _steps_of_means(detail: Detail) -> Doubles:
    """Steps ``(rows, 1)`` of the means of two halvings, which lie where details of columns do."""
    return detail.steps[-6]


def _smooth(means: Doubles) -> Doubles:
    means = uniform_filter1d(means, _AROUND, axis=1, mode="wrap")
    return np.asarray(uniform_filter1d(means, _AROUND, axis=0, mode="nearest"))


def _activity(detail: Detail) -> Floats:
    sizes = [float(np.abs(band).mean()) for band in detail.symbols[1:]]
    halvings = [float(np.mean(sizes[at : at + 3])) for at in range(0, len(sizes), 3)][::-1]
    logs = np.log2(np.array(halvings[:_HALVINGS]) + _QUIET) / _OCTAVES
    return np.pad(logs, (0, max(0, _HALVINGS - logs.size))).astype(np.float32)
