"""The Field-Space Autoencoder: fields to a compressed field and back, level by level.

    field at level L --analyse--> means at the bottleneck level --+-> base field (level 3)
                                                                  +-> residuals (levels 4 …)
    base -> [guess residual of level 4, add what was coded] -> … -> [guess residual of level L]

Everything is zero-sum inside each parent, so a field decoded at a level is the mean of the
field decoded at any finer one: scale conservation (Meuer et al. 2026, section 3.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL
from hpcodec.networks.architecture import Architecture
from hpcodec.networks.residual import COMPONENTS, ResidualStage
from hpcodec.networks.scales import split
from hpcodec.networks.sphere import face_level, pad_sphere
from hpcodec.networks.stage import FieldSpaceStage, local

__all__ = ["Code", "FieldSpaceAutoencoder", "Pad", "Setting"]

Pad = Callable[[Tensor, int], Tensor]
"""Adds a halo to faces; see :mod:`hpcodec.networks.sphere`."""

Code = Callable[[int, Tensor], tuple[Tensor, Tensor]]
"""Symbols of a component and the surprise they tell, from its guess: ``(n, F, side, side)``."""

_STATICS = 2  # orography and land-sea mask
_WIDE = 16.0  # normalised values reach some tens; the networks see them squashed


@dataclass(frozen=True)
class Setting:
    """What a network is told besides the fields, for a batch of ``n`` fields.

    Parameters
    ----------
    variable : Tensor
        ``(n,)`` int64, index into the variable embeddings; 0 for any variable.
    step : Tensor
        ``(n,)``, quantisation step of the residual of level 9, normalised units.
    bottleneck : int
        Finest level that is coded; finer ones are predicted.
    """

    variable: Tensor
    step: Tensor
    bottleneck: int

    def step_at(self, level: int) -> Tensor:
        """Step ``(n, 1, 1, 1, 1)`` of the residual of ``level``: halves with each coarser level.

        With it a unit of squared error costs the same number of bits on every level, because a
        residual at a coarser level moves four times as many cells of the finest.
        """
        return (self.step * 2.0 ** (level - FINEST_LEVEL))[:, None, None, None, None]


class FieldSpaceAutoencoder(nn.Module):
    """Encoder and decoder over the levels of a field (Meuer et al. 2026, section 3).

    Parameters
    ----------
    architecture : Architecture
        The configuration.

    Notes
    -----
    All fields are faces: ``(n, F, nside, nside)`` with F = 12 for whole spheres (``pad_sphere``)
    or 1 for single faces (``pad_isolated``). ``statics`` holds for each level from 3 up the
    orography, land-sea mask and sine of latitude, ``(n, 3, F, nside, nside)``.
    """

    spread: Tensor

    _EMBEDDING = 16
    _CONDITION = 64

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.levels = range(BASE_LEVEL + 1, a.level + 1)
        # The base field stays what it is, so no level is folded into it.
        self.folded = range(BASE_LEVEL + 2, a.wide + 1)
        # Typical size of each level's residual, so that every stage sees numbers near one.
        self.register_buffer("spread", torch.ones(len(self.levels)))
        self.embed = nn.Embedding(1 + len(a.variables), self._EMBEDDING)
        self.condition = nn.Sequential(
            nn.Linear(self._EMBEDDING + 2, self._CONDITION),
            nn.SiLU(),
            nn.Linear(self._CONDITION, self._CONDITION),
            nn.SiLU(),
        )
        known = _STATICS + 1  # their means, and the sine of latitude
        inputs = 3 + known + 3 * _STATICS
        attending = [level for level in self.levels if level <= a.attend]
        self.decompress = nn.ModuleList(
            FieldSpaceStage(
                inputs,
                a.attended,
                width=a.width,
                heads=a.heads,
                expansion=a.expansion,
                blocks=a.blocks,
                condition=self._CONDITION,
            )
            for _ in attending
        )
        self.details = nn.ModuleList(
            ResidualStage(
                inputs,
                a.attended if level in attending else 0,
                width=a.local_width if level <= a.wide else a.fine_width,
                blocks=a.local_blocks if level <= a.wide else a.fine_blocks,
                condition=self._CONDITION,
            )
            for level in self.levels
        )
        self.compress = nn.ModuleList(
            FieldSpaceStage(
                1 + 3 + 4 * a.features + known,
                a.features,
                width=a.encoder_width,
                heads=a.heads,
                expansion=a.expansion,
                blocks=a.encoder_blocks,
                condition=self._CONDITION,
            )
            for _ in self.folded
        )
        self.latent = nn.ModuleList(nn.Conv2d(a.features, 1, 1) for _ in self.folded)
        for head in self.latent:  # features start at zero, so the bottleneck starts as the mean
            nn.init.zeros_(head.get_parameter("bias"))

    def _spread_at(self, level: int) -> Tensor:
        return self.spread[level - self.levels.start]

    def _condition(self, level: int, setting: Setting) -> Tensor:
        coded = torch.full_like(setting.step, float(level <= setting.bottleneck))
        step = setting.step_at(level).flatten() / self._spread_at(level)
        known = torch.stack([torch.log2(step.clamp_min(1e-6)) / 4 * coded, coded], 1)
        told: Tensor = self.condition(torch.cat([self.embed(setting.variable), known], 1))
        return told

    def residual(
        self,
        level: int,
        parent: Tensor,
        statics: dict[int, Tensor],
        setting: Setting,
        code: Code | None = None,
        pad: Pad = pad_sphere,
    ) -> Tensor:
        """Decoded residual of ``level``: field-space decompression, led by what was coded.

        Parameters
        ----------
        level : int
            Level of the children, 4 to the finest.
        parent : Tensor
            Decoded field at ``level - 1``, ``(n, F, nside, nside)``.
        statics, setting, pad
            See the class.
        code : callable, optional
            Tells each component's symbols and surprise in turn; without it there are none, and
            the residual is what the network expects.

        Returns
        -------
        Tensor
            ``(n, 3, F, nside, nside)``, components as in :func:`split`.
        """
        number, faces = level - self.levels.start, parent.shape[1]
        stage = cast(ResidualStage, self.details[number])
        spread = self._spread_at(level)
        condition = self._condition(level, setting).repeat_interleave(faces, 0)
        attended, halo = None, stage.halo
        if level <= self.architecture.attend:
            attention = cast(FieldSpaceStage, self.decompress[number])
            around = self._around(level, parent, statics, attention.halo, pad)
            attended = attention(around, condition)
        features = stage.trunk(self._around(level, parent, statics, halo, pad), attended, condition)
        step = setting.step_at(level)[:, 0]
        values: list[Tensor] = []
        seen: list[Tensor] = []
        for component in range(COMPONENTS):
            guess = _unstack(stage.guess(component, features, seen).float(), faces) * spread
            symbols = surprise = torch.zeros_like(guess)
            if code is not None:
                symbols, surprise = code(component, guess)
            value = guess + surprise
            values.append(value)
            seen += [_stack(symbols.detach()), _stack(value.detach() / spread)]
        change = torch.unflatten(stage.settle(features, seen).float(), 0, (-1, faces))
        settled = change.transpose(1, 2) * torch.minimum(step[:, None], spread)
        return torch.stack(values, 1) + settled

    def _around(
        self, level: int, parent: Tensor, statics: dict[int, Tensor], halo: int, pad: Pad
    ) -> Tensor:
        """What a stage of the decoder sees: ``(n * F, fields, side, side)`` with a halo."""
        relief = 4 * torch.cat([split(statics[level][:, i])[1] for i in range(_STATICS)], 1)
        value = functional.softsign(parent / _WIDE)
        stack = torch.stack([parent / self._spread_at(level), value], 1)
        padded = pad(torch.cat([stack, statics[level - 1], relief], 1), halo + 2)
        near = local(padded[:, :1])
        size = torch.log2(near.abs() + 0.02) / 4
        return torch.cat([near, size, padded[:, 1:, 2:-2, 2:-2]], 1)

    def analyse(
        self,
        field: Tensor,
        statics: dict[int, Tensor],
        setting: Setting,
        pad: Pad = pad_sphere,
    ) -> Tensor:
        """Field at the bottleneck level that lets the decoder do best: field-space compression.

        Each stage folds a level into its parents (Meuer et al. 2026, eq. 4); at the bottleneck
        the features move the plain mean, zero-sum inside each base cell, so that the base field
        stays what it is.

        Parameters
        ----------
        field : Tensor
            ``(n, F, nside, nside)`` at any level from the bottleneck up; input of any
            granularity is taken as it comes.
        statics, setting, pad
            See the class.

        Returns
        -------
        Tensor
            ``(n, F, nside, nside)`` at the bottleneck level.
        """
        level = face_level(field)
        while level > max(setting.bottleneck, self.architecture.wide):
            field, level = functional.avg_pool2d(field, 2), level - 1
        faces = field.shape[1]
        features = field.new_zeros(field.shape[0], self.architecture.features, *field.shape[1:])
        if setting.bottleneck == BASE_LEVEL:
            return functional.avg_pool2d(field, field.shape[-1] // 2**BASE_LEVEL)
        while level > setting.bottleneck:
            stage = cast(FieldSpaceStage, self.compress[level - self.folded.start])
            spread = self._spread_at(level)
            field, residual = split(field)
            stack = torch.cat([field[:, None] / spread, residual / spread, _fold(features)], 1)
            halo = stage.halo + 2
            padded = pad(torch.cat([stack, statics[level - 1]], 1), halo)
            inputs = torch.cat([local(padded[:, :1]), padded[:, 1:, 2:-2, 2:-2]], 1)
            condition = self._condition(level, setting).repeat_interleave(faces, 0)
            features = stage(inputs, condition).unflatten(0, (-1, faces)).transpose(1, 2)
            if level - 1 == setting.bottleneck:
                head = self.latent[level - self.folded.start]
                change = head(features.transpose(1, 2).flatten(0, 1)).unflatten(0, (-1, faces))
                field = field + _without_mean(change.squeeze(2) * spread)
            level -= 1
        return field


def _stack(field: Tensor) -> Tensor:
    """Faces ``(n, F, side, side)`` as images ``(n * F, 1, side, side)``."""
    return field.flatten(0, 1)[:, None]


def _unstack(images: Tensor, faces: int) -> Tensor:
    """Inverse of :func:`_stack`."""
    return torch.unflatten(images[:, 0], 0, (-1, faces))


def _fold(features: Tensor) -> Tensor:
    """Features of four children as fields of their parent: ``(n, 4 c, F, side / 2, side / 2)``."""
    faces = features.shape[2]
    folded = functional.pixel_unshuffle(features.transpose(1, 2).flatten(0, 1), 2)
    return torch.unflatten(folded, 0, (-1, faces)).transpose(1, 2)


def _without_mean(field: Tensor) -> Tensor:
    """A field minus its mean over each base cell."""
    size = field.shape[-1] // 2**BASE_LEVEL
    means = functional.avg_pool2d(field, size)
    return field - means.repeat_interleave(size, -1).repeat_interleave(size, -2)
