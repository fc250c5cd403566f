"""Damage of all kinds, and what a reader makes of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpcodec.coarse import decode_base, unpacked
from hpcodec.decoding import decode_fields
from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import HpcodecError
from hpcodec.fields import Coding
from hpcodec.info import describe
from hpcodec.stages.wire import MAGIC, read_header
from hpcodec.stages.zarr_store import open_store
from hpcodec.validation import validate

REFUSED, HARMLESS = "refused", "harmless"
SLOW = 5.0
"""Seconds of computing that are no refusal any more."""

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 2**31, 2**63, 10**400, 0.5, -1e308, float("nan"), float("inf")),
    *("", "x", "1.0", "1.1", "2.0", "../../x", "/etc/passwd", "\0", "\x1b[31m", "x" * 10**5),
    *([], {}, [[]], [0] * 1000, {"a": {}}, ["../x"], "lat", "time", "t2m", "field_space"),
    *([3, 37, 72], [2**40, 37, 72], [1, 2**20, 2**20], [0, 37, 72], "float64", "int8", "string"),
    *("NaN", "bytes", "zstd", "numcodecs.pickle", "hpcodec.even", "hpcodec.field_space"),
)
NAMES = (".hidden", "a b", "..x", "\n", "é", "__x", "c", "x" * 200, "-rf", "%2e%2e")


@dataclass
class Tally:
    """Outcomes of many tries."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, read: Callable[[], object]) -> str:
        """Outcome of reading: refused by an error of ours, harmless, or the name of a mistake."""
        start = time.process_time()
        try:
            read()
            outcome = HARMLESS
        except HpcodecError as error:
            outcome = REFUSED if "\n" not in str(error) else "an error of many lines"
        except Exception as error:
            outcome = type(error).__name__
            self.wrong.append(f"{what}: {outcome}: {str(error)[:200]}")
        took = time.process_time() - start
        self.slowest = max(self.slowest, took)
        if took > SLOW:
            outcome = "slow"
            self.wrong.append(f"{what}: {took:.1f} s")
        self.counts[outcome] += 1
        return outcome

    @property
    def bad(self) -> int:
        return sum(n for what, n in self.counts.items() if what not in (REFUSED, HARMLESS))


def damage_bytes(data: bytes, draw: random.Random) -> bytes:
    """Cut, flipped, doubled, overwritten or made up."""
    place, other = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    flipped = bytearray(data or b"\0")
    for _ in range(draw.choice((1, 1, 2, 8))):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    made = draw.randbytes(draw.choice((0, 1, 8, 64, len(data))))
    return draw.choice(
        (
            *(bytes(flipped),) * 4,
            data[:place],
            data[place:],
            data[:place] + data[other:],
            data[:other] + data[place:],
            data[:place] + made + data[other:],
            data + made,
            made,
        )
    )


def sealed(payload: bytes) -> bytes:
    """A damaged payload whose checksums are right again, as far as it has a header at all."""
    if len(payload) < 26 or not 3 <= payload[4] <= 9 or payload[5] > 3:
        return payload
    levels, corrected = payload[4] - 2, payload[5] // 2
    size = 26 + (5 + payload[5] % 2) * levels - 1 + 4 * corrected
    header = MAGIC + payload[4:size]
    result, at = header + struct.pack("<I", zlib.crc32(header)), size + 4
    whole = header.ljust(80, b"\0")
    lengths = struct.unpack_from(f"<{levels}I", whole, 26)
    for length in (*lengths, *struct.unpack_from(f"<{corrected}I", whole, size - 4)):
        segment = payload[at : at + length]
        result += struct.pack("<I", zlib.crc32(segment[4:])) + segment[4:]
        at += length
    return result + payload[at:]


def damage_payload(payload: bytes, draw: random.Random, share_sealed: float = 0.1) -> bytes:
    """A damaged payload; some look whole to every checksum, and reach the decoder."""
    if draw.random() > share_sealed:
        return damage_bytes(payload, draw)
    header = read_header(payload)
    start = header.size if draw.random() < 0.8 else 6
    damaged = payload[:start] + damage_bytes(payload[start:], draw)
    if draw.random() < 0.5:  # of the announced lengths, as they are or not
        damaged = damaged[: len(payload)].ljust(len(payload), b"\0")
    return sealed(damaged)


