"""Whether a store gives back its original as well as it says.

store, original --against_original--> findings
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from hpcodec.bounds import Excess, beyond, both, check_same
from hpcodec.containment import damaged
from hpcodec.errors import HpcodecError
from hpcodec.figures import ErrorFigures, ErrorSum
from hpcodec.findings import Finding
from hpcodec.records import RecordedError
from hpcodec.stages.dataset import find_fields, open_source
from hpcodec.stages.zarr_store import Store, StoredVariable

__all__ = ["against_original"]

# Figures are kept to four digits, and the last bits of a decoded field depend on the device.
_ROOM = 1.01


def against_original(
    store: Store, skeleton: xr.Dataset, original: str, device: str, batch: int
) -> list[Finding]:
    """Findings about a store beside the dataset that was compressed.

    Parameters
    ----------
    store, skeleton : Store, xr.Dataset
        The store, and what it carries.
    original : str
        The dataset.
    device : str
        Torch device, or ``auto``.
    batch : int
        Fields at a time.
    """
    try:
        source = open_source(original)
    except HpcodecError as error:
        return [Finding("error", original, str(error))]
    findings = []
    try:
        for item in store.variables.values():
            try:
                figures, excesses = _figures(store, item, source, device, batch)
            except HpcodecError as error:
                findings.append(Finding("error", item.name, str(error)))
            else:
                findings += _larger(item, figures, store.record.error.get(item.name))
                findings += [
                    Finding("error", f"{item.name}, step {excess.step}", str(excess))
                    for excess in excesses
                ]
        for name in map(str, skeleton.variables):
            findings += _changed(name, skeleton, source)
        fields = set(store.variables) | set(map(str, skeleton.variables))
        for name in sorted(set(map(str, source.variables)) - fields):
            what = "is in the original, and not in the store."
            findings.append(Finding("carried", name, what, "warning"))
    finally:
        source.close()
    return findings


def _figures(
    store: Store, item: StoredVariable, source: xr.Dataset, device: str, batch: int
) -> tuple[ErrorFigures, list[Excess]]:
    (spec,) = find_fields(source, [item.name])
    check_same(item, spec)
    errors, excesses = ErrorSum(item.coding.grid.area_weights), list[Excess]()
    for start in range(0, item.steps, batch):
        steps = range(start, min(start + batch, item.steps))
        truth, decoded = both(store, item, source, spec, steps, device)
        errors.add(decoded, truth)
        excesses += beyond(item, start, truth, decoded)
    return errors.figures(), excesses


def _larger(
    item: StoredVariable, figures: ErrorFigures, recorded: RecordedError | None
) -> Iterator[Finding]:
    """Errors above those that the store records."""
    if recorded is None:
        return
    units = str(item.attributes.get("units", ""))
    for name in ("rmse", "max_error"):
        most, got = getattr(recorded, name), getattr(figures, name)
        if got > _ROOM * most:
            what = f"expected {name} up to {most:.4g} {units}, as recorded; got {got:.4g}."
            yield Finding("error", item.name, what)


def _changed(name: str, skeleton: xr.Dataset, source: xr.Dataset) -> Iterator[Finding]:
    """What became of a carried variable."""
    if name not in source.variables:
        yield Finding("carried", name, "is in the store, and not in the original.", "warning")
        return
    mine, theirs = skeleton.variables[name], source.variables[name]
    try:
        with damaged("readable values"):
            left, right = mine.to_numpy(), theirs.to_numpy()
            same = mine.dims == theirs.dims and left.shape == right.shape and _equal(left, right)
    except HpcodecError as error:
        yield Finding("carried", name, str(error))
        return
    if not same:
        yield Finding("carried", name, "expected the values of the original; got others.")
    plain = [{k: np.asarray(v).tolist() for k, v in one.attrs.items()} for one in (mine, theirs)]
    if repr(sorted(plain[0].items())) != repr(sorted(plain[1].items())):  # NaN equals itself here
        what = "expected the attributes of the original; got others."
        yield Finding("carried", name, what, "warning")


def _equal(left: np.ndarray, right: np.ndarray) -> bool:
    floats = left.dtype.kind == right.dtype.kind == "f"
    return bool(np.array_equal(left, right, equal_nan=floats))
