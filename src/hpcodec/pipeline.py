"""The stages in order, and back, for the fields of one chunk.

    stored -> fill -> to_healpix -> fit (normalise -> encode -> pack, a few times) -> payloads
    payloads -> unpack -> decode(level) -> denormalise -> to_latlon -> restore -> stored

Reading files and writing stores is on either side: :mod:`hpcodec.compression`.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpcodec.chains import unchain
from hpcodec.coarse import decode_base, in_units, masks_of
from hpcodec.errors import FormatError
from hpcodec.fields import Coding, Scaling
from hpcodec.fitting import Errors, fit
from hpcodec.grid import BASE_LEVEL
from hpcodec.mask_table import NONE, MaskTable, restored, without_missing
from hpcodec.masks import Mask
from hpcodec.missing import fill_smoothly
from hpcodec.models import Model, load_model
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import alike, measure_scaling
from hpcodec.step_search import AS_EXPECTED, Hint

if TYPE_CHECKING:
    from hpcodec.stages.trail import Trail

__all__ = [
    "Encoded",
    "Followed",
    "decode_cells",
    "decode_fields",
    "encode_cells",
    "encode_fields",
]

Floats = npt.NDArray[np.float32]


# Torch uses all cores for one batch; two at a time would only take more memory.
_NETWORK = threading.Lock()


@dataclass(frozen=True, eq=False)
class Followed:
    """A field that another may follow: its scaling, which both have, and its trail."""

    scaling: Scaling
    trail: Trail


@dataclass(frozen=True, eq=False)
class Encoded:
    """Fields of a chunk after encoding.

    Parameters
    ----------
    payloads : list of bytes
        One for each field.
    decoded : ndarray
        What decoding them gives: ``(n, rows, columns)`` of stored numbers or, from cells,
        ``(n, cells)`` of float32.
    floor : ndarray
        What the remap alone would give, likewise.
    hint : Hint
        What the last field says of fields like it.
    last : Followed, optional
        What a field needs that follows the last one.
    mask_bytes : int
        Of the payloads, what tells where values are missing.
    """

    payloads: list[bytes]
    decoded: npt.NDArray[Any]
    floor: npt.NDArray[Any]
    hint: Hint
    last: Followed | None = None
    mask_bytes: int = 0


def encode_fields(
    stored: npt.NDArray[Any],
    coding: Coding,
    device: str = "auto",
    hint: Hint = AS_EXPECTED,
    last: Followed | None = None,
) -> Encoded:
    """Compress fields, each into at most ``coding.size`` bytes or down to ``coding.rmse``.

    Parameters
    ----------
    stored : ndarray
        ``(n, rows, columns)`` on the coding's grid, numbers of the coding's packing. What is
        missing comes back bit for bit; the network sees a smooth surface there.
    coding : Coding
        From :func:`coding_for`. Its error is on the source grid, over the points that have a
        value, weighted by their area.
    device : str
        Torch device, or ``auto``.
    hint : Hint
        From :class:`Encoded` of fields like these. It saves trials, and may change the bytes
        within what the coding allows.
    last : Followed, optional
        Field that the first of these follows; the others follow each other, if the coding has
        more than one field to a chunk.

    Raises
    ------
    MissingValueError
        If a value is too large for float32, or missing values are of too many kinds.
    UsageError
        If the fields cannot be had in so few bytes, or with so small an error.
    """
    remap, packing = remap_for(coding.grid, coding.level, coding.remap), coding.packing
    values = packing.finite(stored)
    masks = [Mask.of(field, packing) for field in stored]
    cells = remap.to_healpix(np.stack([fill_smoothly(field) for field in values]))

    def stored_of(decoded: Floats, masks: Sequence[Mask]) -> npt.NDArray[Any]:
        return restored(remap.to_latlon(decoded), masks, packing)

    def errors_of(i: int) -> Errors:
        truth, weights = values[i], coding.grid.area_weights

        def rmse(decoded: Floats) -> float:
            (field,) = stored_of(decoded, masks[i : i + 1])
            return _rmse(packing.unpack(field), truth, weights)

        return Errors(rmse(cells[i : i + 1]), rmse)

    table = MaskTable(coding.grid.shape, coding.masks)
    found = [table.find(mask) for mask in masks]
    encoded = _encode(cells, coding, device, hint, errors_of, last, found)
    decoded, floor = stored_of(encoded.decoded, masks), stored_of(cells, masks)
    told = sum(len(code) for _, code in found)
    return dataclasses.replace(encoded, decoded=decoded, floor=floor, mask_bytes=told)


def encode_cells(
    cells: Floats, coding: Coding, device: str = "auto", hint: Hint = AS_EXPECTED
) -> Encoded:
    """Compress fields that are on HEALPix cells of the coding's level already.

    Parameters
    ----------
    cells : ndarray of float32
        ``(n, 12 * 4**level)``, nested order, finite.
    coding : Coding
        As for :func:`encode_fields`, but its error is over the cells.
    device, hint
        As for :func:`encode_fields`.
    """

    def errors_of(i: int) -> Errors:
        return Errors(0.0, lambda decoded: _rmse(decoded[0], cells[i], np.ones(1)))

    return _encode(cells, coding, device, hint, errors_of)


def _encode(
    cells: Floats,
    coding: Coding,
    device: str,
    hint: Hint,
    errors_of: Callable[[int], Errors],
    last: Followed | None = None,
    masks: Sequence[tuple[int, bytes]] = (),
) -> Encoded:
    """Field by field: each shows where to look for the next."""
    model = load_model(coding.model, coding.weights)
    payloads, decoded = [], np.empty_like(cells)
    for i, one in enumerate(cells):
        scaling = measure_scaling(one)
        if last and not alike(scaling, last.scaling):
            last = None
        scaling, after = (last.scaling, last.trail) if last else (scaling, None)
        with _NETWORK:
            fitted = fit(
                one,
                scaling,
                coding,
                model,
                device,
                errors=errors_of(i),
                hint=hint,
                after=after,
                mask=masks[i] if masks else (NONE, b""),
            )
            if coding.key_every > 1:
                last = Followed(scaling, model.coder(device).trail(fitted.field, after))
        payloads.append(fitted.payload)
        decoded[i], hint = fitted.decoded, fitted.hint
    return Encoded(payloads, decoded, cells, hint, last)


def _rmse(
    decoded: npt.NDArray[Any], truth: npt.NDArray[Any], weights: npt.NDArray[np.float64]
) -> float:
    """Of the points that have a value; 0 where none has."""
    there = np.isfinite(truth)
    error = np.where(there, decoded.astype(np.float64) - truth, 0)
    area = float((weights * there).sum())
    return float(np.sqrt((weights * error**2).sum() / area)) if area else 0.0


def decode_cells(
    payloads: Sequence[bytes],
    coding: Coding,
    level: int,
    device: str = "auto",
    *,
    sharp: bool = False,
) -> Floats:
    """Fields on the HEALPix cells of a level.

    Parameters
    ----------
    payloads : sequence of bytes
        Of one field each: whole, or the prefixes that ``level`` needs. Where fields follow each
        other, each after all those of its chunk that it follows.
    coding : Coding
        As when encoding.
    level : int
        From 3, which needs no model, to the model's finest; beyond the source's own, the model's
        prediction.
    device : str
        Torch device, or ``auto``.
    sharp : bool
        With the power of the original on every level, at the price of a larger error.

    Returns
    -------
    ndarray of float32
        ``(n, 12 * 4**level)``, nested order, the variable's unit; NaN in cells most of which
        has no value.

    Raises
    ------
    FormatError
        If a payload is damaged.
    LevelError
        If the model does not give ``level``.
    ModelError
        If the model is not installed.
    """
    if level == BASE_LEVEL:
        return decode_base(payloads, coding)
    cells, masks = _decode(payloads, coding, level, device, sharp)
    return without_missing(cells, masks, coding.grid, coding.level)


def decode_fields(
    payloads: Sequence[bytes], coding: Coding, device: str = "auto", *, sharp: bool = False
) -> npt.NDArray[Any]:
    """Fields on the source grid, ``(n, rows, columns)``, as the source has its numbers stored.

    What was missing is what it was, bit for bit. See :func:`decode_cells`.
    """
    cells, masks = _decode(payloads, coding, coding.level, device, sharp)
    values = remap_for(coding.grid, coding.level, coding.remap).to_latlon(cells)
    return restored(values, masks, coding.packing)


def _decode(
    payloads: Sequence[bytes], coding: Coding, level: int, device: str, sharp: bool
) -> tuple[Floats, list[Mask]]:
    """Whole fields of cells, and where values are missing on the source grid."""
    model = _model_of(coding)
    decode = partial(
        model.coder(device).decode,
        level=level,
        bottleneck=coding.bottleneck,
        variable=model.card.variable_index(coding.variable),
        sharp=sharp,
    )
    with _NETWORK:
        fields, trails = unchain(payloads, coding, model, level, device)
        if any(trails):
            pairs = zip(fields, trails, strict=True)
            cells = np.concatenate([decode([field], after=after) for field, after in pairs])
        else:
            cells = decode(fields)
    return in_units(cells, fields), masks_of(fields, coding)


def _model_of(coding: Coding) -> Model:
    """Model of a coding, which must have the level that the coding says."""
    model = load_model(coding.model, coding.weights)
    if (finest := model.card.architecture["level"]) < coding.level:
        raise FormatError(
            f"expected a 'level' up to {finest}, the finest of model '{coding.model}'; got "
            f"{coding.level}. The store is damaged."
        )
    return model