def damage_json(text: str, draw: random.Random) -> str:
    """A key or value somewhere in a JSON document is gone, another, or new."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in list(pairs):
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    if isinstance(document, dict):
        walk(document)
    if not places:
        return json.dumps(draw.choice(VALUES))
    node, key = draw.choice(places)
    action = draw.randrange(4)
    if action == 0:
        del node[key]
    elif action == 1 and isinstance(node, dict):
        node[draw.choice(("x", "format", "sise", "", "attributes", "codecs"))] = node[key]
    elif action == 2 and isinstance(node, list):
        node.insert(draw.randrange(len(node) + 1), draw.choice(VALUES))
    else:
        node[key] = draw.choice(VALUES)
    found = json.dumps(document)
    return found if draw.random() < 0.99 else "[" * 100_000 + found


def damage_store(folder: Path, draw: random.Random) -> None:
    """Change something in the folder of a store."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = draw.choice(files)
    documents = [file for file in files if file.name == "zarr.json"]
    action = draw.random()
    if action < 0.5:
        path = draw.choice(documents)
        for _ in range(draw.choice((1, 1, 2, 3))):
            path.write_text(damage_json(path.read_text("utf-8"), draw), "utf-8")
    elif action < 0.8:
        path.write_bytes(damage_bytes(path.read_bytes(), draw))
    elif action < 0.85:
        path.unlink()
    elif action < 0.9:
        path.write_bytes(draw.choice(files).read_bytes())
    elif action < 0.94:
        array = draw.choice(documents).parent
        if array != folder:
            array.rename(array.with_name(draw.choice(NAMES)))
    elif action < 0.97:
        path.unlink()
        path.symlink_to(draw.choice(("/etc/passwd", "/dev/zero", "..", str(folder), "none")))
    elif action < 0.98:
        path.unlink()
        os.mkfifo(path)
    else:
        array = draw.choice(documents).parent
        away = folder.with_suffix(".away")
        shutil.rmtree(away, ignore_errors=True)
        array.rename(away) if array != folder else path.unlink()
        if array != folder:
            array.symlink_to(away)


def read_store(path: str) -> None:
    """All that reads a store: what it says, its check, its coarse view, its fields.

    Raises
    ------
    HpcodecError
        If any of these refuses it, or the check finds an error.
    """
    store = open_store(path)
    json.dumps(describe(path))
    findings = validate(path)
    for line in map(str, findings):
        assert line.isprintable(), line
    for item in store.variables.values():
        payloads = [store.read(item, step, 3) for step in range(min(item.steps, 2))]
        assert decode_base(payloads, item.coding).shape[1] == 768
        payloads = [store.read(item, step) for step in range(min(item.steps, 2))]
        decode_fields(payloads, item.coding, "cpu")
    if any(finding.severity == "error" for finding in findings):
        raise HpcodecError("found by the check")


def read_payload(payload: bytes, coding: Coding, entropy: EntropyModel) -> None:
    """Symbols of a payload, which are whole numbers of the right shapes."""
    found = unpacked(payload, coding, entropy, coding.bottleneck)
    assert found.base.shape == (768,)
    assert all(part.dtype == np.int32 for part in found.residuals)


def try_payloads(
    payload: bytes, coding: Coding, entropy: EntropyModel, count: int, seed: int = 0
) -> Tally:
    """Outcomes of so many damaged payloads."""
    draw, tally = random.Random(seed), Tally()
    for number in range(count):
        bad = damage_payload(payload, draw)
        read = partial(read_payload, bad, coding, entropy)
        tally.add(f"payload {number} of seed {seed}", read)
    return tally


def try_stores(
    store: Path,
    scratch: Path,
    count: int,
    seed: int = 0,
    told: Callable[[int, Tally], None] = lambda done, tally: None,
) -> Tally:
    """Outcomes of so many damaged copies of a store."""
    draw, tally, copy = random.Random(seed), Tally(), scratch / "store.zarr"
    for number in range(count):
        shutil.copytree(store, copy)
        damage_store(copy, draw)
        tally.add(f"store {number} of seed {seed}", partial(read_store, str(copy)))
        shutil.rmtree(copy)
        told(number + 1, tally)
    return tally
