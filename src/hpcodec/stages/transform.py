"""Encode: normalised HEALPix fields <-> the integers of a compressed field, by the network.

    cells --encode--> CompressedField, decoded cells
    CompressedField --decode(level)--> cells at any level

The only stage that uses torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import LevelError
from hpcodec.fields import CompressedField, Scaling
from hpcodec.grid import BASE_LEVEL, level_of
from hpcodec.networks.field_space import FieldSpaceAutoencoder, Setting
from hpcodec.networks.rate import dequantise
from hpcodec.networks.scales import merge, split
from hpcodec.networks.sphere import to_faces, to_nested
from hpcodec.stages.power import amplitude, power_lost
from hpcodec.stages.symbols import FieldWriter
from hpcodec.stages.trail import CARRY_ALL, Trail

__all__ = ["Coder", "static_pyramid"]

_MOST = 2.0**31 - 256  # the largest float32 that an int32 holds with room to spare

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
    entropy : EntropyModel, optional
        By which symbols are chosen; without it (while a model is trained) by a simpler rule.
    """

    network: FieldSpaceAutoencoder
    statics: dict[int, Tensor]
    entropy: EntropyModel | None = None

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
        after: Trail | None = None,
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
        after : Trail, optional
            Of the field before this one in time, from :meth:`trail`; then ``cells`` is one field,
            with the scaling of that one.

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
        known = 0 if after is None else after.base
        base = torch.round((coded - known) / self._base_step(setting)).clamp(-_MOST, _MOST)
        carry = [] if after is None else [CARRY_ALL]
        writers = [
            FieldWriter(self.entropy, *one) for one in zip(_integers(base), steps, strict=True)
        ]

        def code(at: int, component: int, guess: Tensor) -> tuple[Tensor, Tensor]:
            step = setting.step_at(at)[:, 0]
            surprise = wanted[at][:, component] - guess
            carried = torch.zeros_like(surprise)
            if after is not None:
                if component == 0:
                    carry.append(after.likeness(at, surprise))
                carried = after.carried(at, component, carry[-1])
            pairs = zip(writers, ((surprise - carried) / step).cpu(), strict=True)
            chosen = torch.stack([writer.take(component, one) for writer, one in pairs])
            symbols = chosen.to(self._device, torch.float32)
            return symbols, carried + dequantise(symbols, step)

        residuals: dict[int, Tensor] = {}
        decoded = self._decode(
            base, setting, own if level is None else level, code, after, kept=residuals
        )
        lost = [power_lost(wanted[at], residuals[at]) for at in sorted(wanted)]
        powers = zip(*lost, strict=True) if lost else [()] * len(writers)
        fields = [
            writer.finish(one, tuple(carry), tuple(power))
            for writer, one, power in zip(writers, scaling, powers, strict=True)
        ]
        return fields, to_nested(decoded).cpu().numpy()

    @torch.inference_mode()
    def decode(
        self,
        fields: Sequence[CompressedField],
        level: int,
        *,
        bottleneck: int,
        variable: int = 0,
        after: Trail | None = None,
        sharp: bool = False,
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
        after : Trail, optional
            As when encoding.
        sharp : bool
            Give each level the power that its residual had: a larger error, but the spectrum of
            the original.

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

        def code(at: int, component: int, _: Tensor) -> tuple[Tensor, Tensor]:
            number = at - BASE_LEVEL - 1
            symbols = self._faces([field.residuals[number][component] for field in fields])
            surprise = dequantise(symbols, setting.step_at(at)[:, 0])
            if after is not None:
                (field,) = fields
                surprise = surprise + after.carried(at, component, field.carry[at - BASE_LEVEL])
            return symbols, surprise

        powers = [field.power for field in fields] if sharp else None
        decoded = self._decode(base, setting, level, code, after, powers=powers)
        return to_nested(decoded).cpu().numpy()

    @torch.inference_mode()
    def trail(self, field: CompressedField, after: Trail | None = None) -> Trail:
        """What ``field``, which itself may follow another, tells of the next field in time.

        Only as far as its levels go; the network has no part in it.
        """
        setting = self._setting([field.step], field.bottleneck, 0)
        base = self._faces([field.base]) * self._base_step(setting)
        surprises = {}
        for at, nested in enumerate(field.residuals, BASE_LEVEL + 1):
            step = setting.step_at(at)[:, 0]
            told = [dequantise(self._faces([one]), step) for one in nested]
            if after is not None:
                share = field.carry[at - BASE_LEVEL]
                told = [one + after.carried(at, c, share) for c, one in enumerate(told)]
            surprises[at] = torch.stack(told, 1)
        return Trail(base if after is None else base + after.base, surprises)

    def _decode(
        self,
        base: Tensor,
        setting: Setting,
        level: int,
        code: Callable[[int, int, Tensor], tuple[Tensor, Tensor]],
        after: Trail | None,
        *,
        kept: dict[int, Tensor] | None = None,
        powers: Sequence[tuple[int, ...]] | None = None,
    ) -> Tensor:
        """Faces at ``level``: each level's residual from its parents and what ``code`` tells.

        ``kept`` takes the residuals; ``powers`` are given back to what is returned, not to what
        the network sees.
        """
        field = base * self._base_step(setting)
        if after is not None:
            field = field + after.base
        statics, sharp = self._statics(len(base)), field
        for at in range(BASE_LEVEL + 1, level + 1):
            coded = partial(code, at) if at <= setting.bottleneck else None
            residual = self.network.residual(at, field, statics, setting, coded)
            field = merge(field, residual)
            if kept is not None:
                kept[at] = residual
            if powers is not None:
                gains = [amplitude(power, at) for power in powers]
                gain = torch.tensor(gains, device=self._device)[:, None, None, None, None]
                sharp = merge(sharp, residual * gain)
        return field if powers is None else sharp

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
        return setting.step_at(BASE_LEVEL + 1)[:, 0]

    def _statics(self, count: int) -> dict[int, Tensor]:
        return {at: field.expand(count, *field.shape) for at, field in self.statics.items()}

    def _faces(self, symbols: Sequence[npt.NDArray[np.int32]]) -> Tensor:
        stack = torch.from_numpy(np.stack(symbols))
        return to_faces(stack.to(self._device, torch.float32))


def _integers(symbols: Tensor) -> npt.NDArray[np.int32]:
    return to_nested(symbols).to(torch.int32).cpu().numpy()
