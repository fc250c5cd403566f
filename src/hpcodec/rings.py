"""Circles of latitude with evenly spaced values, and smooth interpolation between them.

rings, points --Rings.interpolation--> sparse weights of 4 x 4 ring values

Latitude-longitude and Gaussian grids, full or reduced, and HEALPix levels are all such stacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import healpy
import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Rings"]

_Doubles: TypeAlias = npt.NDArray[np.float64]
_Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rings:
    """Circles of latitude, north to south, each with evenly spaced values.

    Parameters
    ----------
    theta, phase : ndarray
        For each ring its colatitude, and the longitude of its first value, both in radians.
    count, start : ndarray
        For each ring how many values it has, and the index of the first.
    direction : int
        1 eastward, -1 westward.
    """

    theta: _Doubles
    phase: _Doubles
    count: _Integers
    start: _Integers
    direction: int = 1

    @classmethod
    def of_level(cls, level: int) -> Rings:
        """Cells of a HEALPix level, in ring order."""
        ring = np.arange(1, 4 * 2**level)
        start, count, cosine, sine, shifted = healpy.ringinfo(2**level, ring)
        phase = np.where(shifted, np.pi / count, 0.0)
        return cls(np.arctan2(sine, cosine), phase, count.astype(np.int64), start.astype(np.int64))

    def over_poles(self) -> Rings:
        """With two rings more beyond each pole: those of its other side, half a turn away."""
        north = np.flatnonzero(self.theta > 1e-6)[:2][::-1]
        south = np.flatnonzero(self.theta < np.pi - 1e-6)[-2:][::-1]
        ring = np.concatenate([north, np.arange(len(self.theta)), south])
        theta, phase = self.theta[ring], self.phase[ring]
        theta[:2] = -theta[:2]
        theta[-2:] = 2 * np.pi - theta[-2:]
        phase[[0, 1, -2, -1]] += np.pi
        return Rings(theta, phase, self.count[ring], self.start[ring], self.direction)

    def interpolation(self, theta: _Doubles, phi: _Doubles) -> sparse.csr_array:
        """Weights of 4 x 4 ring values for each point, float32, shape (points, values)."""
        wide = self.over_poles()
        first = np.searchsorted(wide.theta, theta, side="right") - 2
        first = first.clip(0, len(wide.theta) - 4)
        indices = np.empty((len(theta), 16), dtype=np.int32)
        data = np.empty((len(theta), 16), dtype=np.float32)
        across = _blend(theta, [wide.theta[first + tap] for tap in range(4)])
        for tap in range(4):
            ring = first + tap
            count = wide.count[ring]
            turn = wide.direction * (phi - wide.phase[ring]) * count / (2 * np.pi)
            column = np.floor(turn)
            along = _blend(turn - column, [-1.0, 0.0, 1.0, 2.0])
            for place in range(4):
                neighbour = (column.astype(np.int64) + (place - 1)) % count
                indices[:, 4 * tap + place] = wide.start[ring] + neighbour
                data[:, 4 * tap + place] = across[tap] * along[place]
        indptr = np.arange(0, data.size + 1, 16, dtype=np.int32)
        shape = (len(data), int(self.count.sum()))
        return sparse.csr_array((data.ravel(), indices.ravel(), indptr), shape=shape)


def _blend(x: _Doubles, nodes: Sequence[Any]) -> list[_Doubles]:
    """Weights of four nodes at ``x`` between the middle two: two parabolas blended (Overhauser).

    Like Catmull-Rom's, with a continuous slope, but for nodes of any spacing.
    """
    t = (x - nodes[1]) / (nodes[2] - nodes[1])
    before, after = _parabola(x, *nodes[:3]), _parabola(x, *nodes[1:])
    return [
        (1 - t) * before[0],
        (1 - t) * before[1] + t * after[0],
        (1 - t) * before[2] + t * after[1],
        t * after[2],
    ]


def _parabola(x: _Doubles, a: Any, b: Any, c: Any) -> list[_Doubles]:  # noqa: ANN401
    """Weights of the nodes ``a``, ``b``, ``c`` (floats or arrays like ``x``) at ``x``."""
    return [
        (x - b) * (x - c) / ((a - b) * (a - c)),
        (x - a) * (x - c) / ((b - a) * (b - c)),
        (x - a) * (x - b) / ((c - a) * (c - b)),
    ]
