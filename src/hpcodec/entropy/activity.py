"""What tells how large a symbol may be: the whole numbers decoded before it, and the Earth.

coarser levels, components before, neighbours before --features--> (places, FEATURES) uint8
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import healpy
import numpy as np
import numpy.typing as npt

from hpcodec.faces import halo_index, nested_index
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count, level_of

__all__ = [
    "COMPONENTS",
    "FEATURES",
    "PHASES",
    "Known",
    "Surroundings",
    "known_features",
    "on_faces",
    "on_nested",
    "places",
    "unevenness",
]

Integers = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

COMPONENTS = 3
PHASES = 2
"""The cells of a component are coded like the squares of a chessboard: black, then white."""

_KNOWN = 5
_LEVELS = FINEST_LEVEL - BASE_LEVEL
FEATURES = 7 + 5 + 2 + _KNOWN + 3 + _LEVELS + 1

Known = dict[int, npt.NDArray[np.uint8]]
"""For each level from 4 up, what the decoder knows of the Earth: ``(5, 12, nside, nside)``."""

# Magnitudes above this say no more about what comes next; it also keeps sums small.
_CAP = 1 << 12
_SCALE = 4

# 16 log2(1 + x), whole; the nudge is far from any of its steps.
_LOGARITHM = np.minimum(np.floor(16 * np.log2(1.0 + np.arange(1 << 16)) + 1e-6), 255).astype("u1")


def _log(magnitude: npt.NDArray[np.integer]) -> Bytes:
    found: Bytes = _LOGARITHM[np.minimum(magnitude, len(_LOGARITHM) - 1)]
    return found


@lru_cache(maxsize=8)
def _nested_of_faces(nside: int) -> npt.NDArray[np.int64]:
    return np.argsort(nested_index(nside))


def on_faces(cells: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Nested cells ``(..., 12 * nside**2)`` as faces ``(..., 12, nside, nside)``."""
    nside = 2 ** level_of(cells.shape[-1])
    return cells[..., nested_index(nside)].reshape(*cells.shape[:-1], 12, nside, nside)


