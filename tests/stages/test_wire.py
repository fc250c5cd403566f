from __future__ import annotations

import struct
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import FormatError, LevelError
from hpcodec.fields import CompressedField
from hpcodec.stages.wire import (
    HEADER_MOST,
    MAGIC,
    correction_in,
    pack,
    prefix_size,
    read_header,
    split_payloads,
    unpack,
    with_correction,
)
from tests.tiny import assert_same, compressed_field, fitted_entropy, flat_entropy

MODEL = flat_entropy()
FIELD = compressed_field(6)
PAYLOAD = pack(FIELD, MODEL)
BASE_ONLY = pack(compressed_field(3, 0.2), MODEL)


def header(
    lengths: list[int],
    bottleneck: int | None = None,
    scale: float = 1,
    step: float = 1,
    carry: bytes = b"",
    limits: tuple[float, float] = (0, 1),
) -> bytes:
    levels = 2 + len(lengths) if bottleneck is None else bottleneck
    fixed = struct.pack("<4sBBfffff", MAGIC, levels, bool(carry), 0, scale, step, *limits)
    power = bytes(len(lengths) - 1)
    head = fixed + struct.pack(f"<{len(lengths)}I", *lengths) + power + carry
    return head + struct.pack("<I", zlib.crc32(head))


def sealed(*codes: bytes) -> bytes:
    """Payload of any codes, with lengths and checksums as they should be."""
    segments = [struct.pack("<I", zlib.crc32(code)) + code for code in codes]
    return b"".join([header([len(segment) for segment in segments]), *segments])


@settings(max_examples=15, deadline=None)
@given(
    bottleneck=st.integers(3, 5),
    size=st.floats(0.01, 1e9),
    seed=st.integers(0, 2**32),
    carry=st.none() | st.lists(st.integers(0, 64), min_size=6, max_size=6),
    power=st.none() | st.lists(st.integers(0, 64), min_size=6, max_size=6),
    offset=st.floats(width=32, allow_nan=False, allow_infinity=False),
    scale=st.floats(2.0**-100, 2.0**100, width=32),
    step=st.floats(2.0**-20, 2.0**20, width=32),
    limits=st.tuples(*2 * [st.floats(width=32, allow_nan=False)]).map(sorted),
)
def test_round_trip(
    bottleneck: int,
    size: float,
    seed: int,
    carry: list[int] | None,
    power: list[int] | None,
    offset: float,
    scale: float,
    step: float,
    limits: list[float],
) -> None:
    drawn = compressed_field(bottleneck, size, seed)
    field = CompressedField(
        drawn.base,
        drawn.residuals,
        offset,
        scale,
        step,
        (limits[0], limits[1]),
        carry=tuple(carry or ())[: bottleneck - 2],
        power=tuple(power or ())[: bottleneck - 3],
    )
    for model in (MODEL, fitted_entropy()):
        assert_same(unpack(pack(field, model), model), field)


@pytest.mark.parametrize("size", [2**31 - 1, -(2**31)])
def test_largest_symbols(size: int) -> None:
    base = np.where(np.arange(768) % 2, size, -1 - size).astype(np.int32)
    residual = np.full((3, 768), size, np.int32)
    field = CompressedField(base, (residual,), 0, 1, 1)
    assert_same(unpack(pack(field, MODEL), MODEL), field)


def test_codes_that_are_there_are_taken() -> None:
    """Whoever chose the symbols has coded them: the same bytes, without doing it again."""
    at, codes = read_header(PAYLOAD).size, []
    for length in read_header(PAYLOAD).lengths:
        codes.append(PAYLOAD[at + 4 : at + length])
        at += length
    for known in range(4):
        part = replace(FIELD, codes=tuple(codes[1 : 1 + known]))
        assert pack(part, MODEL) == PAYLOAD
    marked = pack(replace(FIELD, codes=(b"mark", *codes[2:])), MODEL)
    assert b"mark" in marked


def test_finer_levels_do_not_reach_into_coarser_ones() -> None:
    """Whatever the finest level holds, the segments before it are the same."""
    other = replace(FIELD, residuals=(*FIELD.residuals[:-1], 9 * FIELD.residuals[-1]))
    payload = pack(other, MODEL)
    lengths, theirs = read_header(PAYLOAD).lengths, read_header(payload).lengths
    assert lengths[:-1] == theirs[:-1]
    size = read_header(PAYLOAD).size
    finest = size + sum(lengths[:-1])
    assert payload[size:finest] == PAYLOAD[size:finest]
    assert payload[finest:] != PAYLOAD[finest:]


def test_the_step_is_a_float32_for_the_encoder_too() -> None:
    field = replace(compressed_field(4), step=0.1)
    decoded = unpack(pack(field, MODEL), MODEL)
    assert decoded.step == float(np.float32(0.1))
    assert_same(decoded, replace(field, step=decoded.step))


def test_packing_leaves_the_field_alone() -> None:
    field = compressed_field(4)
    pack(field, MODEL)
    assert_same(field, compressed_field(4))


