"""What a detail of a field, coded first, tells the network: where to look, and when to give up.

detail --hint_of--> hint for the search;   first trial, detail --loses_to--> whether to go on
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hpcodec.fitted import Fitted
from hpcodec.goals import Goal
from hpcodec.judge import Judge
from hpcodec.step_search import Hint

__all__ = ["hint_of", "loses_to"]

# Lines through the octaves of both ways, of validation fields: in the same bytes (128x to 1024x,
# few are farther from it than a tenth; rougher training fields lie lower), and at the same error.
_IN_BYTES, _IN_ERROR = (0.79, -0.07), (0.93, 0.12)

# Octaves of a detail's step to half of its error, at most.
_STEEPEST_ERROR = 2.3

# The same to half of its bytes, beyond which a part is bytes that no step spares: what of the rest
# counts for the slope, the most that this is, and by what the line there lies too high.
_STEEP, _STEEPER, _STEEPEST = 1.05, 0.25, 1.5
_LOWER, _FROM, _TO = 0.15, 1.0, 1.4

_GROWTH = 0.47  # octaves of an error for each of a detail's step, in bytes that halve
_FAR = 1.5  # times the limit, or that part of it, where a trial is far off


def hint_of(other: Fitted, goal: Goal, part: float, *, by_size: bool) -> Hint:
    """Where a detail of the same field, for the same goal, says that the network's step is.

    Parameters
    ----------
    other : Fitted
        The detail.
    goal : Goal
        Of both.
    part : float
        Of the goal's limit that the first trial aims at.
    by_size : bool
        Whether the goal is a number of bytes, not an error.
    """
    slope, offset = _IN_BYTES if by_size else _IN_ERROR
    told = max(other.halving, -_STEEPEST_ERROR)
    if by_size:
        offset -= float(np.interp(other.halving, (_FROM, _TO), (0, _LOWER)))
        beyond = max(0.0, other.halving - _STEEP)
        told = min(min(other.halving, _STEEP) + _STEEPER * beyond, _STEEPEST)
    octave = slope * other.octave + offset
    halving = goal.expected(goal.limit / 2) - goal.expected(goal.limit)
    shift = octave - goal.expected(part * goal.limit)
    return Hint(shift, slope * told / halving if halving else 1.0)  # none at a curve's end


def loses_to(
    other: Fitted,
    judge: Judge,
    code: bytes,
    values: npt.NDArray[np.float32],
    part: float,
    *,
    by_size: bool,
) -> bool:
    """Whether the network, by its first trial, is likely to end behind a detail.

    Never said of a trial that is far off, which tells little.

    Parameters
    ----------
    other : Fitted
        The detail.
    judge : Judge
        Of the field.
    code, values : bytes, ndarray
        Of the trial.
    part : float
        Of the limit that it has.
    by_size : bool
        Whether that is a number of bytes, not an error.
    """
    if not 1 / _FAR < part < _FAR:
        return False
    if not by_size:
        return len(code) * part**2 > other.left**2 * len(other.payload)
    error = judge.rmse(values) * math.pow(part, _GROWTH * min(other.halving, _STEEP))
    return error > other.left * judge.rmse_of(other.shown)
