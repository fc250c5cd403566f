"""The codec in zarr pipelines: for zarr v3 (``FieldSpaceCodec``) and for zarr v2 (``FieldSpace``).

    chunk (…, *grid.shape) float32 --encode--> payloads of its fields, one after the other
                                     <--decode--

A chunk holds whole spheres. Its payloads are such as ``hpcodec compress`` writes, and its bytes
depend on its own fields alone, in whatever order chunks are written.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import JSON, parse_named_configuration

from hpcodec.coding import coding_for, frequent_masks
from hpcodec.decoding import decode_fields
from hpcodec.errors import FormatError, GridError, UsageError
from hpcodec.fields import MOST_VALUES, Coding
from hpcodec.packing import PLAIN
from hpcodec.pipeline import encode_fields
from hpcodec.stages.dataset import find_fields
from hpcodec.stages.wire import split_payloads
from hpcodec.stages.zarr_store import CODEC, chunk_shape
from hpcodec.targets import check_bound, check_ratio, check_rmse

__all__ = ["FieldSpace", "FieldSpaceCodec", "coding_of"]

_TOLD = ("standard_name", "units", "long_name", "coordinates", "grid_mapping")


def coding_of(
    field: xr.DataArray,
    ratio: float | None = None,
    model: str = "",
    *,
    rmse: float | None = None,
    key_every: int = 1,
    max_error: float | None = None,
    max_rel_error: float | None = None,
    effort: int = 0,
    exponent: float | None = None,
) -> Coding:
    """Coding of a variable from its coordinates and attributes.

    Parameters
    ----------
    field : DataArray
        With latitude and longitude coordinates (CF, or of the usual names) over the whole globe.
    ratio : float, optional
        Bytes of float32 over bytes of a compressed field, at least; 4 to 4096. 64 by default, or
        with a bound as large as it allows; given with a bound, the correction comes on top.
    model : str
        Name of the model; empty for the one that suits the variable.
    rmse : float, optional
        In place of a ratio: root of the mean square error of each field at most, weighted by
        the cosine of latitude, in the unit of the variable.
    key_every : int
        Fields of a chunk (along its first axis), each but the first coded from the one before.
    max_error, max_rel_error : float, optional
        Error that any point may have, in the unit of the variable, or relative to the range of
        each field.
    effort : int
        1 to refine the symbols of each field: fewer bytes, ten times the time.
    exponent : float, optional
        Power that values are raised to before they are coded, 0.2 to 1; by default 0.85 for
        precipitation, else 1.

    Raises
    ------
    GridError
        If the variable is not a field on a global grid.
    UsageError
        If the ratio is out of range, the error is not positive, or both are given.

    Examples
    --------
    >>> lat, lon = np.linspace(90, -90, 181), np.arange(360.0)
    >>> field = xr.DataArray(np.zeros((181, 360), "f4"), {"lat": lat, "lon": lon}, ("lat", "lon"))
    >>> coding_of(field, ratio=64).level
    6
    """
    if ratio is not None and rmse is not None:
        raise UsageError(f"expected a ratio or an RMSE; got {ratio:g} and {rmse:g}. Give one.")
    wanted = 0.0 if rmse is None else check_rmse(rmse)
    bounds: dict[str, Any] = {
        kind: check_bound(bound)
        for kind, bound in {"max_error": max_error, "max_rel_error": max_rel_error}.items()
        if bound is not None
    }
    # By error there is but one limit in bytes: no field takes more than it has.
    by_error = rmse is not None or (bounds and ratio is None)
    share = 1 if by_error else check_ratio(64 if ratio is None else ratio)
    name, told = str(field.name or "field"), {**field.encoding, **field.attrs}
    variable = (
        field.rename(name)
        .drop_attrs(deep=False)
        .assign_attrs({k: v for k, v in told.items() if k in _TOLD})
    )
    if not variable.dtype.kind == "f":
        raise GridError(f"expected floating-point values in '{name}'; got {variable.dtype}.")
    dataset = variable.to_dataset()
    (spec,) = find_fields(dataset, [name])
    size = int(4 * prod(spec.grid.shape) // share)
    how = {"rmse": wanted, "key_every": key_every, "effort": effort, "exponent": exponent}
    coding = coding_for(spec, size, model=model, **bounds | how)
    # The type is the array's, which may be another than this variable's.
    return replace(coding, packing=PLAIN, masks=frequent_masks(dataset, spec))


def _encode(values: npt.NDArray[Any], coding: Coding) -> bytes:
    if values.shape[-len(coding.grid.shape) :] != coding.grid.shape:
        raise GridError(
            f"expected chunks (..., *{coding.grid.shape}); got {values.shape}. Transpose them with "
            "zarr's codec of that name."
        )
    fields = values.reshape(-1, *coding.grid.shape)
    if fields.dtype.kind == "f":
        # A chunk of several steps may reach beyond the array: decoding fills it with NaN again.
        whole = np.flatnonzero(~np.isnan(fields).reshape(len(fields), -1).all(1))
        fields = fields[: 1 + int(whole.max(initial=0))]
    return b"".join(encode_fields(fields, coding).payloads)


def _decode(chunk: bytes, coding: Coding, count: int | None) -> npt.NDArray[Any]:
    """Fields of a chunk, missing after its last where ``count`` is larger."""
    payloads = split_payloads(chunk)
    if count is None:
        count = -(-len(payloads) // coding.key_every) * coding.key_every
    if not 0 < len(payloads) <= count:
        raise FormatError(
            f"expected a chunk of {count} fields; got {len(payloads)}. The array is damaged."
        )
    if coding.key_every > 1:
        payloads = [b"".join(payloads[: i + 1]) for i in range(len(payloads))]
    native = coding.packing.native
    beyond = np.nan if native.kind == "f" else 0
    fields = np.full((count, *coding.grid.shape), beyond, native)
    fields[: len(payloads)] = decode_fields(payloads, coding)
    return fields


@dataclass(frozen=True)
class FieldSpaceCodec(ArrayBytesCodec):
    """Serializer of zarr v3 for whole-sphere chunks ``(…, *grid.shape)``.

    Parameters
    ----------
    coding : Coding
        How fields are coded. Made from a variable by :meth:`for_field`.

    References
    ----------
    ``docs/format/v1.md``.
    """

    coding: Coding
    is_fixed_size = False

    @classmethod
    def for_field(
        cls,
        field: xr.DataArray,
        ratio: float | None = None,
        model: str = "",
        **options: Any,  # noqa: ANN401  (those of coding_of)
    ) -> Self:
        """Codec for a variable; see :func:`coding_of`."""
        return cls(coding_of(field, ratio, model, **options))

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        """Codec from zarr's JSON."""
        _, configuration = parse_named_configuration(data, CODEC)
        return cls(Coding.from_dict(configuration))

    def to_dict(self) -> dict[str, JSON]:
        """JSON that zarr keeps."""
        return {"name": CODEC, "configuration": self.coding.to_dict()}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:  # noqa: ANN401
        """Refuse arrays that are not of numbers, or chunks that are not whole spheres."""
        chunk = tuple(chunk_grid.chunk_shape)
        whole = self.coding.grid.shape
        if not {*whole} <= {*chunk} & {*shape}:
            raise GridError(
                f"expected chunks of whole fields, (..., *{self.coding.grid.shape}); "
                f"got {chunk} of {shape}. Set chunks to whole fields."
            )
        if (values := prod(chunk)) > MOST_VALUES:
            raise GridError(
                f"expected chunks of at most {MOST_VALUES:,} values; got {values:,}. Set chunks to "
                "fewer fields."
            )
        wanted = chunk_shape(shape, self.coding.key_every, len(whole))
        straight = chunk[-len(whole) :] == whole  # else zarr's codec transpose comes first
        if self.coding.key_every > 1 and straight and chunk != wanted:
            raise GridError(
                f"expected chunks {wanted}, of fields that follow each other; got {chunk}. Set "
                "chunks to these, or key_every to what they hold along the first axis."
            )
        native = getattr(dtype, "to_native_dtype", lambda: dtype)()
        if np.dtype(native).kind not in "fiu":
            raise GridError(f"expected an array of numbers; got {native}.")

    def _as(self, dtype: np.dtype[Any]) -> Coding:
        """The coding of an array of this type, whatever type the codec was made for."""
        return replace(self.coding, packing=replace(self.coding.packing, dtype=dtype.str))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Not known before encoding."""
        raise NotImplementedError

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        values = chunk_array.as_numpy_array()
        payload = await asyncio.to_thread(_encode, values, self._as(values.dtype))
        return chunk_spec.prototype.buffer.from_bytes(payload)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        count = prod(chunk_spec.shape[: -len(self.coding.grid.shape)])
        native = chunk_spec.dtype.to_native_dtype()
        values = await asyncio.to_thread(_decode, chunk_bytes.to_bytes(), self._as(native), count)
        # numpy's own stubs are wider than zarr's protocol of an array.
        shaped: Any = values.reshape(chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(shaped)


class FieldSpace(Codec):  # type: ignore[misc]  # numcodecs has no types
    """Codec of numcodecs, for zarr v2 (as compressor), for whole-sphere chunks of float32.

    Parameters
    ----------
    **coding
        Fields of :class:`hpcodec.fields.Coding` as JSON. Made from a variable by
        :meth:`for_field`.
    """

    codec_id = CODEC

    def __init__(self, **coding: Any) -> None:  # noqa: ANN401  (checked by Coding)
        self.coding = Coding.from_dict(coding)

    @classmethod
    def for_field(
        cls,
        field: xr.DataArray,
        ratio: float | None = None,
        model: str = "",
        **options: Any,  # noqa: ANN401  (those of coding_of)
    ) -> Self:
        """Codec for a variable; see :func:`coding_of`."""
        coding = coding_of(field, ratio, model, **options)
        return cls(**coding.to_dict())

    def get_config(self) -> dict[str, Any]:
        """JSON that zarr keeps."""
        return {"id": self.codec_id, **self.coding.to_dict()}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.coding.to_dict().items())
        return f"FieldSpace({arguments})"

    def encode(self, buf: Any) -> bytes:  # noqa: ANN401  (numcodecs' contract)
        """Payloads of a chunk of float32 fields.

        Raises
        ------
        GridError
            If the chunk is not of whole fields of float32 in C order.
        """
        values = np.asarray(buf)
        grid = self.coding.grid.shape
        # A bare buffer has neither shape nor type, and is taken as the contract has it.
        shaped = values.ndim < 2 or values.shape[-len(grid) :] == grid
        typed = values.dtype == np.float32 or values.dtype.kind != "f"
        if not (shaped and typed and values.flags.c_contiguous) or values.nbytes % (4 * prod(grid)):
            raise GridError(
                f"expected chunks of whole fields, (..., *{self.coding.grid.shape}) float32 in C "
                f"order; got {values.shape} {values.dtype}. Set chunks to whole fields, dtype to "
                "float32."
            )
        fields = ensure_contiguous_ndarray(values).view(np.float32).reshape(-1, *grid)
        return _encode(fields, self.coding)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401
        """Fields of a chunk, flat, float32."""
        chunk = bytes(ensure_contiguous_ndarray(buf))
        values = _decode(chunk, self.coding, None)
        return ndarray_copy(values, out) if out is not None else values
