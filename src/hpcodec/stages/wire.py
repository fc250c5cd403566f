"""Pack: the symbols of a compressed field <-> bytes, coarse levels first.

    CompressedField --pack--> header | base | level 4 | ... | bottleneck --unpack(level)-->

Layout (format 1, little endian)::

    magic      4 bytes  b"HPC1"
    bottleneck uint8    finest coded level
    carries    uint8    0, or 1 in a field that follows another in time
    offset     float32  scaling of the field,
    scale      float32    in its unit
    step       float32  quantisation step, normalised units
    limits     float32  least and
               float32    largest value of the field, in its unit
    lengths    uint32 for each level from 3 to the bottleneck: bytes of its segment
    power      uint8    for each of these levels but the first, in 16ths of an octave: what
                        decoding loses of it
    carry      uint8    for each of these levels, in 64ths; only where ``carries`` is 1
    crc        uint32   of everything above
    segments   each: uint32 crc, then the code of its symbols (:mod:`hpcodec.entropy`)

Any prefix that ends with a segment decodes to that segment's level.
"""

from __future__ import annotations

import struct
import zlib

import healpy
import numpy as np
import numpy.typing as npt

from hpcodec.entropy.coding import decode_base, decode_level, encode_base, encode_level
from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import FormatError, LevelError
from hpcodec.fields import CompressedField
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count

__all__ = [
    "HEADER_MOST",
    "MAGIC",
    "pack",
    "predicted_base",
    "prefix_size",
    "read_header",
    "split_payloads",
    "unpack",
]

MAGIC = b"HPC1"
_FIXED = struct.Struct("<4sBBfffff")
_CRC = struct.Struct("<I")
_MOST = 64  # of a carry, and of a power
_MOST_LEVELS = FINEST_LEVEL - BASE_LEVEL + 1

HEADER_MOST = _FIXED.size + 6 * _MOST_LEVELS - 1 + _CRC.size
"""A payload's first bytes that hold its header, whatever its bottleneck."""

Integers = npt.NDArray[np.int32]


def pack(compressed: CompressedField, model: EntropyModel) -> bytes:
    """Bytes of a compressed field, as the module's layout has it, coded with a model."""
    base, residuals = compressed.base, compressed.residuals
    # What a base field that follows another still has to tell is too uneven to be guessed at.
    rest = base if compressed.carry else predicted_base(base)
    codes = [encode_base(rest, model.tables), *compressed.codes]
    for number, symbols in list(enumerate(residuals))[len(compressed.codes) :]:
        codes.append(encode_level(model, symbols, base, residuals[:number], compressed.step))
    segments = [_CRC.pack(zlib.crc32(code)) + code for code in codes]
    scaling = compressed.offset, compressed.scale, compressed.step
    carry = compressed.carry
    kind = MAGIC, compressed.bottleneck, int(bool(carry))
    fixed = _FIXED.pack(*kind, *scaling, *compressed.limits)
    lengths = np.array([len(segment) for segment in segments], "<u4").tobytes()
    power = compressed.power or (0,) * len(residuals)
    header = fixed + lengths + bytes(power) + bytes(carry)
    return b"".join([header, _CRC.pack(zlib.crc32(header)), *segments])


def unpack(payload: bytes, model: EntropyModel, level: int = FINEST_LEVEL) -> CompressedField:
    """Compressed field in ``payload``, its levels up to ``level`` only.

    Parameters
    ----------
    payload : bytes
        Made by :func:`pack`, or a prefix of that of at least ``prefix_size(payload, level)``.
    model : EntropyModel
        As when packing.
    level : int
        Finest level wanted; what the payload has beyond it is not read.

    Raises
    ------
    FormatError
        If the bytes are not of this format, or damaged.
    LevelError
        If ``level`` is coarser than the base field.
    """
    if level < BASE_LEVEL:
        raise LevelError(f"the base field has level {BASE_LEVEL}; got {level}. Decode it, average.")
    header = read_header(payload)
    at, codes = header.size, []
    for length in header.lengths[: level - BASE_LEVEL + 1]:
        codes.append(_checked(payload[at : at + length], length))
        at += length
    rest = decode_base(codes[0], model.tables)
    base = rest if header.carry else _restored(rest)
    residuals: list[Integers] = []
    for code in codes[1:]:
        residuals.append(decode_level(model, code, base, residuals, header.step))
    scaling = header.offset, header.scale, header.step
    count = len(residuals)
    carry, power = header.carry[: count + 1], header.power[:count]
    return CompressedField(base, tuple(residuals), *scaling, header.limits, carry, power)


