"""Where the errors of a field count: what a reader gets of its cells, beside the field.

decoded cells --shown--> field --rmse--> error
decoded cells, payload --with_correction--> payload that keeps a bound
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcodec.correction import correction_for
from hpcodec.fields import EVERYTHING, Range
from hpcodec.stages.normalise import lowered, within
from hpcodec.stages.wire import with_correction

__all__ = ["Judge"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Judge:
    """Where the errors of one field count.

    Parameters
    ----------
    truth : ndarray of float32
        ``(1, ...)``, the field's unit.
    show : callable
        Field there of cells ``(1, cells)``.
    weights : ndarray of float64
        Area of each point, of mean one, broadcast over the truth.
    exponent : float
        Power of the values that coded cells are.
    limits : tuple of float
        Of the truth, where no decoded value goes beyond.
    bound : float, optional
        Error that points may have, the field's unit.
    """

    truth: Floats
    show: Callable[[Floats], Floats]
    weights: npt.NDArray[np.float64]
    exponent: float = 1.0
    limits: Range = EVERYTHING
    bound: float | None = None

    def shown(self, cells: Floats) -> Floats:
        """What a reader gets of decoded cells ``(1, cells)``."""
        return within(self.show(lowered(cells, self.exponent)), [self.limits])

    def rmse(self, cells: Floats) -> float:
        """Error of decoded cells ``(1, cells)``, the field's unit."""
        error = self.shown(cells).astype(np.float64) - self.truth
        return float(np.sqrt(np.mean(self.weights * error**2)))

    def with_correction(self, payload: bytes, cells: Floats, scale: float) -> bytes:
        """``payload`` of decoded cells with what keeps the bound; ``scale`` of the coded cells."""
        if self.bound is None:
            return payload
        # By how much a value moves with the number that is coded, where it moves most.
        steep = float(np.abs(self.truth).max()) ** (1 - self.exponent) / self.exponent
        shown = self.shown(cells)[0]
        return with_correction(
            payload, correction_for(self.truth[0], shown, self.bound, scale * steep)
        )
