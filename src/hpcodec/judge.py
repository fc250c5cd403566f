"""Where the errors of a field count: what a reader gets of its cells, beside the field.

decoded cells --shown--> field --stored--> numbers --rmse--> error
decoded field --correction--> what keeps a bound
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.correction import correction_for
from hpcodec.fields import EVERYTHING, Range
from hpcodec.mask_table import NONE, restored
from hpcodec.masks import Mask
from hpcodec.packing import PLAIN, Packing
from hpcodec.stages.normalise import lowered, within

__all__ = ["Judge"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Judge:
    """Where the errors of one field count.

    Parameters
    ----------
    truth : ndarray of float
        ``(1, ...)``, the field's unit; NaN where it has no value.
    show : callable
        Field there of cells ``(1, cells)``.
    weights : ndarray of float64
        Area of each point, broadcast over the truth.
    exponent : float
        Power of the values that coded cells are.
    limits : tuple of float
        Of the truth, where no decoded value goes beyond.
    bound : float, optional
        Error that points may have, the field's unit.
    packing : Packing
        How its numbers are stored.
    mask : Mask, optional
        What it has in place of values.
    told : (int, bytes)
        Number of the mask, and its code if the field brings its own.
    filled : ndarray of float32, optional
        ``(rows, columns)``, the field with a smooth surface where it has no values; only of a
        field that may have a detail.
    """

    truth: npt.NDArray[Any]
    show: Callable[[Floats], Floats]
    weights: npt.NDArray[np.float64]
    exponent: float = 1.0
    limits: Range = EVERYTHING
    bound: float | None = None
    packing: Packing = PLAIN
    mask: Mask | None = None
    told: tuple[int, bytes] = (NONE, b"")
    filled: Floats | None = None

    def shown(self, cells: Floats) -> Floats:
        """What decoded cells ``(1, cells)`` are there."""
        return within(self.show(lowered(cells, self.exponent)), [self.limits])

    def stored(self, field: Floats) -> npt.NDArray[Any]:
        """Numbers that a reader gets of a field ``(1, ...)``."""
        return field if self.mask is None else restored(field, [self.mask], self.packing)

    def rmse(self, cells: Floats) -> float:
        """Error of decoded cells ``(1, cells)``, the field's unit; 0 where nothing has a value."""
        return self.rmse_of(self.shown(cells))

    def rmse_of(self, field: Floats) -> float:
        """Error of a decoded field ``(1, ...)``, likewise."""
        there = np.isfinite(self.truth)
        decoded = self.packing.unpack(self.stored(field))
        error = np.where(there, decoded.astype(np.float64) - self.truth, 0)
        area = float((self.weights * there).sum())
        return float(np.sqrt((self.weights * error**2).sum() / area)) if area else 0.0

    def correction(self, field: Floats, scale: float) -> bytes:
        """What keeps the bound of a decoded field ``(1, ...)``; ``scale`` of its coded values."""
        if self.bound is None:
            return b""
        # By how much a value moves with the number that is coded, where it moves most.
        truth = self.truth[0]
        largest = float(np.abs(truth[np.isfinite(truth)]).max(initial=0))
        steep = largest ** (1 - self.exponent) / self.exponent
        room = self.packing.room(self.bound, truth)
        return correction_for(truth, field[0], room, scale * steep)
