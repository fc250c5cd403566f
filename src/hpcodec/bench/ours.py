"""Our own: the product, its whole store, and the Field-Space Autoencoder as the paper stores it."""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcodec.bench.case import Case, Floats, one_field
from hpcodec.bench.codecs import Codec
from hpcodec.coding import coding_for
from hpcodec.comparison import compare
from hpcodec.compression import Options, compress
from hpcodec.decoding import decode_fields
from hpcodec.errors import FormatError
from hpcodec.fields import Coding
from hpcodec.figures import ErrorFigures
from hpcodec.grid import BASE_LEVEL, cell_count, level_of
from hpcodec.pipeline import encode_fields
from hpcodec.step_search import Hint

__all__ = ["StorePoint", "fsae_float32", "measure_store", "product"]

_RATIOS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)

# Bottleneck levels of the paper: 16, 64, 256 and 1024 times fewer numbers than level 8.
_LEVELS = (6, 5, 4, 3)

_LENGTH = struct.Struct("<I")


def product(
    case: Case, device: str = "auto", *, sharp: bool = False, detailed: bool | None = None
) -> Codec:
    """What ``hpcodec compress`` writes of a field: the payload, at the ratio that is asked.

    ``sharp`` decodes it as ``hpcodec decompress --sharp`` does. ``detailed`` says which of the two
    ways of :mod:`hpcodec.ways` to take; by default the better one, as the product does.
    """
    # A store has the coding beside the payload, in its metadata.
    codings: dict[bytes, Coding] = {}

    def encode(field: Floats, ratio: float) -> bytes:
        coding = coding_for(case.spec, int(case.raw_bytes / ratio))
        hint = Hint(detailed=detailed)
        (payload,) = encode_fields(field[None], coding, device, hint).payloads
        codings[payload] = coding
        return payload

    def decode(code: bytes) -> Floats:
        return np.asarray(decode_fields([code], codings[code], device, sharp=sharp)[0])

    return Codec(_RATIOS, encode, decode, by_ratio=True)


def fsae_float32(case: Case, device: str = "auto") -> Codec:
    """Field-Space Autoencoder as published: base and compressed field as plain float32 numbers.

    The parameter is the level of the bottleneck z: ``12 * 4**z`` numbers of four bytes. Our network
    is run at the finest step that fits these bytes, which loses nothing to speak of; what the
    payload leaves of them is zeros.

    References
    ----------
    Meuer et al. 2026, section 3.
    """
    level = coding_for(case.spec, case.raw_bytes).level

    def coding_at(bottleneck: int) -> Coding:
        size = 4 * cell_count(bottleneck) - _LENGTH.size
        return coding_for(case.spec, size, bottleneck=bottleneck)

    def encode(field: Floats, bottleneck: float) -> bytes:
        coding = coding_at(int(bottleneck))
        (payload,) = encode_fields(field[None], coding, device).payloads
        return payload.ljust(coding.size, b"\0") + _LENGTH.pack(len(payload))

    def decode(code: bytes) -> Floats:
        (length,) = _LENGTH.unpack(code[-_LENGTH.size :])
        coding = coding_at(level_of(len(code) // 4))
        return np.asarray(decode_fields([code[:length]], coding, device)[0])

    return Codec(tuple(z for z in _LEVELS if BASE_LEVEL <= z <= level), encode, decode)


@dataclass(frozen=True)
class StorePoint:
    """A whole store of one field.

    Parameters
    ----------
    asked, ratio : float
        Ratio asked for, and bytes as float32 over all bytes of the store.
    size, payload : int
        Bytes of the store, and of them those of the compressed field.
    figures : ErrorFigures
        On the points that are valid.
    """

    asked: float
    ratio: float
    size: int
    payload: int
    figures: ErrorFigures


def measure_store(case: Case, ratio: float, device: str = "auto") -> StorePoint:
    """What ``hpcodec compress --ratio`` makes of a file with this field alone.

    Raises
    ------
    HpcodecError
        As :func:`hpcodec.compression.compress`.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, store = (str(Path(folder) / name) for name in ("f.nc", "f.zarr"))
        one_field(case, case.truth).to_netcdf(given)
        name = case.spec.name
        (report,), size = compress(
            given, store, Options(ratio=ratio, device=device), variables=[name]
        )
        (row,) = compare(given, store, variables=[name], levels=[], device=device)
    if row.figures.count != int((~case.missing).sum()):
        raise FormatError("expected a store of the whole field; got another. Report this.")
    return StorePoint(ratio, case.raw_bytes / size, size, report.payload_bytes, row.figures)
