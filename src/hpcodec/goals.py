"""What the step of a field is searched for: a number of bytes, or an error.

coding, model --size_goal, error_goal--> Goal
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcodec.fields import Coding, Scaling
from hpcodec.judge import Judge
from hpcodec.models import Model
from hpcodec.stages.normalise import lowered, measure_scaling

__all__ = ["Goal", "error_goal", "size_goal", "value_scale"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Goal:
    """Limit of a value of payload and decoded cells, and the octave expected for a value."""

    limit: float
    value: Callable[[bytes, Floats], float]
    expected: Callable[[float], float]


def size_goal(coding: Coding, model: Model, own: int) -> Goal:
    """Bytes without the mask's, which no step changes."""
    expected = model.card.expected_octave("size", coding.bottleneck, coding.level)
    return Goal(coding.size - own, lambda payload, _: len(payload) - own, expected)


def value_scale(cells: Floats, scaling: Scaling, coding: Coding) -> float:
    """Scale of the values themselves, where ``cells`` are their powers."""
    if coding.exponent == 1:
        return scaling.scale
    return measure_scaling(lowered(cells, coding.exponent)).scale


def error_goal(coding: Coding, unit: float, model: Model, judge: Judge, floor: float) -> Goal:
    """Error of coding alone, which a step governs: its square adds to that of the remap."""
    card = model.card.expected_octave("rmse", coding.bottleneck, coding.level)

    def value(_: bytes, decoded: Floats) -> float:
        return math.sqrt(max(judge.rmse(decoded) ** 2 - floor**2, 0.0))

    limit = math.sqrt(coding.rmse**2 - floor**2)
    return Goal(limit, value, lambda error: card(error / unit))
