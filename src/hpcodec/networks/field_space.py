"""The Field-Space Autoencoder: fields to a compressed field and back, level by level.

    field at level L --analyse--> means at the bottleneck level --+-> base field (level 3)
                                                                  +-> residuals (levels 4 …)
    base -> [predict residual of level 4, add what was coded] -> … -> [predict residual of level L]

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

from hpcodec.grid import BASE_LEVEL
from hpcodec.networks.sphere import face_level, pad_sphere
from hpcodec.networks.stage import FieldSpaceStage, local

__all__ = ["Architecture", "FieldSpaceAutoencoder", "Pad", "Setting", "merge", "split"]

Pad = Callable[[Tensor, int], Tensor]
"""Adds a halo to faces; see :mod:`hpcodec.networks.sphere`."""

_STATICS = 2  # orography and land-sea mask
_WIDE = 16.0  # normalised values reach some tens; the networks see them squashed


@dataclass(frozen=True)
class Architecture:
    """The whole configuration of a network.

    Parameters
    ----------
    level : int
        Finest level.
    width, heads, expansion, blocks : int
        Of the field-space attention in each stage of the decoder.
    encoder_width, encoder_blocks, features : int
        Of the stages of the encoder, and the feature fields they hand to each other.
    variables : tuple of str
        CF standard names with an embedding of their own; any other shares one.
    """

    level: int = 8
    width: int = 128
    heads: int = 4
    expansion: int = 2
    blocks: int = 2
    encoder_width: int = 64
    encoder_blocks: int = 1
    features: int = 8
    variables: tuple[str, ...] = ()


def split(field: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each parent and the three residual components of its children.

    Field-space multi-scale decomposition (Meuer et al. 2026, eq. 1), written in the zero-sum
    components so that each number of the residual is free: children are the mean plus or minus
    each of the components.

    Parameters
    ----------
    field : Tensor
        ``(n, 12, side, side)``, faces.

    Returns
    -------
    mean : Tensor
        ``(n, 12, side / 2, side / 2)``.
    residual : Tensor
        ``(n, 3, 12, side / 2, side / 2)``.
    """
    a, b = field[..., 0::2, 0::2], field[..., 0::2, 1::2]
    c, d = field[..., 1::2, 0::2], field[..., 1::2, 1::2]
    # Pairwise, as in `merge`, so that the mean of merged children is exactly their parent.
    residual = torch.stack([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 4
    return ((a + d) + (b + c)) / 4, residual


def merge(mean: Tensor, residual: Tensor) -> Tensor:
    """Inverse of :func:`split`: children from their parents and residual."""
    x, y, xy = residual.unbind(1)
    field = mean.new_empty(*mean.shape[:-2], 2 * mean.shape[-2], 2 * mean.shape[-1])
    field[..., 0::2, 0::2], field[..., 0::2, 1::2] = mean + (x + y + xy), mean + (y - x - xy)
    field[..., 1::2, 0::2], field[..., 1::2, 1::2] = mean + (x - y - xy), mean + (xy - x - y)
    return field


@dataclass(frozen=True)
class Setting:
    """What a network is told besides the fields, for a batch of ``n`` fields.

    Parameters
    ----------
    variable : Tensor
        ``(n,)`` int64, index into the variable embeddings; 0 for any variable.
    step : Tensor
        ``(n,)``, quantisation step of the finest level's orthonormal residual, normalised units.
    bottleneck : int
        Finest level that is coded; finer ones are predicted.
    """

    variable: Tensor
    step: Tensor
    bottleneck: int

    def step_at(self, level: int, finest: int) -> Tensor:
        """Step ``(n, 1, 1, 1, 1)`` of the residual of ``level``: halves with each coarser level.

        With it a unit of squared error costs the same number of bits on every level, because a
        residual at a coarser level moves four times as many cells of the finest.
        """
        return (self.step * 2.0 ** (level - finest - 1))[:, None, None, None, None]


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
        self.folded = range(BASE_LEVEL + 2, a.level + 1)
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
        self.decompress = nn.ModuleList(
            FieldSpaceStage(
                3 + known + 3 * _STATICS,
                3,
                width=a.width,
                heads=a.heads,
                expansion=a.expansion,
                blocks=a.blocks,
                condition=self._CONDITION,
            )
            for _ in self.levels
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
        step = setting.step_at(level, self.architecture.level).flatten() / self._spread_at(level)
        known = torch.stack([torch.log2(step.clamp_min(1e-6)) / 4 * coded, coded], 1)
        told: Tensor = self.condition(torch.cat([self.embed(setting.variable), known], 1))
        return told

    def predict(
        self,
        level: int,
        parent: Tensor,
        statics: dict[int, Tensor],
        setting: Setting,
        pad: Pad = pad_sphere,
    ) -> Tensor:
        """Residual of ``level`` predicted from the decoded parents: field-space decompression.

        Parameters
        ----------
        level : int
            Level of the children, 4 to the finest.
        parent : Tensor
            Decoded field at ``level - 1``, ``(n, F, nside, nside)``.
        statics, setting, pad
            See the class.

        Returns
        -------
        Tensor
            ``(n, 3, F, nside, nside)``, components as in :func:`split`.
        """
        stage = cast(FieldSpaceStage, self.decompress[level - self.levels.start])
        spread = self._spread_at(level)
        fine = statics[level]
        relief = 4 * torch.cat([split(fine[:, i])[1] for i in range(_STATICS)], 1)
        value = functional.softsign(parent / _WIDE)
        halo = stage.halo + 2
        stack = torch.stack([parent / spread, value], 1)
        padded = pad(torch.cat([stack, statics[level - 1], relief], 1), halo)
        near = local(padded[:, :1])
        size = torch.log2(near.abs() + 0.02) / 4
        fields = torch.cat([near, size, padded[:, 1:, 2:-2, 2:-2]], 1)
        condition = self._condition(level, setting)
        faces = parent.shape[1]
        residual = stage(fields, condition.repeat_interleave(faces, 0)) * spread
        return torch.unflatten(residual, 0, (-1, faces)).transpose(1, 2)

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
