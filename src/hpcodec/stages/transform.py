"""Encode: normalised HEALPix fields <-> the integers of a compressed field, by the network.

    cells --encode--> CompressedField, decoded cells
    CompressedField --decode(level)--> cells at any level

The only stage that uses torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from hpcodec.errors import LevelError
from hpcodec.fields import CompressedField, Scaling
from hpcodec.grid import BASE_LEVEL, level_of
from hpcodec.networks.field_space import FieldSpaceAutoencoder, Setting, merge, split
from hpcodec.networks.rate import dequantise, quantise
from hpcodec.networks.sphere import to_faces, to_nested

__all__ = ["Coder", "static_pyramid"]

Floats = npt.NDArray[np.float32]


def static_pyramid(
    orography: npt.NDArray[np.int16], land: npt.NDArray[np.uint8]
) -> dict[int, Tensor]:
    """Static fields as networks take them, for every level from the base up.

    Parameters
    ----------
    orography : ndarray of int16
        ``(12 * 4**level,)``, nested order, metres.
    land : ndarray of uint8
        The same shape; 255 is all land.

    Returns
    -------
    dict of int to Tensor
        ``(3, 12, nside, nside)`` float32: orography in km, land fraction, sine of latitude.
    """
    import healpy

    level = level_of(orography.size)
    polar, _ = healpy.pix2ang(2**level, np.arange(orography.size), nest=True)
    cells = np.stack([orography / 1000, land / 255, np.cos(polar)]).astype(np.float32)
    pyramid = {level: to_faces(torch.from_numpy(cells))}
    for coarser in range(level - 1, BASE_LEVEL - 1, -1):
        pyramid[coarser] = functional.avg_pool2d(pyramid[coarser + 1], 2)
    return pyramid


@dataclass(frozen=True, eq=False)
class Coder:
    """A network with the static fields it knows, on one device.

    Parameters
    ----------
    network : FieldSpaceAutoencoder
        In evaluation mode.
    statics : dict of int to Tensor
        From :func:`static_pyramid`, on the network's device.
    """

    network: FieldSpaceAutoencoder
    statics: dict[int, Tensor]

    @torch.inference_mode()
    def encode(
        self,
        cells: Floats,
        *,
        scaling: Sequence[Scaling],
        bottleneck: int,
        steps: Sequence[float],
        variable: int = 0,
        level: int | None = None,
    ) -> tuple[list[CompressedField], Floats]:
        """Compressed fields of ``cells``, and what decoding them gives at ``level``.

        Parameters
        ----------
        cells : ndarray of float32
            ``(n, 12 * 4**level)``, nested order, normalised.
        scaling : sequence of Scaling
            Of each field, kept with the result.
        bottleneck : int
            Finest level to code; at most the level of ``cells``.
        steps : sequence of float
            Quantisation step of each field, normalised units.
        variable : int
            Embedding of the variable; 0 for any.
        level : int, optional
            Level to decode to, from the bottleneck up: the level of ``cells`` unless given. A
            trial of a step need not go beyond the bottleneck.

        Raises
        ------
        LevelError
            If the bottleneck is finer than the field, or coarser than the base.
        """
        own = level_of(cells.shape[-1])
        if not BASE_LEVEL <= bottleneck <= own:
            raise LevelError(
                f"expected a bottleneck level from {BASE_LEVEL} to {own}, the field's own; "
                f"got {bottleneck}. Choose a coarser bottleneck."
            )
        setting = self._setting(steps, bottleneck, variable)
        field = to_faces(torch.from_numpy(cells).to(self._device))
        coded = self.network.analyse(field, self._statics(len(cells)), setting)
        wanted = {}
        for at in range(bottleneck, BASE_LEVEL, -1):
            coded, wanted[at] = split(coded)
        base = torch.round(coded / self._base_step(setting))
        kept: list[npt.NDArray[np.int32]] = []

        def residual(at: int, predicted: Tensor) -> Tensor:
            step = setting.step_at(at, self._finest)
            symbols = quantise(wanted[at] - predicted, step)
            kept.append(_integers(symbols))
            return predicted + dequantise(symbols, step)

        decoded = self._decode(base, setting, own if level is None else level, residual)
        bases = _integers(base)
        compressed = [
            CompressedField(
                base=bases[i],
                residuals=tuple(symbols[i] for symbols in kept),
                offset=scaling[i].offset,
                scale=scaling[i].scale,
                step=float(np.float32(steps[i])),
            )
            for i in range(len(cells))
        ]
        return compressed, to_nested(decoded).cpu().numpy()

    @torch.inference_mode()
    def decode(
        self, fields: Sequence[CompressedField], level: int, *, bottleneck: int, variable: int = 0
    ) -> Floats:
        """Normalised cells ``(n, 12 * 4**level)`` of ``fields``, nested order, float32.

        Parameters
        ----------
        fields : sequence of CompressedField
            With their residuals up to ``min(level, bottleneck)`` at least.
        level : int
            From 3 to the network's finest. Beyond the bottleneck, the network's prediction.
        bottleneck : int
            Finest level that was coded, the same for all.
        variable : int
            As when encoding.

        Raises
        ------
        LevelError
            If ``level`` is not one that the network gives.
        """
        if not BASE_LEVEL <= level <= self._finest:
            raise LevelError(
                f"level {level} is not one that this model gives ({BASE_LEVEL} to {self._finest}). "
                "Decode at one of these and average or interpolate."
            )
        setting = self._setting([field.step for field in fields], bottleneck, variable)
        base = self._faces([field.base for field in fields])

        def residual(at: int, predicted: Tensor) -> Tensor:
            symbols = self._faces([field.residuals[at - BASE_LEVEL - 1] for field in fields])
            return predicted + dequantise(symbols, setting.step_at(at, self._finest))

        return to_nested(self._decode(base, setting, level, residual)).cpu().numpy()

    def _decode(
        self,
        base: Tensor,
        setting: Setting,
        level: int,
        residual: Callable[[int, Tensor], Tensor],
    ) -> Tensor:
        """Faces at ``level``: predict each level, let ``residual`` add what was coded."""
        field = base * self._base_step(setting)
        statics = self._statics(len(base))
        for at in range(BASE_LEVEL + 1, level + 1):
            predicted = self.network.predict(at, field, statics, setting)
            if at <= setting.bottleneck:
                predicted = residual(at, predicted)
            field = merge(field, predicted)
        return field

    @property
    def _finest(self) -> int:
        return self.network.architecture.level

    @property
    def _device(self) -> torch.device:
        return self.network.spread.device

    def _setting(self, steps: Sequence[float], bottleneck: int, variable: int) -> Setting:
        return Setting(
            variable=torch.full((len(steps),), variable, device=self._device),
            step=torch.tensor(steps, device=self._device, dtype=torch.float32),
            bottleneck=bottleneck,
        )

    def _base_step(self, setting: Setting) -> Tensor:
        return setting.step_at(BASE_LEVEL + 1, self._finest)[:, 0]

    def _statics(self, count: int) -> dict[int, Tensor]:
        return {at: field.expand(count, *field.shape) for at, field in self.statics.items()}

    def _faces(self, symbols: Sequence[npt.NDArray[np.int32]]) -> Tensor:
        stack = torch.from_numpy(np.stack(symbols))
        return to_faces(stack.to(self._device, torch.float32))


def _integers(symbols: Tensor) -> npt.NDArray[np.int32]:
    return to_nested(symbols).to(torch.int32).cpu().numpy()
