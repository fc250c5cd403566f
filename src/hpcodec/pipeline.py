"""The stages in order, and back, for the fields of one chunk.

    values -> to_healpix -> fit (normalise -> encode -> pack, a few times) -> payloads
    payloads -> unpack -> decode(level) -> denormalise -> to_latlon -> within -> values

Reading files and writing stores is on either side: :mod:`hpcodec.compression`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError
from hpcodec.fields import Coding, CompressedField, Limits, Scaling
from hpcodec.fitting import Judge, fit
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.models import Model, load_model
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import (
    alike,
    denormalise,
    lowered,
    measure_limits,
    measure_scaling,
    raised,
    within,
)
from hpcodec.stages.wire import read_header, split_payloads, unpack
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
    decoded : ndarray of float32
        What decoding them gives: ``(n, rows, columns)`` or, from cells, ``(n, cells)``.
    floor : ndarray of float32
        What the remap alone would give, of the same shape.
    hint : Hint
        What the last field says of fields like it.
    last : Followed, optional
        What a field needs that follows the last one.
    """

    payloads: list[bytes]
    decoded: Floats
    floor: Floats
    hint: Hint
    last: Followed | None = None


def encode_fields(
    values: Floats,
    coding: Coding,
    device: str = "auto",
    hint: Hint = AS_EXPECTED,
    last: Followed | None = None,
) -> Encoded:
    """Compress fields, each into at most ``coding.size`` bytes or down to ``coding.rmse``.

    Parameters
    ----------
    values : ndarray of float32
        ``(n, rows, columns)`` on the coding's grid, finite.
    coding : Coding
        From :func:`coding_for`. Its error is on the source grid, weighted by the area of points.
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
        If a value is missing or infinite.
    UsageError
        If the fields cannot be had in so few bytes, or with so small an error.
    """
    remap = remap_for(coding.grid, coding.level, coding.remap)
    cells = raised(remap.to_healpix(values), coding.exponent)
    where = remap.to_latlon, coding.grid.area_weights, coding.exponent
    limits = measure_limits(values)
    judges = [Judge(values[i : i + 1], *where, limits[i]) for i in range(len(values))]
    return _encode(cells, judges, coding, device, hint, last)


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
    judges = [Judge(one[None], lambda c: c, np.ones(1), coding.exponent) for one in cells]
    return _encode(raised(cells, coding.exponent), judges, coding, device, hint)


def _encode(
    cells: Floats,
    judges: Sequence[Judge],
    coding: Coding,
    device: str,
    hint: Hint,
    last: Followed | None = None,
) -> Encoded:
    """Field by field: each shows where to look for the next."""
    model = load_model(coding.model, coding.weights)
    payloads, decoded, floor = [], [], []
    for one, judge in zip(cells, judges, strict=True):
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
                judge=judge,
                hint=hint,
                after=after,
            )
            if coding.key_every > 1:
                last = Followed(scaling, model.coder(device).trail(fitted.field, after))
        payloads.append(fitted.payload)
        decoded.append(judge.shown(fitted.decoded[None]))
        floor.append(judge.shown(one[None]))
        hint = fitted.hint
    return Encoded(payloads, np.concatenate(decoded), np.concatenate(floor), hint, last)


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
        From 3 to the model's finest; beyond the source's own, the model's prediction.
    device : str
        Torch device, or ``auto``.
    sharp : bool
        With the power of the original on every level, at the price of a larger error.

    Returns
    -------
    ndarray of float32
        ``(n, 12 * 4**level)``, nested order, the variable's unit.

    Raises
    ------
    FormatError
        If a payload is damaged.
    LevelError
        If the model does not give ``level``.
    """
    # Means of powers are not the powers of means: these need all levels.
    whole = level if coding.exponent == 1 else max(level, coding.level)
    cells, _ = _decode(payloads, coding, whole, device, sharp=sharp)
    parts = cells.reshape(len(cells), cell_count(level), -1)
    return np.asarray(parts.mean(-1, dtype=np.float64), np.float32) if whole > level else cells


def _decode(
    payloads: Sequence[bytes], coding: Coding, level: int, device: str, *, sharp: bool
) -> tuple[Floats, list[Limits]]:
    """Cells, and the limits of their fields.

    Limits are for the source grid: cells reach beyond them so that what lies between comes out
    right, and so that coarser levels are the means of finer ones.
    """
    model = load_model(coding.model, coding.weights)
    decode = partial(
        model.coder(device).decode,
        level=level,
        bottleneck=coding.bottleneck,
        variable=model.card.variable_index(coding.variable),
        sharp=sharp,
    )
    with _NETWORK:
        fields, trails = _unpacked(payloads, coding, model, level, device)
        if any(trails):
            pairs = zip(fields, trails, strict=True)
            cells = np.concatenate([decode([field], after=after) for field, after in pairs])
        else:
            cells = decode(fields)
    cells = denormalise(cells, [Scaling(field.offset, field.scale) for field in fields])
    return lowered(cells, coding.exponent), [field.limits for field in fields]


def _unpacked(
    payloads: Sequence[bytes], coding: Coding, model: Model, level: int, device: str
) -> tuple[list[CompressedField], list[Trail | None]]:
    """Fields of payloads, with the trail of the field that each follows."""
    fields: list[CompressedField] = []
    trails: list[Trail | None] = []
    known, trail = list[bytes](), None
    for payload in payloads:
        *before, own = split_payloads(payload) if coding.key_every > 1 else [payload]
        if before[: len(known)] != known:
            known, trail = [], None
        for earlier in before[len(known) :]:
            field = _unpacked_one(earlier, coding, model, level)
            trail = model.coder(device).trail(field, _after(field, trail))
        known = before
        fields.append(_unpacked_one(own, coding, model, level))
        trails.append(_after(fields[-1], trail))
    return fields, trails


def _after(field: CompressedField, trail: Trail | None) -> Trail | None:
    if not field.carry:
        return None
    if trail is None:
        raise FormatError(
            "expected the field that another follows; the chunk begins with the other. The store "
            "is damaged."
        )
    return trail


def _unpacked_one(payload: bytes, coding: Coding, model: Model, level: int) -> CompressedField:
    if (got := read_header(payload).bottleneck) != coding.bottleneck:
        raise FormatError(
            f"expected payloads with bottleneck level {coding.bottleneck}; got {got}. The store "
            "is damaged."
        )
    return unpack(payload, model.entropy, max(level, BASE_LEVEL))


def decode_fields(
    payloads: Sequence[bytes], coding: Coding, device: str = "auto", *, sharp: bool = False
) -> Floats:
    """Fields on the source grid, ``(n, rows, columns)`` float32; see :func:`decode_cells`."""
    cells, limits = _decode(payloads, coding, coding.level, device, sharp=sharp)
    remap = remap_for(coding.grid, coding.level, coding.remap)
    return within(remap.to_latlon(cells), limits)
