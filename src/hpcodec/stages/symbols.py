"""Choose symbols: what is coded of one field's surprises, level by level.

surprises over the step --FieldWriter--> symbols, CompressedField
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpcodec.entropy.activity import COMPONENTS
from hpcodec.entropy.coding import LevelEncoder
from hpcodec.entropy.tables import EntropyModel
from hpcodec.fields import CompressedField, Scaling
from hpcodec.networks.rate import quantise
from hpcodec.networks.sphere import to_nested

__all__ = ["FieldWriter"]


class FieldWriter:
    """Chooses the symbols of one field, level by level, and keeps them.

    Parameters
    ----------
    model : EntropyModel, optional
        By which a symbol is worth its bits; without it (while a network is trained) by the
        simpler rule that training has.
    base : ndarray of int32
        Symbols of the base field, ``(768,)``.
    step : float
        Quantisation step of the field.
    """

    def __init__(
        self, model: EntropyModel | None, base: npt.NDArray[np.int32], step: float
    ) -> None:
        self._model, self._base, self._step = model, base, float(np.float32(step))
        self._residuals: list[npt.NDArray[np.int32]] = []
        self._codes: list[bytes] = []
        self._plain: list[npt.NDArray[np.int32]] = []
        self._encoder: LevelEncoder | None = None

    def take(self, component: int, scaled: Tensor) -> Tensor:
        """Symbols of a component's surprises over the step, both ``(12, nside, nside)``."""
        if self._model is None:
            symbols = quantise(scaled[None], torch.ones(1))[0]
            self._plain.append(_nested(symbols))
        else:
            if component == 0:
                self._encoder = LevelEncoder(self._model, self._base, self._residuals, self._step)
            assert self._encoder is not None, "components come in order"
            symbols = torch.from_numpy(self._encoder.take(component, scaled.numpy()))
        if component == COMPONENTS - 1:
            self._close()
        return symbols

    def _close(self) -> None:
        if self._encoder is None:
            self._residuals.append(np.stack(self._plain))
            self._plain = []
        else:
            self._residuals.append(self._encoder.symbols)
            self._codes.append(self._encoder.code)

    def finish(
        self, scaling: Scaling, carry: tuple[int, ...], power: tuple[int, ...]
    ) -> CompressedField:
        """The field, all its levels taken."""
        return CompressedField(
            base=self._base,
            residuals=tuple(self._residuals),
            offset=scaling.offset,
            scale=scaling.scale,
            step=self._step,
            carry=carry,
            power=power,
            codes=tuple(self._codes),
        )


def _nested(symbols: Tensor) -> npt.NDArray[np.int32]:
    return to_nested(symbols).to(torch.int32).numpy()
