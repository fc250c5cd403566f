"""Whether the bounds of a store hold: decoded, and held against what was compressed.

Store, dataset --exceeded--> what is beyond its bound
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
from hpcodec.stages.dataset import find_fields, read_stored
from hpcodec.stages.zarr_store import Store, StoredVariable, open_store

__all__ = ["Excess", "beyond", "both", "check_same", "exceeded", "verify"]

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


def exceeded(
    store: Store, dataset: xr.Dataset, device: str = "auto", batch: int = 4
) -> Iterator[Excess]:
    """Fields of a store that are beyond their bounds, at points where the original is finite.

    Parameters
    ----------
    store : Store
        Whose chunks are read and decoded.
    dataset : xr.Dataset
        Raw, what was compressed.
    device : str
        Torch device, or ``auto``.
    batch : int
        Fields at a time.

    Raises
    ------
    HpcodecError
        If a variable is not there or of another shape, or a payload is damaged.
    """
    bounded = [item for item in store.variables.values() if item.coding.bounded]
    specs = find_fields(dataset, [item.name for item in bounded]) if bounded else ()
    for item, spec in zip(bounded, specs, strict=True):
        check_same(item, spec)
        for start in range(0, item.steps, batch):
            steps = range(start, min(start + batch, item.steps))
            yield from beyond(item, start, *both(store, item, dataset, spec, steps, device))


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


def verify(path: str, dataset: xr.Dataset, device: str = "auto", batch: int = 4) -> None:
    """Decode a store that was just written: a bound that does not hold is none.

    Raises
    ------
    BoundError
        If a field is beyond its bound.
    """
    for excess in exceeded(open_store(path), dataset, device, batch):
        raise BoundError(f"{excess} Nothing was written. Report this, with the field.")
