"""Pack: the symbols of a compressed field <-> bytes, coarse levels first.

    CompressedField --pack--> header | base | level 4 | ... | bottleneck --unpack(level)-->

Layout (format 1, little endian)::

    magic      4 bytes  b"HPC1"
    bottleneck uint8    finest coded level
    flags      uint8    1 for a field that follows another in time, plus 2 for a correction, plus
                        4 times the number of its mask
    offset     float32  scaling of the field,
    scale      float32    in its unit
    step       float32  quantisation step, normalised units
    limits     float32  least and
               float32    largest value of the field, in its unit
    lengths    uint32 for each level from 3 to the bottleneck: bytes of its segment
    power      uint8    for each of these levels but the first, in 16ths of an octave: what
                        decoding loses of it
    carry      uint8    for each of these levels, in 64ths; only of a field that follows another
    mask       uint32   bytes of its own mask; only where its number is 63
    correction uint32   bytes of the last segment; only where there is a correction
    crc        uint32   of everything above
    mask       its code (:mod:`hpcodec.masks`), as many bytes as said above
    segments   each: uint32 crc, then the code of its symbols (:mod:`hpcodec.entropy`); at last
                        that of the correction (:mod:`hpcodec.correction`)

Any prefix that ends with a segment decodes to that segment's level.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from hpcodec.base_field import decode_base_symbols, encode_base_symbols
from hpcodec.entropy.coding import decode_level, encode_level
from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import FormatError, LevelError
from hpcodec.fields import CompressedField
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL
from hpcodec.mask_table import OWN

__all__ = [
    "HEADER_MOST",
    "MAGIC",
    "correction_in",
    "pack",
    "prefix_size",
    "read_header",
    "split_payloads",
    "unpack",
    "with_correction",
]

MAGIC = b"HPC1"
_FIXED = struct.Struct("<4sBBfffff")
_CRC = _LENGTH = struct.Struct("<I")
_FLAGS, _CARRIES, _CORRECTED, _MASKS = 5, 1, 2, 4
_MOST = 64  # of a carry, and of a power
_MOST_LEVELS = FINEST_LEVEL - BASE_LEVEL + 1

HEADER_MOST = _FIXED.size + 6 * _MOST_LEVELS - 1 + 2 * _LENGTH.size + _CRC.size
"""A payload's first bytes that hold its header, whatever its bottleneck."""

Integers = npt.NDArray[np.int32]


def pack(compressed: CompressedField, model: EntropyModel) -> bytes:
    """Bytes of a compressed field, as the module's layout has it, coded with a model."""
    base, residuals = compressed.base, compressed.residuals
    follows = bool(compressed.carry)
    codes = [encode_base_symbols(base, follows), *compressed.codes]
    for number, symbols in list(enumerate(residuals))[len(compressed.codes) :]:
        codes.append(encode_level(model, symbols, base, residuals[:number], compressed.step))
    segments = [_CRC.pack(zlib.crc32(code)) + code for code in codes]
    scaling = compressed.offset, compressed.scale, compressed.step
    carry = compressed.carry
    flags = _CARRIES * follows + _MASKS * compressed.mask
    fixed = _FIXED.pack(MAGIC, compressed.bottleneck, flags, *scaling, *compressed.limits)
    lengths = np.array([len(segment) for segment in segments], "<u4").tobytes()
    power = compressed.power or (0,) * len(residuals)
    own = _LENGTH.pack(len(compressed.mask_code)) if compressed.mask == OWN else b""
    header = fixed + lengths + bytes(power) + bytes(carry) + own
    return b"".join([header, _CRC.pack(zlib.crc32(header)), compressed.mask_code, *segments])


