"""The codec ``hpcodec.even``: an evenly spaced coordinate as its start and step.

    [90.0, 89.75, ..., -90.0] --encode--> 16 bytes --decode--> the same values, bit for bit

A store of one field at 1024x has some 4,000 bytes in all; two coordinates would take a third.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import JSON, parse_named_configuration

from hpcodec.errors import FormatError, GridError

__all__ = ["EVEN", "EvenCodec", "spacing"]

EVEN = "hpcodec.even"
"""Name of the codec."""

_PAIR = struct.Struct("<dd")


def spacing(values: npt.NDArray[Any]) -> tuple[float, float] | None:
    """Start and step that give ``values`` exactly, in their own data type; None if none do.

    Examples
    --------
    >>> spacing(np.linspace(90, -90, 721, dtype="f4"))
    (90.0, -0.25)
    >>> spacing(np.array([0.0, 1.0, 4.0])) is None
    True
    """
    if values.ndim != 1 or values.size < 3 or values.dtype.kind != "f":
        return None
    start, step = float(values[0]), float(values[-1] - values[0]) / (values.size - 1)
    for candidate in (step, round(step, 9), float(values[1] - values[0])):
        if np.array_equal(_even(start, candidate, values.size, values.dtype), values):
            return start, candidate
    return None


def _even(start: float, step: float, size: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.asarray(start + step * np.arange(size, dtype=np.float64)).astype(dtype)


@dataclass(frozen=True)
class EvenCodec(ArrayBytesCodec):
    """Serializer of zarr v3 for a one-dimensional array in one chunk; see :func:`spacing`."""

    is_fixed_size = True

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        """Codec from zarr's JSON, which holds its name alone."""
        parse_named_configuration(data, EVEN, require_configuration=False)
        return cls()

    def to_dict(self) -> dict[str, JSON]:
        """JSON that zarr keeps."""
        return {"name": EVEN}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Start and step, two 8-byte numbers."""
        return _PAIR.size

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        found = spacing(chunk_array.as_numpy_array())
        if found is None:
            raise GridError("expected evenly spaced values; got others. Use another codec.")
        return chunk_spec.prototype.buffer.from_bytes(_PAIR.pack(*found))

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        raw = chunk_bytes.to_bytes()
        if len(raw) != _PAIR.size:
            raise FormatError(f"expected {_PAIR.size} bytes of a coordinate; got {len(raw)}.")
        native = chunk_spec.dtype.to_native_dtype()
        start, step = _PAIR.unpack(raw)
        values: Any = _even(start, step, prod(chunk_spec.shape), native)
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(values.reshape(chunk_spec.shape))
