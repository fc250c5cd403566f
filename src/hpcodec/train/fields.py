"""Training fields: batches of faces, drawn from a prepared folder.

    folder of faces + index.json --TrainingFields.draw--> Batch

A batch reads only the faces it needs from disk; :mod:`hpcodec.train.prepare` makes the folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpcodec.errors import UsageError
from hpcodec.grid import level_of

__all__ = ["UNIT", "Batch", "PreparedField", "TrainingFields", "cells_from_faces", "read_index"]

# Faces are kept as int16 in units of a normalised field's 1/128: finer than any step coded.
UNIT = 1 / 128


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
    array : str
        File of the faces: ``(12, nside, nside)`` int16, normalised, in units of 1/128.
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
    """Faces of one level, float32, and the variable embeddings to tell, int64.

    ``field`` is ``(n, 1, side, side)``, ``statics`` ``(n, 3, 1, side, side)``, ``variable``
    ``(n,)``.
    """

    level: int
    field: Tensor
    statics: Tensor
    variable: Tensor


class TrainingFields:
    """Random batches of single faces from a prepared folder.

    Parameters
    ----------
    folder : Path
        Made by :func:`hpcodec.train.prepare.prepare`.
    fields : sequence of PreparedField
        Those to draw from.
    statics : dict of int to Tensor
        Static fields ``(3, 12, side, side)`` of every level.
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
        variables: tuple[str, ...],
        augment: bool,
        device: torch.device,
    ) -> None:
        self._faces = _Faces([folder / item.array for item in fields], device)
        self._variables = np.array(
            [
                1 + variables.index(f.standard_name) if f.standard_name in variables else 0
                for f in fields
            ]
        )
        self._statics = {level: field.to(device) for level, field in statics.items()}
        self._augment = augment
        self._device = device
        # A level is drawn as often as the fields on it cover cells.
        levels = np.array([item.level for item in fields])
        self._at = {level: np.flatnonzero(levels == level) for level in np.unique(levels).tolist()}
        weights = np.array([len(at) * 4.0**level for level, at in self._at.items()])
        self._chance = weights / weights.sum()

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """A batch of ``count`` faces, all of one level; all that is random comes from ``rng``."""
        level = int(rng.choice(list(self._at), p=self._chance))
        chosen, face = rng.choice(self._at[level], count), rng.integers(12, size=count)
        partner = np.array([self._partner(rng, level, one) for one in chosen])
        part = np.where(rng.random(count) < 0.4, rng.random(count) / 2, 0)
        size = np.full(count, UNIT)
        if self._augment:
            size *= rng.choice([-1, 1], count) * 2 ** rng.normal(0, 0.5, count)
        field = self._mixed(chosen, partner, face, part, size)
        statics = self._statics[level][:, torch.from_numpy(face).to(self._device)].transpose(0, 1)
        stack = torch.cat([field[:, None], statics], 1)
        # The eight symmetries of a face.
        transposed, upturned, turned = (self._column(rng.random(count) < 0.5) for _ in range(3))
        stack = torch.where(transposed, stack.mT, stack)
        stack = torch.where(upturned, stack.flip(-1), stack)
        stack = torch.where(turned, stack.flip(-2), stack)
        # Any variable must also do without its embedding.
        variable = np.where(rng.random(count) < 0.3, 0, self._variables[chosen])
        return Batch(
            level, stack[:, :1], stack[:, 1:, None], torch.from_numpy(variable).to(self._device)
        )

    def _mixed(
        self,
        chosen: npt.NDArray[np.int64],
        partner: npt.NDArray[np.int64],
        face: npt.NDArray[np.int64],
        part: npt.NDArray[np.float64],
        size: npt.NDArray[np.float64],
    ) -> Tensor:
        own, other = (self._faces.take(which, face) for which in (chosen, partner))
        mine, theirs = (
            torch.from_numpy(weight).to(self._device, torch.float32)[:, None, None]
            for weight in (size * (1 - part), size * part)
        )
        return mine * own + theirs * other

    def _column(self, choice: npt.NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(choice).to(self._device)[:, None, None, None]

    def _partner(self, rng: np.random.Generator, level: int, chosen: int) -> int:
        at = self._at[level]
        if not self._augment:
            at = at[self._variables[at] == self._variables[chosen]]
        return int(rng.choice(at))


class _Faces:
    """Faces ``(12, side, side)`` int16 of many fields: mapped from disk, or held on a device."""

    def __init__(self, paths: Sequence[Path], device: torch.device) -> None:
        self._mapped = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        self._device = device
        self._held: dict[int, Tensor] = {}
        self._place = np.zeros(len(paths), np.int64)
        if device.type == "cpu":
            return
        sides = np.array([faces.shape[-1] for faces in self._mapped])
        for side in np.unique(sides).tolist():
            at = np.flatnonzero(sides == side)
            self._place[at] = np.arange(at.size)
            stack = np.stack([self._mapped[k] for k in at])
            self._held[side] = torch.from_numpy(stack).to(device)

    def take(self, field: npt.NDArray[np.int64], face: npt.NDArray[np.int64]) -> Tensor:
        """Face ``face[i]`` of field ``field[i]``, all of one size: ``(n, side, side)`` int16."""
        if self._held:
            stack = self._held[self._mapped[field[0]].shape[-1]]
            places, faces = (
                torch.from_numpy(i).to(self._device) for i in (self._place[field], face)
            )
            return stack[places, faces]
        taken = [self._mapped[k][one] for k, one in zip(field, face, strict=True)]
        return torch.from_numpy(np.stack(taken))


def cells_from_faces(faces: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Normalised faces ``(12, side, side)`` of a prepared field, float32."""
    level_of(faces.size)
    return faces.astype(np.float32) * np.float32(UNIT)
