"""What steps are expected to give the detail of a field: how many bytes, and what error.

coefficients --Expected--> octave of the step for a number of bytes, or for an error
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hpcodec.stages.wavelets import band_rows

__all__ = ["Expected"]

Doubles = npt.NDArray[np.float64]

_OCTAVES = np.arange(-14, 6.25, 0.25)
_SAMPLE = 16  # one of so many coefficients is looked at

# Measured on 15 training fields, 3 to 900 kB, nine of ten within 15 %: a coefficient above this
# part of a step takes so many times one and the logarithm of one and its steps, in bits; others are
# mostly dropped, and take next to nothing.
_KEPT, _BITS = 0.6, 1.47
_ERROR = 0.09  # squared, of a coefficient that is kept, in steps
_ABOVE = 1.2  # times the error that this gives: more are dropped, for the bytes that it saves


class Expected:
    """Bytes and error that steps are expected to give.

    Parameters
    ----------
    bands : sequence of ndarray of float64
        As :func:`hpcodec.stages.wavelets.to_bands` gives them.
    unit : float
        Of steps and errors.
    area : ndarray
        Weights of the rows of the grid, ``(rows, 1)``.
    columns : int
        Of the grid.
    base : int
        Bytes beside those of the coefficients.
    spared : float
        Part of the coefficients' bytes that a network of bands leaves; 1 for none.
    left : float
        Part of the error that a restorer leaves; 1 for none.
    """

    def __init__(
        self,
        bands: Sequence[Doubles],
        unit: float,
        area: Doubles,
        columns: int,
        base: int,
        *,
        spared: float,
        left: float,
    ) -> None:
        pairs = list(zip(band_rows((len(area), columns)), bands, strict=True))[1:]
        sizes = [np.abs(band.reshape(-1)[::_SAMPLE]) / unit for _, band in pairs]
        weights = [np.broadcast_to(area[at], one.shape).reshape(-1)[::_SAMPLE] for at, one in pairs]
        every, weight = np.concatenate(sizes), np.concatenate(weights)
        self._sizes, self._errors = np.empty(len(_OCTAVES)), np.empty(len(_OCTAVES))
        for number, octave in enumerate(_OCTAVES):
            steps = every / 2.0**octave
            kept = steps > _KEPT
            bits = _BITS * _SAMPLE * (1 + np.log2(1 + steps[kept])).sum()
            self._sizes[number] = base + 1 + spared * bits / 8
            lost = np.where(kept, _ERROR, np.square(steps)) * weight
            self._errors[number] = left * _ABOVE * 2.0**octave * np.sqrt(lost.mean())

    def by_size(self, size: float) -> float:
        """Octave of the step, in units, for a number of bytes."""
        return float(np.interp(-size, -self._sizes, _OCTAVES))

    def by_error(self, error: float) -> float:
        """Octave of the step, in units, for an error in units."""
        rising = np.maximum.accumulate(self._errors)
        return float(np.interp(np.log2(error), np.log2(rising), _OCTAVES))
