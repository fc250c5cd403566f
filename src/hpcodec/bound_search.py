"""The quantisation step for which a field and its correction together take the fewest bytes.

bound, what the model's card expects --step--> encode, correct --tell(bytes)--> next step ... done

A fine step leaves little to correct, a coarse one much: in between lies a minimum, and a flat one.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hpcodec.step_search import AS_EXPECTED, Curve, Hint

__all__ = ["BoundSearch"]

_TRIALS = 5

# RMSE of the field alone for which the sum is smallest, over the bound: measured on validation
# fields, 0.3 to 0.6.
_PART = 0.4

_STRIDE = 1.0  # octaves between trials
_WORTH = 0.2  # octaves to the minimum expected that make another trial worth while
_FINEST, _COARSEST = -14.0, 14.0


class BoundSearch:
    """Step with the fewest bytes in all, by at most five trials; with a hint by one.

    Goes downhill, an octave of the step at a time, until both neighbours of the best cost more,
    and then to the minimum of the parabola through these three.

    Parameters
    ----------
    bound : float
        Error that points may have, normalised units.
    expected : Curve
        Octave (log2 of the step) for an RMSE, normalised units.
    hint : Hint
        From a field like this one: its shift says how far from what is expected.
    """

    def __init__(self, bound: float, expected: Curve, hint: Hint = AS_EXPECTED) -> None:
        self._start = expected(_PART * bound)
        self._hinted, self._given = (hint.shift, hint.slope) != (0, 1), hint
        self._costs: dict[float, float] = {}
        self._octave = _within(self._start + hint.shift)
        self.done = False

    @property
    def step(self) -> float:
        """Step to try next, normalised units: a float32."""
        return float(np.float32(2.0**self._octave))

    @property
    def met(self) -> bool:
        """Whether any step was tried: each keeps the bound."""
        return bool(self._costs)

    @property
    def hint(self) -> Hint:
        """What this field says of fields like it."""
        return replace(self._given, shift=self._best - self._start)

    @property
    def _best(self) -> float:
        return min(self._costs, key=lambda octave: self._costs[octave])

    def tell(self, cost: float) -> bool:
        """Take the bytes at ``step``; whether they are the fewest so far."""
        better = not self._costs or cost < min(self._costs.values())
        self._costs[self._octave] = cost
        following = self._next()
        self.done = self._hinted or len(self._costs) >= _TRIALS or following is None
        if following is not None:
            self._octave = following
        return better

    def _next(self) -> float | None:
        best = self._best
        for stride in (_STRIDE, -_STRIDE):
            beside = _within(best + stride)
            known = any((octave - best) * stride > 0 for octave in self._costs)
            if not known and beside != best:
                return beside
        low = max((octave for octave in self._costs if octave < best), default=best)
        high = min((octave for octave in self._costs if octave > best), default=best)
        if low == best or high == best:
            return None
        aim = _vertex(*((at, math.log(self._costs[at])) for at in (low, best, high)))
        far = min(abs(aim - octave) for octave in self._costs)
        return aim if far > _WORTH else None


def _vertex(*points: tuple[float, float]) -> float:
    """Where the parabola through three points is smallest."""
    curvature, slope, _ = np.polyfit([at for at, _ in points], [cost for _, cost in points], 2)
    return float(-slope / (2 * curvature)) if curvature > 0 else points[1][0]


def _within(octave: float) -> float:
    return float(np.clip(octave, _FINEST, _COARSEST))
