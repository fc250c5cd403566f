"""How large a symbol of a band may be, and which sign it is likely to have, by a small network.

symbols decoded --BandNetwork.plan--> Plan of a pass, and which symbols have their sign turned

Whole numbers as in :mod:`hpcodec.entropy.integer_network`: weights and states have 8 bits, and no
sum exceeds 2**24, so float32 products and sums of them are exact in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.band_features import SIGNED, SIZES, BandFeatures, varying
from hpcodec.entropy.band_places import BANDS, PASSES
from hpcodec.entropy.tables import LARGEST, TOTAL, Plan, plan_for
from hpcodec.errors import ModelError

__all__ = ["ACTIVITIES", "HIDDEN", "LEANS", "OUTPUTS", "SHIFTS", "BandNetwork", "BandPlans"]

Integers = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

HIDDEN = 32
"""States of both hidden layers."""

ACTIVITIES, LEANS = 31, 6
"""Tables: by how large symbols are, and by how sure their sign is."""

OUTPUTS = 2
SHIFTS = (6, 5, 9)
"""Each layer's sums are divided by two to the power of these, rounding down."""

MOST_BIAS = 1 << 22

_ROWS = 512  # places at a time: so few stay in the cache, and a BLAS does not share them out


@dataclass(frozen=True, eq=False)
class BandNetwork:
    """Two hidden layers for each of three directions and four passes, and first tables.

    Parameters
    ----------
    weights : tuple of ndarray of int8
        By pass ``(3, SIGNED[pass] + SIZES, HIDDEN)`` for its first layer, then, for all passes,
        ``(4, 3, HIDDEN, HIDDEN)`` and ``(4, 3, HIDDEN, OUTPUTS)``.
    biases : tuple of ndarray of int32
        ``(4, 3, HIDDEN)`` twice and ``(4, 3, OUTPUTS)``.
    tables : ndarray of int32
        ``(ACTIVITIES * LEANS, 2 * LARGEST + 1)``, parts of 2**20 before any symbol is found.
    digest : str
        Sha256 of the file that has them.
    """

    weights: tuple[npt.NDArray[np.int8], ...]
    biases: tuple[Integers, ...]
    tables: Integers
    digest: str = 64 * "0"

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> BandNetwork:
        """Of the arrays of :meth:`arrays`.

        Raises
        ------
        ModelError
            If one is missing or of another shape or type, or sums may not be exact.
        """
        layers = [f"first.{phase}" for phase in range(len(PASSES))] + ["second", "last"]
        try:
            found = cls(
                tuple(arrays[f"weight.{layer}"] for layer in layers),
                tuple(arrays[f"bias.{layer}"] for layer in ("first", "second", "last")),
                arrays["tables"],
            )
        except KeyError as error:
            raise ModelError(f"expected a network of bands; it lacks {error}.") from error
        found._check()
        return found

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """By name."""
        layers = [f"first.{phase}" for phase in range(len(PASSES))] + ["second", "last"]
        weights = {f"weight.{one}": array for one, array in zip(layers, self.weights, strict=True)}
        names = ("bias.first", "bias.second", "bias.last")
        return weights | dict(zip(names, self.biases, strict=True)) | {"tables": self.tables}

    def _check(self) -> None:
        both = (len(PASSES), BANDS)
        shapes: list[tuple[int, ...]] = [(BANDS, signed + SIZES, HIDDEN) for signed in SIGNED]
        shapes += [(*both, HIDDEN, HIDDEN), (*both, HIDDEN, OUTPUTS)]
        given = [one.shape for one in self.weights]
        if given != shapes or any(one.dtype != np.int8 for one in self.weights):
            raise ModelError(f"expected weights of shapes {shapes}; got {given}.")
        wanted = [(*both, HIDDEN), (*both, HIDDEN), (*both, OUTPUTS)]
        narrow = any(one.dtype != np.int32 for one in self.biases)
        if narrow or [one.shape for one in self.biases] != wanted:
            raise ModelError(f"expected biases of shapes {wanted}; got others.")
        if any(np.abs(one.astype(np.int64)).max() > MOST_BIAS for one in self.biases):
            raise ModelError(f"expected biases up to {MOST_BIAS}; got larger ones: none is exact.")
        entries = (ACTIVITIES * LEANS, 2 * LARGEST + 1)
        if self.tables.shape != entries or self.tables.dtype != np.int32 or self.tables.min() < 0:
            raise ModelError(f"expected first tables of shape {entries}; got others.")
        if (self.tables.sum(1, dtype=np.int64) > TOTAL).any():
            raise ModelError(f"expected first tables that sum to {TOTAL} at most; got others.")

    @cached_property
    def expected(self) -> npt.NDArray[np.float64]:
        """Chances of symbols before any is found."""
        return self.tables / TOTAL

    def __call__(self, direction: int, phase: int, features: npt.NDArray[np.int16]) -> Longs:
        """Activity and lean ``(OUTPUTS, places)`` of features ``(features, places)``."""
        first, second, last = (
            self.weights[phase][direction],
            *(weight[phase, direction] for weight in self.weights[len(PASSES) :]),
        )
        layers = [
            (
                weight.T * np.float32(0.5**shift),
                bias[phase, direction][:, None] * np.float32(0.5**shift),
            )
            for weight, bias, shift in zip((first, second, last), self.biases, SHIFTS, strict=True)
        ]
        told = np.empty((OUTPUTS, features.shape[1]), np.int64)
        for start in range(0, features.shape[1], _ROWS):
            part = slice(start, start + _ROWS)
            state = features[:, part].astype(np.float32)
            for weight, bias in layers:
                whole = weight @ state
                whole += bias
                np.floor(whole, out=whole)
                state = np.clip(whole, 0, 255)
            told[:, part] = whole
        return told


class BandPlans:
    """Plans of passes, by a network.

    Parameters
    ----------
    network : BandNetwork
        Of the format's.
    symbols : sequence of ndarray of int32
        Of all bands, zero where none is decoded yet; filled by whoever decodes.
    """

    sure = 1024  # symbols that the network's tables count as: less costs up to 1.5 % of the bytes

    def __init__(self, network: BandNetwork, symbols: Sequence[Integers]) -> None:
        self._network, self._around = network, BandFeatures(symbols)
        self.expected = network.expected

    def plan(self, number: int, phase: int) -> tuple[Plan, npt.NDArray[np.bool_]]:
        """Plan of a pass of a band; and which of its symbols are coded with their sign turned."""
        features = self._around.features(number, phase)
        activity, lean = self._told((number - 1) % BANDS, phase, features)
        plan = plan_for(np.maximum(activity, 0), ACTIVITIES - 1)
        sure = np.minimum(np.abs(lean), LEANS - 1)
        return Plan(plan.table * LEANS + sure, plan.plain), lean < 0

    def _told(self, direction: int, phase: int, features: npt.NDArray[np.int16]) -> Longs:
        """What the network tells; once of all places around which there is nothing."""
        lively = features[list(varying(phase))].any(0)
        told = np.empty((OUTPUTS, lively.size), np.int64)
        told[:, lively] = self._network(direction, phase, features[:, lively])
        if not lively.all():
            quiet = int(np.argmin(lively))
            told[:, ~lively] = self._network(direction, phase, features[:, quiet : quiet + 1])
        return told
