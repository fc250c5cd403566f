"""Whether a store can be trusted: ``hpcodec validate``. Imports torch only beside an original.

store --structure, checksums, models, what is carried, conventions--> findings
with the original also --errors, what is carried--> findings
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import xarray as xr

from hpcodec.coarse import chain_of, masks_of, unpacked
from hpcodec.conformance import conformance
from hpcodec.containment import damaged
from hpcodec.correction import read_correction
from hpcodec.decoding import decode_fields
from hpcodec.detail import split_detail
from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import FormatError, HpcodecError
from hpcodec.faithfulness import against_original
from hpcodec.findings import Finding
from hpcodec.georeference import locate
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL
from hpcodec.models import load_model
from hpcodec.stages.wire import correction_in, read_header
from hpcodec.stages.zarr_store import Store, StoredVariable, open_store

__all__ = ["Finding", "validate"]

_MOST = 20  # findings about the fields of a variable: a store may claim any number of them


def validate(
    path: str, original: str = "", *, device: str = "auto", batch: int = 4
) -> list[Finding]:
    """Findings about a store; none if it is whole and its models are installed.

    All that is carried is read, with its checksums; every payload is fetched, its checksums are
    checked, and its symbols decoded with the model's tables.

    Parameters
    ----------
    path : str
        The store.
    original : str
        The dataset that was compressed; then every field is decoded and compared with it, too, and
        with its bound.
    device, batch
        As for :func:`hpcodec.decompress`, beside an original.

    Returns
    -------
    list of Finding
        Errors and warnings, in the order of the store.
    """
    try:
        store = open_store(path)
    except HpcodecError as error:
        return [Finding("structure", path, str(error))]
    findings = [*_structure(store), *_carried(store)]
    for item in store.variables.values():
        findings += _fields(store, item)
    try:
        skeleton = store.skeleton()
    except HpcodecError as error:
        if not any(finding.rule == "carried" for finding in findings):
            findings.append(Finding("carried", path, str(error)))
        return findings
    for item in store.variables.values():
        findings += _grid(skeleton, item)
    fields = {name: item.attributes for name, item in store.variables.items()}
    findings += conformance(skeleton, fields)
    if original:
        findings += against_original(store, skeleton, original, device, batch)
    return findings


def _structure(store: Store) -> Iterator[Finding]:
    """Names that the record and the group do not share, and files that nothing accounts for."""
    recorded, there = set(store.record.error), set(store.variables)
    for name in sorted(recorded - there):
        what = "expected a compressed variable, as the store's record has it; got none."
        yield Finding("structure", name, what)
    for name in sorted(there - recorded):
        yield Finding("structure", name, "expected its error in the store's record; got none.")
    for key in store.files():
        if not store.accounts_for(key):
            what = "a file that is no part of any variable."
            yield Finding("structure", key, what, "warning")


def _fields(store: Store, item: StoredVariable) -> list[Finding]:
    entropy, findings = None, list[Finding]()
    try:
        entropy = load_model(item.coding.model, item.coding.weights).entropy
    except HpcodecError as error:
        findings.append(Finding("model", item.name, str(error)))
    found = list(islice(_damaged_fields(store, item, entropy), _MOST + 1))
    if len(found) > _MOST:
        found[_MOST:] = [Finding("checksum", item.name, "more of the same; not looked further.")]
    return findings + found


def _damaged_fields(
    store: Store, item: StoredVariable, entropy: EntropyModel | None
) -> Iterator[Finding]:
    # Without the model there is still the base field.
    level = FINEST_LEVEL if entropy else BASE_LEVEL
    for step in range(item.steps):
        try:
            *before, own = chain_of(store.read(item, step), item.coding)
            header = read_header(own)
            if header.carry and not before:
                raise FormatError("expected the field that another follows; got none before it.")
            if header.whole != len(own):
                raise FormatError(f"expected a payload of {header.whole} bytes; got {len(own)}.")
            masks_of([unpacked(own, item.coding, entropy, level)], item.coding)
            detail, correction = split_detail(correction_in(own))
            read_correction(correction, item.coding.grid.sheet_shape)
            if detail and entropy:
                decode_fields([own], item.coding)
        except HpcodecError as error:
            yield Finding("checksum", f"{item.name}, step {step}", str(error))


def _grid(skeleton: xr.Dataset, item: StoredVariable) -> Iterator[Finding]:
    """Coordinates that are not those of the grid that the fields are decoded to."""
    bare = xr.Variable(item.dims, np.broadcast_to(np.int8(0), item.shape), item.attributes)
    try:
        with damaged("readable coordinates"):
            grid, _ = locate(skeleton, item.name, bare)
    except HpcodecError as error:
        yield Finding("carried", item.name, str(error))
        return
    if grid != item.coding.grid:
        along = " and ".join(item.dims[-item.axes :])
        what = f"expected the coordinates along {along} to be those of its grid; got others."
        yield Finding("carried", item.name, what)


def _carried(store: Store) -> Iterator[Finding]:
    """Carried variables that cannot be read, or are not whole."""
    for name in store.carried:
        try:
            store.check(name, sums=True)
        except HpcodecError as error:
            yield Finding("carried", name, str(error))