@pytest.mark.parametrize("level", range(3, 9))
def test_a_prefix_serves_its_level(level: int) -> None:
    size = prefix_size(PAYLOAD[:HEADER_MOST], level)
    assert size == prefix_size(PAYLOAD, level)
    whole, part = unpack(PAYLOAD, MODEL, level), unpack(PAYLOAD[:size], MODEL, level)
    assert_same(part, whole)
    assert part.bottleneck == min(level, 6)
    if level >= 6:
        assert size == len(PAYLOAD)
    with pytest.raises(FormatError, match="segment of"):
        unpack(PAYLOAD[: size - 1], MODEL, level)


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
        unpack(PAYLOAD, MODEL, 2)


def test_every_flipped_byte_is_noticed() -> None:
    for place in range(len(BASE_ONLY)):
        damaged = bytearray(BASE_ONLY)
        damaged[place] ^= 0x41
        with pytest.raises(FormatError):
            unpack(bytes(damaged), MODEL)


def test_every_truncation_is_noticed() -> None:
    for size in range(len(BASE_ONLY)):
        with pytest.raises(FormatError):
            unpack(BASE_ONLY[:size], MODEL)


@given(st.integers(0, len(PAYLOAD) - 1), st.integers(1, 255))
def test_flips_in_finer_levels_are_noticed(place: int, change: int) -> None:
    damaged = bytearray(PAYLOAD)
    damaged[place] ^= change
    with pytest.raises(FormatError):
        unpack(bytes(damaged), MODEL)


@given(st.binary(max_size=200))
def test_random_bytes(payload: bytes) -> None:
    for hostile in (payload, MAGIC + payload):
        with pytest.raises(FormatError, match="expected"):
            unpack(hostile, MODEL)
        with pytest.raises(FormatError, match="expected"):
            prefix_size(hostile, 5)


@settings(max_examples=60, deadline=None)
@given(codes=st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_random_codes_with_right_checksums(codes: list[bytes]) -> None:
    try:
        field = unpack(sealed(*codes), MODEL)
    except FormatError:
        return
    assert field.bottleneck == 2 + len(codes)


@pytest.mark.parametrize("level", [3, 8])
def test_announced_lengths_allocate_nothing(level: int) -> None:
    hostile = header([2**32 - 1] * (level - 2)) + b"\0" * 64
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="4294967295 were announced"):
            unpack(hostile, MODEL)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert prefix_size(hostile, level) > 2**32


@pytest.mark.parametrize("length", [0, 3])
def test_segments_too_short_for_a_checksum(length: int) -> None:
    with pytest.raises(FormatError, match="were announced"):
        unpack(header([length]) + b"\0" * length, MODEL)


@pytest.mark.parametrize(
    ("scale", "step"), [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0), (1, -2)]
)
def test_impossible_scaling(scale: float, step: float) -> None:
    with pytest.raises(FormatError, match="scaling that is not finite"):
        read_header(header([8], scale=scale, step=step))


@pytest.mark.parametrize("limits", [(1, 0), (float("nan"), 1), (0, float("nan"))])
def test_impossible_limits(limits: tuple[float, float]) -> None:
    assert read_header(header([8], limits=(-2, 3))).limits == (-2, 3)
    with pytest.raises(FormatError, match="limits of"):
        read_header(header([8], limits=limits))


@pytest.mark.parametrize("carry", [b"\x41\0", b"\0\xff"])
def test_impossible_carry(carry: bytes) -> None:
    assert read_header(header([8, 8], carry=b"\x40\0")).carry == (64, 0)
    with pytest.raises(FormatError, match=f"a carry of {max(carry)} 64ths"):
        read_header(header([8, 8], carry=carry))


def test_what_follows_an_unknown_mark_is_refused() -> None:
    for mark in (2, 255):
        damaged = bytearray(PAYLOAD)
        damaged[5] = mark
        with pytest.raises(FormatError, match="expected"):
            read_header(bytes(damaged))


@pytest.mark.parametrize("bottleneck", [0, 2, 10, 255])
def test_impossible_bottleneck(bottleneck: int) -> None:
    with pytest.raises(FormatError, match=f"bottleneck level {bottleneck}"):
        read_header(header([8] * 6, bottleneck=bottleneck))


def test_a_correction_goes_last() -> None:
    code = b"what is left"
    payload = with_correction(PAYLOAD, code)
    before, header = read_header(PAYLOAD), read_header(payload)
    assert correction_in(payload) == code
    assert correction_in(PAYLOAD) == b""
    assert with_correction(PAYLOAD, b"") == PAYLOAD
    assert len(payload) == header.whole == before.whole + 8 + len(code)
    assert header.size <= HEADER_MOST
    assert_same(unpack(payload, MODEL), FIELD)
    assert split_payloads(payload + PAYLOAD + payload) == [payload, PAYLOAD, payload]
    for level in range(3, FIELD.bottleneck + 1):
        size = prefix_size(payload[:HEADER_MOST], level)
        assert size == prefix_size(PAYLOAD, level) + 4 < len(payload)
        unpack(payload[:size], MODEL, level)


def test_every_flipped_byte_of_a_correction_is_noticed() -> None:
    payload = with_correction(PAYLOAD, b"what is left")
    size = read_header(payload).size
    for at in [*range(4, size), *range(len(payload) - 16, len(payload))]:
        bad = payload[:at] + bytes([payload[at] ^ 2]) + payload[at + 1 :]
        with pytest.raises(FormatError):
            correction_in(bad)
    for short in (payload[:-1], payload[: -read_header(payload).correction], payload + b"x"):
        with pytest.raises(FormatError):
            correction_in(short)
