"""Stored codes decode to the symbols that went into them, with this and any later release.

All that goes in is made of whole numbers by a recipe that needs no library: the network's weights,
the tables, the Earth, the symbols. If the format is meant to change, or a new one to be added::

    HPCODEC_WRITE_GOLDEN=1 python -m pytest tests/entropy/test_golden.py

writes files that are not there; those that are, it leaves alone.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hpcodec.entropy.activity import (
    COMPONENTS,
    FEATURES,
    Surroundings,
    known_features,
    on_faces,
    places,
)
from hpcodec.entropy.coding import decode_base, decode_level, encode_base, encode_level
from hpcodec.entropy.integer_network import HIDDEN, ActivityNetwork
from hpcodec.entropy.tables import LARGEST, TABLE_SHAPE, TOTAL, EntropyModel, high_part, plan_for
from hpcodec.fields import CompressedField
from hpcodec.grid import cell_count
from tests.tiny import assert_same

GOLDEN = Path(__file__).parents[1] / "golden"

CASES = (("quiet", 1), ("lively", 40))
"""Name, and size of the bulk of the symbols."""

# Sha256 of the symbols: the recipe is as fixed as the files.
DIGESTS = {
    "quiet": "dde871a2d83d404935fe506b45c8c89c3fcbbb9dc718e8a89a397524bee1cddb",
    "lively": "0b3f2b2fa7135bd82f403afea289bcfbfb1441611c68504322cee88ebb771812",
}


def drawn(count: int, seed: int) -> npt.NDArray[np.int64]:
    """Numbers from 0 to ``2**24 - 1``: a linear congruential generator, the same for ever."""
    state, numbers = seed, []
    for _ in range(count):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        numbers.append(state >> 40)
    return np.array(numbers, np.int64)


def spread(count: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Numbers from ``-most`` to ``most``."""
    return np.asarray(drawn(count, seed) % (2 * most + 1) - most)


@lru_cache(maxsize=1)
def model() -> EntropyModel:
    # Tables: two-sided, the wider the later.
    size = np.abs(np.arange(-LARGEST, LARGEST + 1))
    tables = np.empty(TABLE_SHAPE, np.int64)
    for number in range(TABLE_SHAPE[1]):
        share = 1 + 400000 // (1 + size**2 * 400 // (1 + number**2))
        tables[:, number] = 1 + share * (TOTAL - 2 * LARGEST - 1) // share.sum()
    tables[..., LARGEST] += TOTAL - tables.sum(-1)
    shapes = [(COMPONENTS, FEATURES, HIDDEN), (COMPONENTS, HIDDEN, HIDDEN), (COMPONENTS, HIDDEN, 1)]
    weights, biases = [], []
    for layer, (shape, most, middle) in enumerate(
        zip(shapes, (12, 12, 40), (2000, 1000, 40 << 8), strict=True)
    ):
        count = shape[0] * shape[1] * shape[2]
        weights.append(spread(count, most, 10 + layer).reshape(shape).astype(np.int8))
        bias = middle + spread(COMPONENTS * shape[2], 500, 20 + layer)
        biases.append(bias.reshape(COMPONENTS, shape[2]).astype(np.int32))
    cells = cell_count(5)
    orography = np.maximum(spread(cells, 4000, 30), -500).astype(np.int16)
    land = (drawn(cells, 31) % 256).astype(np.uint8)
    known = known_features(orography, land)
    return EntropyModel(
        tables.astype(np.uint32), ActivityNetwork(tuple(weights), tuple(biases)), known
    )


@lru_cache(maxsize=2)
def field(size: int) -> CompressedField:
    """Symbols of two levels: most are small, one in a hundred is large, a few are huge."""

    def symbols(count: int, seed: int) -> npt.NDArray[np.int32]:
        values = spread(count, size, seed) * (drawn(count, seed + 1) % 3 == 0)
        values += spread(count, 60 * size, seed + 2) * (drawn(count, seed + 3) % 100 == 0)
        values[7::997] = spread(len(values[7::997]), 2**20, seed + 4) * 2**10
        return np.asarray(values, np.int32)

    residuals = (symbols(3 * 768, 200).reshape(3, -1), symbols(3 * 3072, 300).reshape(3, -1))
    return CompressedField(symbols(768, 100), residuals, 273.25, 1.5, 0.375)


def digest(compressed: CompressedField) -> str:
    parts = (compressed.base, *compressed.residuals)
    return hashlib.sha256(b"".join(part.astype("<i4").tobytes() for part in parts)).hexdigest()


def encoded(compressed: CompressedField) -> bytes:
    """Codes of the base and of each level, each behind its length in four bytes."""
    base, residuals, step = compressed.base, compressed.residuals, compressed.step
    codes = [encode_base(base, model().tables)]
    for number, symbols in enumerate(residuals):
        codes.append(encode_level(model(), symbols, base, residuals[:number], step))
    return b"".join(len(code).to_bytes(4, "little") + code for code in codes)


def decoded(stored: bytes, like: CompressedField) -> CompressedField:
    codes = []
    while stored:
        end = 4 + int.from_bytes(stored[:4], "little")
        codes.append(stored[4:end])
        stored = stored[end:]
    base = decode_base(codes[0], model().tables)
    residuals: list[npt.NDArray[np.int32]] = []
    for code in codes[1:]:
        residuals.append(decode_level(model(), code, base, residuals, like.step))
    return replace(like, base=base, residuals=tuple(residuals))


@pytest.mark.parametrize(("name", "size"), CASES)
def test_stored_codes_decode(name: str, size: int) -> None:
    path = GOLDEN / f"{name}.codes"
    if os.environ.get("HPCODEC_WRITE_GOLDEN") and not path.exists():
        path.write_bytes(encoded(field(size)))
    assert path.is_file(), f"{path} is missing: take it from the repository"
    found = decoded(path.read_bytes(), field(size))
    assert_same(found, field(size))
    assert digest(found) == DIGESTS[name]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_today_writes_what_is_stored(name: str, size: int) -> None:
    """Not a promise of the format, but whoever changes the encoder shall know."""
    assert encoded(field(size)) == (GOLDEN / f"{name}.codes").read_bytes()


def test_stored_codes_use_all_that_there_is() -> None:
    tables, plain, escapes = set(), set(), 0
    for _, size in CASES:
        compressed = field(size)
        for number, nested in enumerate(compressed.residuals):
            level, coarser = 4 + number, compressed.residuals[:number]
            known = model().known[level]
            around = Surroundings(level, compressed.base, coarser, compressed.step, known)
            faces = np.asarray(on_faces(nested), np.int32)
            for component in range(COMPONENTS):
                for phase, where in enumerate(places(faces.shape[-1])):
                    features = around.features(component, phase, faces)
                    plan = plan_for(model().network(component, features))
                    high = high_part(faces[component].flat[where], plan)
                    tables |= set(plan.table.tolist())
                    plain |= set(plan.plain.tolist())
                    escapes += int(np.count_nonzero(np.abs(high) >= LARGEST))
    assert len(tables) > 48
    assert len(plain) > 8
    assert escapes > 50
