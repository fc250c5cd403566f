"""Points on the sphere joined to triangles: Delaunay's, which the convex hull has for facets.

points --Triangles.of--> Triangles --interpolation--> weights of the corners around a target
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, cKDTree

__all__ = ["Triangles"]

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_STEPS = 10_000  # of a walk from triangle to triangle; a few are the rule


@dataclass(frozen=True, eq=False)
class Triangles:
    """Triangles between points that surround the centre of the sphere.

    Parameters
    ----------
    vectors : ndarray
        ``(points, 3)``, of length 1, no two the same.
    corners : ndarray
        ``(triangles, 3)``, points, counter-clockwise as seen from outside.
    across : ndarray
        ``(triangles, 3)``, the triangle beyond the side opposite each corner.
    """

    vectors: Doubles
    corners: Places
    across: Places

    @classmethod
    def of(cls, vectors: Doubles) -> Triangles:
        """Triangles between so many points, ``(points, 3)``."""
        hull = ConvexHull(vectors)
        corners, across = hull.simplices.astype(np.int64), hull.neighbors.astype(np.int64)
        a, b, c = (vectors[corners[:, corner]] for corner in range(3))
        turned = np.einsum("ij,ij->i", np.cross(b - a, c - a), hull.equations[:, :3]) < 0
        for sides in (corners, across):
            sides[turned] = sides[turned][:, [0, 2, 1]]
        return cls(vectors, corners, across)

    @property
    def areas(self) -> Doubles:
        """Of each point a third of the triangles around it, in steradians."""
        a, b, c = (self.vectors[self.corners[:, corner]] for corner in range(3))
        volume = np.einsum("ij,ij->i", a, np.cross(b, c))
        cosines = [np.einsum("ij,ij->i", *pair) for pair in ((a, b), (b, c), (c, a))]
        solid = np.abs(2 * np.arctan2(volume, 1 + sum(cosines)))
        parts = np.repeat(solid / 3, 3)
        return np.asarray(np.bincount(self.corners.ravel(), parts, len(self.vectors)), np.float64)

    def interpolation(self, targets: Doubles) -> tuple[Places, Doubles]:
        """Corners of the triangle around each target ``(n, 3)``, and their weights: ``(n, 3)``."""
        _, nearest = cKDTree(self.vectors).query(targets)
        around = np.empty(len(self.vectors), np.int64)
        around[self.corners.ravel()] = np.repeat(np.arange(len(self.corners)), 3)
        found = around[nearest]
        weights = self._weights(found, targets)
        outside = np.arange(len(targets))
        for _ in range(_STEPS):
            worst = weights[outside].argmin(1)
            outside, worst = (one[weights[outside, worst] < -1e-12] for one in (outside, worst))
            if not outside.size:
                break
            found[outside] = self.across[found[outside], worst]
            weights[outside] = self._weights(found[outside], targets[outside])
        weights = weights.clip(0)
        return self.corners[found], weights / weights.sum(1, keepdims=True)

    def _weights(self, triangles: Places, targets: Doubles) -> Doubles:
        """Volumes between a target and the sides: all positive inside; their sum is positive."""
        a, b, c = (self.vectors[self.corners[triangles, corner]] for corner in range(3))
        sides = (np.cross(b, c), np.cross(c, a), np.cross(a, b))
        weights = np.stack([np.einsum("ij,ij->i", side, targets) for side in sides], -1)
        return np.asarray(weights / np.abs(weights).sum(1, keepdims=True))
