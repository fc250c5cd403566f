"""Whether the bounds of a store hold: decoded, and held against what was compressed.

Store, dataset --verify--> BoundError, if anything is beyond its bound
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcodec.decoding import decode_fields
from hpcodec.errors import BoundError, GridError
from hpcodec.fields import FieldSpec
from hpcodec.parts import Part
from hpcodec.stages.dataset import read_stored
from hpcodec.stages.zarr_store import Store, StoredVariable

__all__ = ["Excess", "beyond", "both", "check_same", "verify"]

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Excess:
    """A field whose error is larger than its bound, both in its unit."""

    name: str
    step: int
    bound: float
    error: float

    def __str__(self) -> str:
        return (
            f"expected errors up to {self.bound:.6g} in '{self.name}', step {self.step}; got "
            f"{self.error:.6g}."
        )


def check_same(item: StoredVariable, spec: FieldSpec) -> None:
    """Refuse a variable that is not the one that was compressed.

    Raises
    ------
    GridError
        If its grid or steps are not those of the store.
    """
    if spec.grid != item.coding.grid or spec.leading_shape != item.leading_shape:
        raise GridError(
            f"expected '{item.name}' of shape {item.shape} on the store's grid; got "
            f"{(*spec.leading_shape, *spec.grid.shape)}. Compare with the dataset that was "
            "compressed."
        )


def both(
    store: Store,
    item: StoredVariable,
    dataset: xr.Dataset,
    spec: FieldSpec,
    steps: range,
    device: str,
) -> tuple[Values, Values]:
    """Fields of the dataset and of the store, ``(n, rows, columns)``, as exactly as both have them.

    In the unit of the variable, NaN where there is no value.
    """
    truth = spec.packing.unpack(read_stored(dataset, spec, steps.start, steps.stop))
    decoded = decode_fields([store.read(item, step) for step in steps], item.coding, device)
    return truth, item.coding.packing.unpack(decoded)


def beyond(item: StoredVariable, start: int, truth: Values, decoded: Values) -> Iterator[Excess]:
    """Which of fields ``(n, rows, columns)``, from step ``start`` on, are beyond their bound."""
    if not item.coding.bounded:
        return
    for step, (one, other) in enumerate(zip(truth, decoded, strict=True), start):
        there = np.isfinite(one)
        error = np.abs(one[there].astype(np.float64) - other[there])
        bound = item.coding.bound(one)
        if not (most := float(error.max(initial=0))) <= bound:
            yield Excess(item.name, step, bound, most)


def verify(
    store: Store,
    item: StoredVariable,
    dataset: xr.Dataset,
    spec: FieldSpec,
    part: Part,
    device: str = "auto",
    batch: int = 4,
) -> None:
    """Decode a part of a variable that was just written: a bound that does not hold is none.

    Raises
    ------
    BoundError
        If a field is beyond its bound.
    """
    for start in range(0, part.steps, batch):
        stop = min(start + batch, part.steps)
        truth = spec.packing.unpack(read_stored(dataset, spec, start, stop, part))
        payloads = [store.read(item, part.step(own)) for own in range(start, stop)]
        decoded = item.coding.packing.unpack(decode_fields(payloads, item.coding, device))
        for own, pair in enumerate(zip(truth, decoded, strict=True), start):
            for excess in beyond(item, part.step(own), *(one[None] for one in pair)):
                raise BoundError(f"{excess} Nothing was written. Report this, with the field.")
