from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import FormatError, LevelError
from hpcodec.fields import CompressedField
from hpcodec.stages.wire import (
    HEADER_MOST,
    MAGIC,
    pack,
    predicted_base,
    prefix_size,
    read_header,
    unpack,
)
from tests.tiny import assert_same, compressed_field, flat_tables

TABLES = flat_tables()
FIELD = compressed_field(6)
PAYLOAD = pack(FIELD, TABLES)
BASE_ONLY = pack(compressed_field(3, 0.2), TABLES)


def header(
    lengths: list[int], bottleneck: int | None = None, scale: float = 1, step: float = 1
) -> bytes:
    levels = 2 + len(lengths) if bottleneck is None else bottleneck
    fixed = struct.pack("<4sBBfff", MAGIC, levels, 0, 0, scale, step)
    head = fixed + struct.pack(f"<{len(lengths)}I", *lengths)
    return head + struct.pack("<I", zlib.crc32(head))


def sealed(*codes: bytes) -> bytes:
    """Payload of any codes, with lengths and checksums as they should be."""
    segments = [struct.pack("<I", zlib.crc32(code)) + code for code in codes]
    return b"".join([header([len(segment) for segment in segments]), *segments])


@settings(max_examples=15, deadline=None)
@given(
    bottleneck=st.integers(3, 6),
    size=st.floats(0.01, 1e9),
    seed=st.integers(0, 2**32),
    offset=st.floats(width=32, allow_nan=False, allow_infinity=False),
    scale=st.floats(2.0**-100, 2.0**100, width=32),
    step=st.floats(2.0**-20, 2.0**20, width=32),
)
def test_round_trip(
    bottleneck: int, size: float, seed: int, offset: float, scale: float, step: float
) -> None:
    drawn = compressed_field(bottleneck, size, seed)
    field = CompressedField(drawn.base, drawn.residuals, offset, scale, step)
    assert_same(unpack(pack(field, TABLES), TABLES), field)


@pytest.mark.parametrize("size", [2**31 - 1, -(2**31)])
def test_largest_symbols(size: int) -> None:
    base = np.where(np.arange(768) % 2, size, -1 - size).astype(np.int32)
    residual = np.full((3, 768), size, np.int32)
    field = CompressedField(base, (residual,), 0, 1, 1)
    assert_same(unpack(pack(field, TABLES), TABLES), field)


def test_packing_leaves_the_field_alone() -> None:
    field = compressed_field(4)
    pack(field, TABLES)
    assert_same(field, compressed_field(4))


@pytest.mark.parametrize("level", range(3, 9))
def test_a_prefix_serves_its_level(level: int) -> None:
    size = prefix_size(PAYLOAD[:HEADER_MOST], level)
    assert size == prefix_size(PAYLOAD, level)
    whole, part = unpack(PAYLOAD, TABLES, level), unpack(PAYLOAD[:size], TABLES, level)
    assert_same(part, whole)
    assert part.bottleneck == min(level, 6)
    if level >= 6:
        assert size == len(PAYLOAD)
    with pytest.raises(FormatError, match="segment of"):
        unpack(PAYLOAD[: size - 1], TABLES, level)


def test_the_header_says_what_it_must() -> None:
    head = read_header(PAYLOAD[:HEADER_MOST])
    assert (head.bottleneck, head.offset, head.scale, head.step) == (
        6,
        FIELD.offset,
        FIELD.scale,
        FIELD.step,
    )
    assert head.size + sum(head.lengths) == len(PAYLOAD)


def test_levels_below_the_base() -> None:
    with pytest.raises(LevelError, match="the base field has level 3; got 2"):
        unpack(PAYLOAD, TABLES, 2)


@pytest.mark.parametrize("reach", [0, 1, 40, 2**31 - 1])
def test_predicted_base_is_small_where_the_field_is_smooth(reach: int) -> None:
    smooth = np.full(768, reach, np.int32)
    assert np.count_nonzero(predicted_base(smooth)) <= 1


def test_every_flipped_byte_is_noticed() -> None:
    for place in range(len(BASE_ONLY)):
        damaged = bytearray(BASE_ONLY)
        damaged[place] ^= 0x41
        with pytest.raises(FormatError):
            unpack(bytes(damaged), TABLES)


def test_every_truncation_is_noticed() -> None:
    for size in range(len(BASE_ONLY)):
        with pytest.raises(FormatError):
            unpack(BASE_ONLY[:size], TABLES)


@given(st.integers(0, len(PAYLOAD) - 1), st.integers(1, 255))
def test_flips_in_finer_levels_are_noticed(place: int, change: int) -> None:
    damaged = bytearray(PAYLOAD)
    damaged[place] ^= change
    with pytest.raises(FormatError):
        unpack(bytes(damaged), TABLES)


@given(st.binary(max_size=200))
def test_random_bytes(payload: bytes) -> None:
    for hostile in (payload, MAGIC + payload):
        with pytest.raises(FormatError, match="expected"):
            unpack(hostile, TABLES)
        with pytest.raises(FormatError, match="expected"):
            prefix_size(hostile, 5)


@settings(max_examples=60, deadline=None)
@given(codes=st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_random_codes_with_right_checksums(codes: list[bytes]) -> None:
    try:
        field = unpack(sealed(*codes), TABLES)
    except FormatError:
        return
    assert field.bottleneck == 2 + len(codes)


@pytest.mark.parametrize("level", [3, 8])
def test_announced_lengths_allocate_nothing(level: int) -> None:
    hostile = header([2**32 - 1] * (level - 2)) + b"\0" * 64
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="4294967295 were announced"):
            unpack(hostile, TABLES)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert prefix_size(hostile, level) > 2**32


@pytest.mark.parametrize("length", [0, 3])
def test_segments_too_short_for_a_checksum(length: int) -> None:
    with pytest.raises(FormatError, match="were announced"):
        unpack(header([length]) + b"\0" * length, TABLES)


@pytest.mark.parametrize(
    ("scale", "step"), [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0), (1, -2)]
)
def test_impossible_scaling(scale: float, step: float) -> None:
    with pytest.raises(FormatError, match="scaling that is not finite"):
        read_header(header([8], scale=scale, step=step))


@pytest.mark.parametrize("bottleneck", [0, 2, 9, 255])
def test_impossible_bottleneck(bottleneck: int) -> None:
    with pytest.raises(FormatError, match=f"bottleneck level {bottleneck}"):
        read_header(header([8] * 6, bottleneck=bottleneck))