def unpack(
    payload: bytes, model: EntropyModel | None, level: int = FINEST_LEVEL
) -> CompressedField:
    """Compressed field in ``payload``, its levels up to ``level`` only.

    Parameters
    ----------
    payload : bytes
        Made by :func:`pack`, or a prefix of that of at least ``prefix_size(payload, level)``.
    model : EntropyModel or None
        As when packing; the base field, level 3, needs none.
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
    at, codes = header.size + header.mask_size, []
    if (got := len(payload[header.size : at])) != header.mask_size:
        raise _damaged(f"a mask of {got} bytes where {header.mask_size} were announced")
    for length in header.lengths[: level - BASE_LEVEL + 1]:
        codes.append(_checked(payload[at : at + length], length))
        at += length
    base = decode_base_symbols(codes[0], bool(header.carry))
    residuals: list[Integers] = []
    for code in codes[1:]:
        assert model is not None, "only the base field needs none"
        residuals.append(decode_level(model, code, base, residuals, header.step))
    scaling = header.offset, header.scale, header.step
    count = len(residuals)
    carry, power = header.carry[: count + 1], header.power[:count]
    own = payload[header.size : header.size + header.mask_size]
    return CompressedField(
        base,
        tuple(residuals),
        *scaling,
        header.limits,
        carry,
        power,
        mask=header.mask,
        mask_code=own,
    )


def with_correction(payload: bytes, code: bytes) -> bytes:
    """``payload`` of :func:`pack` with the code of a correction at its end, if there is any."""
    if not code:
        return payload
    header = read_header(payload)
    segment = _CRC.pack(zlib.crc32(code)) + code
    body = bytearray(payload[: header.size - _CRC.size]) + _LENGTH.pack(len(segment))
    body[_FLAGS] |= _CORRECTED
    return bytes(body + _CRC.pack(zlib.crc32(body))) + payload[header.size :] + segment


def correction_in(payload: bytes) -> bytes:
    """Code of the correction in a whole payload; empty where there is none.

    Raises
    ------
    FormatError
        If it is damaged, or the payload ends before it.
    """
    header = read_header(payload)
    if not header.correction:
        return b""
    return _checked(payload[header.whole - header.correction :], header.correction)


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
    if header.bottleneck == BASE_LEVEL < level and header.correction:
        return int(header.whole)  # all but the base field is a detail
    coded = sum(header.lengths[: max(level, BASE_LEVEL) - BASE_LEVEL + 1])
    return int(header.size + header.mask_size + coded)


def split_payloads(chunk: bytes) -> list[bytes]:
    """Payloads of a chunk of several fields, which stand one after the other.

    Raises
    ------
    FormatError
        If there is none, or the chunk ends within a header. What ends later is a prefix.
    """
    payloads, at = list[bytes](), 0
    while at < len(chunk) or not payloads:
        end = at + read_header(chunk[at : at + HEADER_MOST]).whole
        payloads.append(chunk[at:end])
        at = end
    return payloads


class _Header:
    """Parsed header; every number in it is checked before anything is allocated from it.

    ``size`` is that of the header, ``whole`` that of the payload; ``correction`` is 0 without one.
    """

    def __init__(self, payload: bytes) -> None:
        if len(payload) < _FIXED.size or payload[:4] != MAGIC:
            raise FormatError(
                f"expected bytes that begin with {MAGIC!r}; got {payload[:4]!r}. "
                "This is not a compressed field of format 1, or it is damaged."
            )
        _, bottleneck, flags, *scaling, low, high = _FIXED.unpack_from(payload)
        self.mask, carries = flags // _MASKS, flags & _CARRIES
        if not BASE_LEVEL <= bottleneck <= FINEST_LEVEL:
            raise _damaged(f"bottleneck level {bottleneck}")
        self.offset, self.scale, self.step = scaling
        levels = bottleneck - BASE_LEVEL + 1
        # Lengths of what only some payloads have.
        told = [self.mask == OWN, bool(flags & _CORRECTED)]
        self.size = _FIXED.size + (5 + carries) * levels - 1 + sum(told) * _LENGTH.size + _CRC.size
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
        extra = np.frombuffer(rest[len(rest) - sum(told) * _LENGTH.size :], "<u4").tolist()
        rest = rest[: len(rest) - sum(told) * _LENGTH.size]
        self.mask_size, self.correction = (extra.pop(0) if has else 0 for has in told)
        self.power, self.carry = tuple(rest[: levels - 1]), tuple(rest[levels - 1 :])
        self.whole = self.size + self.mask_size + sum(self.lengths) + self.correction
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
