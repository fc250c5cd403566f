"""Whether a store is whole: ``hpcodec validate``. Imports no torch, unless it is to decode."""

from __future__ import annotations

from dataclasses import dataclass

from hpcodec.bounds import exceeded
from hpcodec.correction import read_correction
from hpcodec.errors import FormatError, HpcodecError
from hpcodec.models import load_model
from hpcodec.stages.dataset import open_source
from hpcodec.stages.wire import correction_in, read_header, split_payloads, unpack
from hpcodec.stages.zarr_store import Store, StoredVariable, open_store

__all__ = ["Finding", "validate"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, and what."""

    where: str
    what: str


def validate(path: str, original: str = "", device: str = "auto") -> list[Finding]:
    """Findings about a store; none if it is whole and its models are installed.

    Every payload is fetched, its checksums are checked, and its symbols decoded with the
    model's tables.

    Parameters
    ----------
    path : str
        The store.
    original : str
        What was compressed, to hold the bounds on errors against; without, they are not checked.
    device : str
        Torch device, or ``auto``, to decode on.
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
    for item in store.variables.values():
        findings += _check(store, item)
    if original and not findings:
        findings += _beyond(store, original, device)
    return findings


def _beyond(store: Store, original: str, device: str) -> list[Finding]:
    try:
        source = open_source(original)
        try:
            return [
                Finding(f"{excess.name}, step {excess.step}", str(excess))
                for excess in exceeded(store, source, device)
            ]
        finally:
            source.close()
    except HpcodecError as error:
        return [Finding(original, str(error))]


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
    entropy = None
    try:
        entropy = load_model(item.coding.model, item.coding.weights).entropy
    except HpcodecError as error:
        findings.append(Finding(item.name, str(error)))
    for step in range(item.steps):
        try:
            payload = _own(store.read(item, step), item)
            header = read_header(payload)
            announced = header.whole
            if announced != len(payload) or header.bottleneck != item.coding.bottleneck:
                raise FormatError(
                    f"expected a payload of {announced} bytes with bottleneck level "
                    f"{item.coding.bottleneck}; got {len(payload)} and {header.bottleneck}."
                )
            if entropy is not None:
                unpack(payload, entropy)
            read_correction(correction_in(payload), item.coding.grid.shape)
        except HpcodecError as error:
            findings.append(Finding(f"{item.name}, step {step}", str(error)))
    return findings