def on_nested(faces: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Inverse of :func:`on_faces`."""
    flat = faces.reshape(*faces.shape[:-3], -1)
    return flat[..., _nested_of_faces(faces.shape[-1])]


@lru_cache(maxsize=8)
def places(nside: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Places on the flattened faces that each phase codes, in order."""
    face = np.add.outer(np.arange(nside), np.arange(nside)) % PHASES
    phase = np.broadcast_to(face, (12, nside, nside)).ravel()
    return tuple(np.flatnonzero(phase == number) for number in range(PHASES))


def _around(magnitude: Integers, reach: int) -> Integers:
    """Sum over the square of cells up to ``reach`` away, on faces, across their seams."""
    side, width = magnitude.shape[-1], 2 * reach + 1
    padded = magnitude.ravel()[halo_index(side, reach)]
    rows = padded[:, :side].copy()
    for shift in range(1, width):
        rows += padded[:, shift : shift + side]
    columns: Integers = rows[:, :, :side].copy()
    for shift in range(1, width):
        columns += rows[:, :, shift : shift + side]
    return columns


def _finer(faces: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Every cell's value at its four children."""
    return faces.repeat(2, -1).repeat(2, -2)


def _size(symbols: npt.NDArray[np.integer]) -> Integers:
    """Magnitudes, capped and scaled so that a sum of some stays fine."""
    return np.asarray(np.minimum(np.abs(symbols.astype(np.int64)), _CAP) * _SCALE, np.int32)


def unevenness(base: Integers) -> Integers:
    """How far each base cell is from the mean of those around it: ``(768,)``."""
    nside = 2 ** level_of(base.size)
    near = np.array(healpy.get_all_neighbours(nside, np.arange(base.size), nest=True)).T
    near = np.where(near < 0, np.arange(base.size)[:, None], near)
    return np.asarray((8 * base.astype(np.int64) - base[near].astype(np.int64).sum(-1)) // 8, "i4")


def known_features(orography: npt.NDArray[np.int16], land: Bytes) -> Known:
    """Relief, coast, height, land and latitude of the parents of every level, as bytes.

    Parameters
    ----------
    orography : ndarray of int16
        ``(12 * 4**level,)``, nested order, metres.
    land : ndarray of uint8
        The same shape; 255 is all land.

    Notes
    -----
    Whole numbers throughout: means are sums divided without remainder being kept.
    """
    finest = level_of(orography.size)
    height, cover = (np.asarray(on_faces(f), np.int64) for f in (orography, land))
    known: Known = {}
    for level in range(finest, BASE_LEVEL, -1):
        cells = 4 ** (finest - level)
        relief, height = _unevenness_in_fours(height)
        coast, cover = _unevenness_in_fours(cover)
        known[level] = np.stack(
            [
                _log(relief // (4 * cells)),
                _log(coast // (4 * cells)),
                _log(np.maximum(height, 0) // (4 * cells)),
                (cover // (4 * cells)).astype(np.uint8),
                _height_above_equator(level - 1),
            ]
        )
    return known


def _unevenness_in_fours(
    sums: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each parent of four: magnitude of its three components, and its sum."""
    a, b = sums[..., 0::2, 0::2], sums[..., 0::2, 1::2]
    c, d = sums[..., 1::2, 0::2], sums[..., 1::2, 1::2]
    uneven = np.abs(a - b + c - d) + np.abs(a + b - c - d) + np.abs(a - b - c + d)
    return uneven, a + b + c + d


def _height_above_equator(level: int) -> Bytes:
    """255 times the magnitude of the sine of latitude, from ring numbers alone."""
    nside = 2**level
    ring = healpy.pix2ring(nside, np.arange(cell_count(level)), nest=True).astype(np.int64)
    ring = np.minimum(ring, 4 * nside - ring)
    cap = 255 * (3 * nside**2 - ring**2) // (3 * nside**2)
    belt = 255 * (4 * nside - 2 * ring) // (3 * nside)
    return on_faces(np.where(ring < nside, cap, belt)).astype(np.uint8)


class Surroundings:
    """What is decoded around the symbols of a level, as features.

    Parameters
    ----------
    level : int
        Level of the symbols.
    base : ndarray of int32
        Symbols of the base field, ``(768,)``.
    coarser : sequence of ndarray of int32
        Symbols of the levels from 4 to ``level - 1``, each ``(3, cells)``, nested.
    step : float
        Quantisation step of level 9, as the payload has it.
    known : ndarray of uint8
        Of this level, from :func:`known_features`.
    """

    def __init__(
        self, level: int, base: Integers, coarser: Sequence[Integers], step: float, known: Bytes
    ) -> None:
        self._nside = 2 ** (level - 1)
        self._nothing = np.zeros((12, self._nside, self._nside), np.uint8)
        parents, activity = self._of_parents(base, coarser)
        self._fixed = [*parents, *known]
        octaves = int(np.float32(step).view(np.int32) >> 19) - (127 << 4) + 128
        self._same = [activity, min(max(octaves, 0), 255)]
        self._level = [255 * (level == other) for other in range(BASE_LEVEL + 1, FINEST_LEVEL + 1)]
        self._before: list[tuple[Bytes, Bytes, Integers]] = []

    def _of_parents(
        self, base: Integers, coarser: Sequence[Integers]
    ) -> tuple[list[npt.NDArray[np.integer]], int]:
        nothing = self._nothing
        if not coarser:
            size = _size(on_faces(unevenness(base)))
            near = [_log(_around(size, reach)) for reach in (1, 2)]
            return [_log(size), nothing, nothing, *near, nothing, nothing], _mean(size)
        sizes = _size(on_faces(coarser[-1]))
        total = np.asarray(sizes.sum(0), np.int32)
        fields = [*(_log(size) for size in sizes), *(_log(_around(total, r)) for r in (1, 2))]
        parents = [_finer(field) for field in fields]
        if len(coarser) < 2:
            return [*parents, nothing, nothing], _mean(sizes)
        total = np.asarray(_size(on_faces(coarser[-2])).sum(0), np.int32)
        above = [_finer(_finer(field)) for field in (_log(total), _log(_around(total, 1)))]
        return [*parents, *above], _mean(sizes)

    def features(self, component: int, phase: int, symbols: Integers) -> Bytes:
        """Features ``(places, FEATURES)`` of what a phase of a component codes.

        Parameters
        ----------
        component, phase : int
            Which; asked for in the order of coding.
        symbols : ndarray of int32
            ``(3, 12, nside, nside)``; what is not decoded yet is not looked at.
        """
        while len(self._before) < component:
            size = _size(symbols[len(self._before)])
            self._before.append((_log(size), _log(_around(size, 1)), size))
        before = self._before[:component]
        lacking = [self._nothing] * (COMPONENTS - 1 - component)
        wide, mean = self._nothing, 0
        if before:
            sizes = np.stack([size for *_, size in before])
            wide, mean = _log(_around(np.asarray(sizes.sum(0), np.int32), 2)), _mean(sizes)
        own = [self._nothing] * 2
        if phase:
            size = _size(symbols[component]).ravel()
            size[places(self._nside)[1]] = 0
            own = [_log(_around(size.reshape(self._nothing.shape), reach)) for reach in (1, 2)]
        fields = [
            *self._fixed,
            *(near for near, *_ in before),
            *lacking,
            *(around for _, around, _ in before),
            *lacking,
            wide,
            *own,
        ]
        where = places(self._nside)[phase]
        same = [*self._same, mean, *self._level, 255 * phase]
        features = np.empty((FEATURES, len(where)), np.uint8)
        for row, field in enumerate(fields):
            features[row] = field.reshape(-1)[where]
        features[len(fields) :] = np.array(same)[:, None]
        return features.T  # side by side in memory is what all places have of one feature


def _mean(sizes: Integers) -> int:
    """Mean magnitude, as the other features have theirs."""
    return int(_log(np.array([16 * int(sizes.sum(dtype=np.int64)) // sizes.size]))[0])
