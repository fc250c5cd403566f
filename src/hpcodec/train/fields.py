"""Training fields: batches of whole spheres or single faces, drawn from a prepared folder.

    folder of faces + index.json --TrainingFields.draw--> Batch

A batch reads only the faces it needs from disk; :mod:`hpcodec.train.prepare` makes the folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from hpcodec.errors import UsageError
from hpcodec.grid import level_of
from hpcodec.train.symmetries import turned_faces, turned_spheres

__all__ = ["Batch", "PreparedField", "TrainingFields", "cells_from_faces", "read_index"]

# Up to this level batches are whole spheres: faces without their neighbours are mostly edge.
_SPHERES = 7

# Finer faces are cut into parts of this side.
_SIDE = 256


@dataclass(frozen=True)
class PreparedField:
    """One field of a prepared folder.

    Parameters
    ----------
    file, sha256 : str
        Source file below the data folder, and its digest.
    variable, standard_name, units : str
        Of the source variable.
    step : int
        Which field of the variable.
    level : int
        HEALPix level of the faces.
    offset, scale : float
        Percentile scaling of the field, in its unit.
    unit : float
        Of the numbers in ``array``, normalised.
    array : str
        File of the faces: ``(12, nside, nside)`` int16, normalised.
    """

    file: str
    sha256: str
    variable: str
    standard_name: str
    units: str
    step: int
    level: int
    offset: float
    scale: float
    unit: float
    array: str


def read_index(folder: Path) -> tuple[PreparedField, ...]:
    """Fields of a prepared folder."""
    try:
        entries = json.loads((folder / "index.json").read_text("utf-8"))
        return tuple(PreparedField(**entry) for entry in entries)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"expected prepared fields in {folder}; got {error}.") from error


@dataclass(frozen=True, eq=False)
class Batch:
    """Spheres, faces or parts of faces of one level, float32, and the variables to tell, int64.

    ``field`` is ``(n, F, side, side)``, ``statics`` ``(n, 3, F, side, side)``, ``variable``
    ``(n,)``; F is 12 for spheres and 1 for faces.
    """

    level: int
    field: Tensor
    statics: Tensor
    variable: Tensor


class TrainingFields:
    """Random batches from a prepared folder.

    Parameters
    ----------
    folder : Path
        Made by :func:`hpcodec.train.prepare.prepare`.
    fields : sequence of PreparedField
        Those to draw from.
    statics : dict of int to Tensor
        Static fields ``(3, 12, side, side)`` of every level.
    levels : sequence of int
        Levels of the batches, as often as they are named: whole spheres up to level 7, single
        faces at level 8, parts of them at finer ones. Finer fields are averaged.
    variables : tuple of str
        Standard names with an embedding.
    augment : bool
        Random sign and amplitude, and mixing of fields of different variables.
    device : torch.device
        Where batches are made. A CPU reads faces from disk as they are drawn; another device
        holds them all.
    """

    def __init__(
        self,
        folder: Path,
        fields: Sequence[PreparedField],
        statics: dict[int, Tensor],
        *,
        levels: Sequence[int],
        variables: tuple[str, ...],
        augment: bool,
        device: torch.device,
    ) -> None:
        self._faces = _Faces(folder, fields, device)
        self._variables = np.array(
            [
                1 + variables.index(f.standard_name) if f.standard_name in variables else 0
                for f in fields
            ]
        )
        self._statics = {level: field.to(device) for level, field in statics.items()}
        self._augment = augment
        self._device = device
        own = np.array([item.level for item in fields])
        self._at = {level: np.flatnonzero(own >= level) for level in levels}
        self._levels = [level for level in levels if self._at[level].size]
        if not self._levels:
            raise UsageError(f"expected fields of level {min(levels)} or finer; got none.")

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """A batch that takes about as long as ``count`` level-8 faces; all chance is in ``rng``."""
        level = int(rng.choice(self._levels))
        if level <= _SPHERES:
            faces = np.arange(12)[None]
            # Coarse levels have more stages, and more halo: half as many cells take as long.
            count = max(1, count * _SIDE**2 // (24 * 4**level))
        else:
            faces = rng.integers(12, size=count)[:, None]
        chosen = rng.choice(self._at[level], count)
        partner = np.array([self._partner(rng, level, one) for one in chosen])
        part = np.where(rng.random(count) < 0.4, rng.random(count) / 2, 0)
        size = np.ones(count)
        if self._augment:
            size *= rng.choice([-1, 1], count) * 2 ** rng.normal(0, 0.5, count)
        corner = rng.integers(max(1, 2**level // _SIDE), size=2) * _SIDE
        cut = np.s_[..., corner[0] : corner[0] + _SIDE, corner[1] : corner[1] + _SIDE]
        own, other = (self._faces.take(which, faces, level, cut) for which in (chosen, partner))
        mine, theirs = (
            torch.from_numpy(w).to(self._device, torch.float32)[:, None, None, None]
            for w in (size * (1 - part), size * part)
        )
        field = mine * own + theirs * other
        places = torch.from_numpy(faces).to(self._device)
        statics = self._statics[level][cut][:, places].transpose(0, 1)
        stack = torch.cat([field[:, None], statics.expand(count, *statics.shape[1:])], 1)
        stack = (turned_spheres if level <= _SPHERES else turned_faces)(stack, rng)
        # Any variable must also do without its embedding.
        variable = np.where(rng.random(count) < 0.3, 0, self._variables[chosen])
        return Batch(level, stack[:, 0], stack[:, 1:], torch.from_numpy(variable).to(self._device))

    def _partner(self, rng: np.random.Generator, level: int, chosen: int) -> int:
        at = self._at[level]
        if not self._augment:
            at = at[self._variables[at] == self._variables[chosen]]
        return int(rng.choice(at))


class _Faces:
    """Faces ``(12, side, side)`` of many fields: mapped from disk, or held on a device."""

    def __init__(self, folder: Path, fields: Sequence[PreparedField], device: torch.device) -> None:
        self._stored = [
            np.load(folder / item.array, mmap_mode="r", allow_pickle=False) for item in fields
        ]
        self._units = [item.unit for item in fields]
        self._device = device
        self._held: dict[int, Tensor] = {}
        self._spheres: dict[tuple[int, int], Tensor] = {}
        if device.type != "cpu":
            for number, faces in enumerate(self._stored):
                self._held[number] = torch.from_numpy(np.asarray(faces)).to(device)

    def take(
        self,
        fields: npt.NDArray[np.int64],
        faces: npt.NDArray[np.int64],
        level: int,
        cut: tuple[Any, ...],
    ) -> Tensor:
        """Faces of fields at ``level``, cut: ``(n, F, side, side)`` float32, normalised.

        ``faces`` is ``(n, 1)``, or ``(1, 12)`` for all of every field.
        """
        if faces.shape[1] == 12:
            return torch.stack([self._sphere(number, level) for number in fields.tolist()])
        pairs = zip(fields.tolist(), faces[:, 0].tolist(), strict=True)
        return torch.stack([self._at_level(n, slice(f, f + 1), level)[cut] for n, f in pairs])

    def _sphere(self, number: int, level: int) -> Tensor:
        """A whole sphere, kept: at the levels where spheres are drawn they are small."""
        if (number, level) not in self._spheres:
            self._spheres[number, level] = self._at_level(number, slice(12), level)
        return self._spheres[number, level]

    def _at_level(self, number: int, faces: slice, level: int) -> Tensor:
        if number in self._held:
            taken = self._held[number][faces]
        else:
            taken = torch.from_numpy(np.array(self._stored[number][faces]))
        values = taken.float() * self._units[number]
        return functional.avg_pool2d(values, values.shape[-1] // 2**level)


def cells_from_faces(faces: npt.NDArray[np.int16], unit: float) -> npt.NDArray[np.float32]:
    """Normalised faces ``(12, side, side)`` of a prepared field, float32."""
    level_of(faces.size)
    return faces.astype(np.float32) * np.float32(unit)
