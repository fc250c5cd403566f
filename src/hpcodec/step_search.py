"""The quantisation step for a number of bytes, by trial.

bytes allowed, first guess --step--> encode --tell(bytes it took)--> next step ... done
"""

from __future__ import annotations

import numpy as np

from hpcodec.errors import UsageError

__all__ = ["StepSearch"]

# Quantisation steps form a ladder of so many rungs to the octave, from 2**-8 to 2**14.
_RUNGS = 32
_LADDER = (-8 * _RUNGS, 14 * _RUNGS)

# After so many trials a search between two known rungs goes on by halves, which is sure to end.
_TRIALS = 8


class StepSearch:
    """The finest step of a ladder whose payload fits in ``size`` bytes.

    Where the search starts changes how long it takes, not what it finds: it ends when a rung is
    known to fit and the next finer one not to.
    """

    def __init__(self, size: int, step: float) -> None:
        self._size = size
        self._known: dict[int, int] = {}
        self._rung = int(np.clip(round(_RUNGS * np.log2(step)), *_LADDER))
        self.done = False

    @property
    def step(self) -> float:
        """Step to try next, normalised units."""
        return float(2.0 ** (self._rung / _RUNGS))

    def tell(self, length: int) -> bool:
        """Take the length of the payload at ``step``; whether it is the best so far."""
        tried = self._rung
        self._known[tried] = length
        fits = min((r for r, size in self._known.items() if size <= self._size), default=None)
        fails = max((r for r, size in self._known.items() if size > self._size), default=None)
        if fits is None and tried == _LADDER[1]:
            raise UsageError(
                f"expected a field that fits in {self._size} bytes; its smallest payload has "
                f"{length}. Choose a smaller ratio."
            )
        self.done = fits is not None and (fits - 1 in self._known or fits == _LADDER[0])
        if not self.done:
            self._rung = self._aim(fits, fails)
        return tried == fits

    def _aim(self, fits: int | None, fails: int | None) -> int:
        """Rung to try: by the power law through the rungs known, inside what is still open."""
        near = fits if fits is not None else fails
        assert near is not None, "aimed before anything was told"
        low = _LADDER[0] if fails is None else fails + 1
        high = _LADDER[1] if fits is None else fits - 1
        if None not in (fits, fails) and len(self._known) > _TRIALS:
            return (low + high) // 2
        slope = -1.2 / _RUNGS
        others = [rung for rung in self._known if rung != near]
        if others:
            other = min(others, key=lambda rung: abs(rung - near))
            rise = np.log2(self._known[other] / self._known[near])
            slope = min(float(rise / (other - near)), -0.05 / _RUNGS)
        aim = near + float(np.log2(self._size / self._known[near])) / slope
        # While nothing is known on the other side, a little too far is better than too near.
        beyond = np.sign(aim - near) * (2 + 0.1 * abs(aim - near)) if None in (fits, fails) else 0
        return int(np.clip(round(aim + beyond), low, high))
