"""Whether a store is whole: ``hpcodec validate``. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from hpcodec.errors import FormatError, HpcodecError
from hpcodec.mask_table import MaskTable
from hpcodec.models import load_model
from hpcodec.stages.wire import read_header, split_payloads, unpack
from hpcodec.stages.zarr_store import Store, StoredVariable, open_store

__all__ = ["Finding", "validate"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, and what."""

    where: str
    what: str


def validate(path: str) -> list[Finding]:
    """Findings about a store; none if it is whole and its models are installed.

    All that is carried is read, with its checksums; every payload is fetched, its checksums are
    checked, and its symbols decoded with the model's tables.

    Parameters
    ----------
    path : str
        The store.
    """
    try:
        store = open_store(path)
    except HpcodecError as error:
        return [Finding(path, str(error))]
    errors = store.record.get("error")
    gone = sorted(set(errors if isinstance(errors, dict) else ()) - set(store.variables))
    findings = [
        Finding(
            name,
            f"expected a compressed variable '{name}', as the store's record has it; got none.",
        )
        for name in gone
    ]
    for name in store.carried:
        try:
            store.check(name, sums=True)
        except HpcodecError as error:
            findings.append(Finding(name, str(error)))
    for item in store.variables.values():
        findings += _check(store, item)
    return findings


def _own(chain: bytes, item: StoredVariable) -> bytes:
    *before, own = split_payloads(chain) if item.coding.key_every > 1 else [chain]
    if read_header(own).carry and not before:
        raise FormatError(
            "expected the field that another follows; the chunk begins with the other. The store "
            "is damaged."
        )
    return own


def _check(store: Store, item: StoredVariable) -> list[Finding]:
    findings = []
    entropy, masks = None, MaskTable(item.coding.grid.shape, item.coding.masks)
    try:
        entropy = load_model(item.coding.model, item.coding.weights).entropy
    except HpcodecError as error:
        findings.append(Finding(item.name, str(error)))
    for step in range(item.steps):
        try:
            payload = _own(store.read(item, step), item)
            header = read_header(payload)
            announced = header.size + header.mask_size + sum(header.lengths)
            if announced != len(payload) or header.bottleneck != item.coding.bottleneck:
                raise FormatError(
                    f"expected a payload of {announced} bytes with bottleneck level "
                    f"{item.coding.bottleneck}; got {len(payload)} and {header.bottleneck}."
                )
            own = payload[header.size : header.size + header.mask_size]
            masks.get(header.mask, own)
            if entropy is not None:
                unpack(payload, entropy)
        except HpcodecError as error:
            findings.append(Finding(f"{item.name}, step {step}", str(error)))
    return findings
