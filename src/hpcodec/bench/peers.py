"""The classical codecs, each as its users call it.

Of two bindings of one codec the one that does better is run: SPERR and ZFP of imagecodecs, SZ3
(interpolating) of numcodecs-wasm.
"""

from __future__ import annotations

import struct
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.bitround import BitRound
from numcodecs.zstd import Zstd

from hpcodec.bench.case import Case, Floats
from hpcodec.bench.codecs import Codec

__all__ = ["bit_round", "ebcc", "jpeg2000", "sperr", "sz3", "to_jpeg2000", "zfp"]

# Offset and scale of 16-bit integers.
_RANGE = struct.Struct("<2f")

# Decibels, as of an image.
_JPEG2000 = (94, 88, 82, 76, 70, 66, 62, 58, 55, 52, 50, 48, 46, 44, 42, 40, 38, 36, 33, 30, 26, 22)


def jpeg2000(case: Case) -> Codec:
    """JPEG2000 of the field as 16-bit integers; the range is in the bytes."""
    shape = case.truth.shape
    return Codec(_JPEG2000, to_jpeg2000, lambda code: from_jpeg2000(code, shape))


def to_jpeg2000(field: npt.ArrayLike, level: float) -> bytes:
    """Bytes of a field at a PSNR in dB: range, then a JPEG2000 codestream."""
    values = np.asarray(field, np.float64)
    low, extent = _RANGE.unpack(_RANGE.pack(values.min(), np.ptp(values) or 1.0))
    image = np.rint((values - low) * (65535 / extent)).clip(0, 65535).astype(np.uint16)
    code: bytes = _imagecodecs().jpeg2k_encode(
        image, level=level, reversible=False, codecformat="j2k", verbose=0
    )
    return _RANGE.pack(low, extent) + code


def from_jpeg2000(code: bytes, shape: tuple[int, ...]) -> Floats:
    """Inverse of :func:`to_jpeg2000`."""
    low, extent = _RANGE.unpack(code[: _RANGE.size])
    image = np.asarray(_imagecodecs().jpeg2k_decode(code[_RANGE.size :]), np.float64)
    return np.asarray(image.reshape(shape) * (extent / 65535) + low, np.float32)


def sperr(case: Case) -> Codec:
    """SPERR with a bound on the error of every point."""
    shape = case.truth.shape

    def encode(field: Floats, bound: float) -> bytes:
        return bytes(_imagecodecs().sperr_encode(field, level=bound, mode="pwe"))

    def decode(code: bytes) -> Floats:
        return np.asarray(_imagecodecs().sperr_decode(code, shape=shape, dtype="f4"))

    return Codec(_bounds(case, 0.01, 40, 25), encode, decode)


def sz3(case: Case) -> Codec:
    """SZ3 with a bound on the error of every point, predicting by interpolation."""
    codec = import_module("numcodecs_wasm_sz3").Sz3
    bounds = _bounds(case, 0.01, 40, 25)
    made = {b: codec(eb_mode="abs", eb_abs=b, predictor="interpolation") for b in bounds}
    return _numcodecs(made, case)


def ebcc(case: Case) -> Codec:
    """EBCC, JPEG2000 with a wavelet residual that keeps a bound on the error of every point."""
    codec = import_module("numcodecs_wasm_ebcc").Ebcc
    bounds = _bounds(case, 0.2, 40, 9)
    coarse = 4 * _unit(case)
    return _numcodecs(
        {
            b: codec(residual="absolute", error=b, base_cr=1000.0 if b > coarse else 200.0)
            for b in bounds
        },
        case,
    )


def zfp(case: Case) -> Codec:
    """ZFP with a tolerance."""
    shape = case.truth.shape

    def encode(field: Floats, tolerance: float) -> bytes:
        return bytes(_imagecodecs().zfp_encode(field, level=tolerance, mode="a"))

    def decode(code: bytes) -> Floats:
        return np.asarray(_imagecodecs().zfp_decode(code)).reshape(shape)

    return Codec(_bounds(case, 0.01, 300, 18), encode, decode)


def bit_round(case: Case) -> Codec:
    """Mantissa bits rounded away, bytes shuffled, zstd."""
    shape, zstd = case.truth.shape, Zstd(level=19)

    def encode(field: Floats, bits: float) -> bytes:
        rounded = np.asarray(BitRound(keepbits=int(bits)).encode(field.copy()))
        planes = rounded.view(np.uint8).reshape(-1, 4).T
        return bytes(zstd.encode(np.ascontiguousarray(planes)))

    def decode(code: bytes) -> Floats:
        planes = np.frombuffer(zstd.decode(code), np.uint8).reshape(4, -1)
        return np.ascontiguousarray(planes.T).view(np.float32).reshape(shape)

    return Codec(tuple(range(17, -1, -1)), encode, decode)


def _numcodecs(made: dict[float, Any], case: Case) -> Codec:
    """Codec of one numcodecs object for each parameter, any of which decodes."""
    shape, any_of_them = case.truth.shape, next(iter(made.values()))
    return Codec(
        tuple(made),
        lambda field, bound: bytes(made[bound].encode(field)),
        lambda code: np.asarray(any_of_them.decode(np.frombuffer(code, np.uint8))).reshape(shape),
    )


def _unit(case: Case) -> float:
    """A seventieth of the field's range: one kelvin or so of a temperature."""
    return float(np.ptp(case.filled)) / 70 or 1.0


def _bounds(case: Case, finest: float, coarsest: float, count: int) -> tuple[float, ...]:
    return tuple((_unit(case) * np.geomspace(finest, coarsest, count)).tolist())


def _imagecodecs() -> Any:  # noqa: ANN401  (a module without types)
    return import_module("imagecodecs")
