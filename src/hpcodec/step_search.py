"""The quantisation step for a number of bytes, or for an error, by at most three trials.

limit, what the model's card expects --step--> encode --tell(bytes or error)--> next step ... done
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["AS_EXPECTED", "BAND", "TRIALS", "Curve", "Hint", "StepSearch"]

Curve = Callable[[float], float]
"""Octave (log2 of the step) at which a field is expected to have a value: bytes, or an error."""

BAND = 0.95
"""Parts of the limit from which on a trial is good enough."""

TRIALS = 3
"""Most trials of a search in which any of them fits."""

# Steps tried, normalised units: 2**-14 to 2**14.
_FINEST, _COARSEST = -14.0, 14.0

# Times the limit and parts of it between which a curve rises or falls for certain.
_WIDE = 1e3

# Parts of the limit aimed at by each trial: the middle of the band; then a little safer, as there
# is no other trial to make good for one that is over.
_AIMS = (0.975, 0.975, 0.966, 0.95, 0.92)

# Nearer to the limit than that, a trial tells so well where it is that the next may aim near it,
# or fairly near.
_CLOSE, _FAIR = 0.95, 0.93

# What a last trial aims at that is to go far from all others.
_FAR, _FAR_AIM = 0.8, 0.955

# Octaves per octave expected: how far the measured slope may be from the card's.
_SLOPES = (0.4, 2.5)

# From the fourth trial on so many octaves farther at least, twice as many each time.
_PUSH = 1 / 16

# A trial between two others keeps this part of their distance from both.
_MARGIN = 0.05


@dataclass(frozen=True)
class Hint:
    """How fields of one kind differ from what the model's card expects of all fields.

    Parameters
    ----------
    shift : float
        Octaves by which their steps are larger.
    slope : float
        Octaves of the step for each octave expected.
    detailed : bool, optional
        Whether they are better coded as details; None where it is not known.
    """

    shift: float = 0.0
    slope: float = 1.0
    detailed: bool | None = None


AS_EXPECTED = Hint()
"""Of fields of which nothing is known."""


@dataclass(frozen=True)
class _Trial:
    octave: float
    value: float
    expected: float


class StepSearch:
    """The step whose payload, or error, is just below a limit.

    A field is like those of the card but for a shift of the octave, and, once two steps have been
    tried, a factor. The search ends with a trial in ``BAND`` of the limit, or with the best of
    ``TRIALS``. Where none of them fits it goes on, ever farther, until one does: what is chosen is
    never over the limit.

    Parameters
    ----------
    limit : float
        What the value may be at most; positive.
    expected : Curve
        Octave for a value, monotone: falling for bytes, rising for an error.
    hint : Hint
        From fields like this one.
    band : float
        Part of the limit from which on a trial is good enough.
    later : float, optional
        The same of all but the first trial; ``band`` unless given.
    trials : int
        Most of them, where any fits.
    """

    def __init__(
        self,
        limit: float,
        expected: Curve,
        hint: Hint = AS_EXPECTED,
        *,
        band: float = BAND,
        later: float | None = None,
        trials: int = TRIALS,
    ) -> None:
        self._limit, self._band, self._trials = limit, band, trials
        self._later = band if later is None else later
        self._expected = expected
        self._known: list[_Trial] = []
        self._best: _Trial | None = None
        # Far apart: near to the limit the curve may have come to its end.
        rising = expected(limit * _WIDE) > expected(limit / _WIDE)
        # Where the value is smallest, and largest.
        self._safe, self._tight = (_FINEST, _COARSEST) if rising else (_COARSEST, _FINEST)
        self._given, self._slope = hint, hint.slope
        self._octave = _within(expected(self._aim(0, self._band) * limit) + hint.shift)
        self.done = False

    @property
    def step(self) -> float:
        """Step to try next, normalised units: a float32."""
        return float(np.float32(2.0**self._octave))

    @property
    def met(self) -> bool:
        """Whether a trial was within the limit."""
        return self._best is not None

    @property
    def hint(self) -> Hint:
        """What this field says of fields like it: nothing, if no trial came near the limit."""
        near = self._nearest()
        if not 0.5 < near.value / self._limit < 2:
            return self._given
        at_aim = near.octave + self._slope * (
            self._expected(self._aim(0, self._band) * self._limit) - near.expected
        )
        shift = at_aim - self._expected(self._aim(0, self._band) * self._limit)
        return replace(self._given, shift=shift, slope=self._slope)

    @property
    def halving(self) -> float:
        """Octaves of the step from the limit to half of it."""
        return self._slope * (self._expected(self._limit / 2) - self._expected(self._limit))

    def tell(self, value: float) -> bool:
        """Take the value at ``step``; whether it is the best so far."""
        trial = _Trial(self._octave, value, self._expected(value))
        better = value <= self._limit and (self._best is None or self._is_better(trial, self._best))
        if better:
            self._best = trial
        self._known.append(trial)
        self._slope = self._measured_slope()
        self.done = self._ends()
        if not self.done:
            self._octave = self._next()
        return better

    def _is_better(self, trial: _Trial, best: _Trial) -> bool:
        tighter = abs(trial.octave - self._tight) < abs(best.octave - self._tight)
        return trial.value > best.value or (trial.value == best.value and tighter)

    def _ends(self) -> bool:
        if self._best is None:
            return self._octave == self._safe
        band = self._band if len(self._known) == 1 else self._later
        good = self._best.value >= band * self._limit
        return good or len(self._known) >= self._trials or self._best.octave == self._tight

    def _nearest(self) -> _Trial:
        return min(self._known, key=lambda t: abs(np.log(max(t.value, 1e-300) / self._limit)))

    def _measured_slope(self) -> float:
        """Of the line through the trial nearest to the limit and the one nearest to that."""
        near = self._nearest()
        others = [trial for trial in self._known if trial.expected != near.expected]
        if not others:
            return self._slope
        other = min(others, key=lambda trial: abs(trial.octave - near.octave))
        measured = (other.octave - near.octave) / (other.expected - near.expected)
        return float(np.clip(measured, *_SLOPES))

    def _next(self) -> float:
        """Octave to try: by the curve through the trials known, inside what is still open."""
        near = self._nearest()
        last = self._known[-1]
        for known in self._known[:-1]:
            if known.value == last.value and self.met:  # as far again
                return _within(self._bracketed(2 * last.octave - known.octave))
        aim = self._aim(len(self._known), self._band_after(near.value / self._limit))
        if len(self._known) == self._trials - 1 and not _FAR < near.value / self._limit < 1 / _FAR:
            aim = min(aim, _FAR_AIM)
        octave = near.octave + self._slope * (self._expected(aim * self._limit) - near.expected)
        return _within(self._bracketed(octave))

    def _band_after(self, part: float) -> float:
        """Band to aim at the middle of, after a trial with a part of the limit."""
        if _CLOSE < part < 1 / _CLOSE:
            return self._band
        return max(self._later, 2 * self._band - 1) if _FAIR < part < 1 / _FAIR else self._later

    def _aim(self, number: int, band: float) -> float:
        """Part of the limit that a trial aims at."""
        aim = _AIMS[min(number, len(_AIMS) - 1)]
        return 1 - (1 - aim) * (1 - band) / (1 - BAND)

    def _bracketed(self, octave: float) -> float:
        """``octave``, moved between what fits and what does not, or beyond what does not."""
        fits = [trial.octave for trial in self._known if trial.value <= self._limit]
        fails = [trial.octave for trial in self._known if trial.value > self._limit]
        towards = np.sign(self._safe)
        if fits and fails:
            ends = min(fits, key=lambda at: at * towards), max(fails, key=lambda at: at * towards)
            low, high = min(ends), max(ends)
            margin = _MARGIN * (high - low)
            return float(np.clip(octave, low + margin, high - margin))
        if len(fails) >= self._trials:
            push = _PUSH * 2.0 ** (len(fails) - self._trials)
            farthest = max(fails, key=lambda at: at * towards)
            return float(max(octave * towards, farthest * towards + push) * towards)
        return octave


def _within(octave: float) -> float:
    return float(np.clip(octave, _FINEST, _COARSEST))