def prefix_size(head: bytes, level: int) -> int:
    """Bytes of a payload that decoding at ``level`` needs.

    Parameters
    ----------
    head : bytes
        The payload's first ``HEADER_MOST`` bytes, or all of it.
    level : int
        Finest level wanted.
    """
    header = read_header(head)
    return int(header.size + sum(header.lengths[: max(level, BASE_LEVEL) - BASE_LEVEL + 1]))


def split_payloads(chunk: bytes) -> list[bytes]:
    """Payloads of a chunk of several fields, which stand one after the other.

    Raises
    ------
    FormatError
        If there is none, or the chunk ends within a header. What ends later is a prefix.
    """
    payloads, at = list[bytes](), 0
    while at < len(chunk) or not payloads:
        end = at + prefix_size(chunk[at : at + HEADER_MOST], FINEST_LEVEL)
        payloads.append(chunk[at:end])
        at = end
    return payloads


class _Header:
    """Parsed header; every number in it is checked before anything is allocated from it."""

    def __init__(self, payload: bytes) -> None:
        if len(payload) < _FIXED.size or payload[:4] != MAGIC:
            raise FormatError(
                f"expected bytes that begin with {MAGIC!r}; got {payload[:4]!r}. "
                "This is not a compressed field of format 1, or it is damaged."
            )
        _, bottleneck, carries, *scaling, low, high = _FIXED.unpack_from(payload)
        if carries > 1 or not BASE_LEVEL <= bottleneck <= FINEST_LEVEL:
            raise _damaged(f"bottleneck level {bottleneck}")
        self.offset, self.scale, self.step = scaling
        levels = bottleneck - BASE_LEVEL + 1
        self.size = _FIXED.size + (5 + carries) * levels - 1 + _CRC.size
        if len(payload) < self.size:
            raise _damaged(f"{len(payload)} bytes, shorter than the header's {self.size}")
        body, (crc,) = payload[: self.size - 4], _CRC.unpack_from(payload, self.size - 4)
        if zlib.crc32(body) != crc:
            raise _damaged("a header with another checksum")
        if not (np.isfinite(scaling).all() and self.scale > 0 and self.step > 0):
            raise _damaged("a scaling that is not finite")
        if not low <= high:
            raise _damaged(f"limits of {low:g} to {high:g}")
        self.limits = low, high
        self.bottleneck = bottleneck
        self.lengths = np.frombuffer(body, "<u4", levels, _FIXED.size).tolist()
        rest = body[_FIXED.size + 4 * levels :]
        self.power, self.carry = tuple(rest[: levels - 1]), tuple(rest[levels - 1 :])
        for name, values, unit in (("carry", self.carry, "64ths"), ("power", self.power, "")):
            if max(values, default=0) > _MOST:
                raise _damaged(f"a {name} of {max(values)} {unit}".rstrip())


def read_header(payload: bytes) -> _Header:
    """Header at the start of ``payload``, of which ``HEADER_MOST`` bytes are enough."""
    return _Header(bytes(payload[:HEADER_MOST]))


def _damaged(got: str) -> FormatError:
    return FormatError(f"expected a compressed field of format 1; got {got}. The store is damaged.")


def _checked(segment: bytes, length: int) -> bytes:
    if len(segment) != length or length < _CRC.size:
        raise _damaged(f"a segment of {len(segment)} bytes where {length} were announced")
    code = segment[_CRC.size :]
    if zlib.crc32(code) != _CRC.unpack_from(segment)[0]:
        raise _damaged("a segment with another checksum")
    return code


def _earlier() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Neighbours of each base cell that come before it, padded with the cell before it."""
    cells = cell_count(BASE_LEVEL)
    near = np.array(healpy.get_all_neighbours(2**BASE_LEVEL, np.arange(cells), nest=True)).T
    known = (near >= 0) & (near < np.arange(cells)[:, None])
    return near, known


_NEAR, _KNOWN = _earlier()


def _guess(base: Integers, cell: int) -> int:
    """Rounded mean of the neighbours before ``cell``; integers, so the same everywhere."""
    known = base[_NEAR[cell][_KNOWN[cell]]]
    if known.size == 0:
        return int(base[cell - 1]) if cell else 0
    return int((2 * known.sum(dtype=np.int64) + known.size) // (2 * known.size))


def predicted_base(base: Integers) -> Integers:
    """Base field minus the guess from what is decoded before each cell, ``(768,)``."""
    guesses = [_guess(base, cell) for cell in range(base.size)]
    return np.asarray(base - np.array(guesses), np.int32)


def _restored(rest: Integers) -> Integers:
    """Inverse of :func:`predicted_base`."""
    base = np.zeros_like(rest)
    for cell in range(rest.size):
        # Python's integers: damaged bytes may sum to more than 32 bits, which then wrap.
        value = int(rest[cell]) + _guess(base, cell)
        base[cell] = (value + 2**31) % 2**32 - 2**31
    return base
