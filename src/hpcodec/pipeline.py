"""The stages in order, and back, for the fields of one chunk.

    values -> to_healpix -> fit (normalise -> encode -> pack -> correct, a few times) -> payloads
    payloads -> unpack -> decode(level) -> denormalise -> to_latlon -> within -> correct -> values

Reading files and writing stores is on either side: :mod:`hpcodec.compression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from hpcodec.arithmetic import plain_float32
from hpcodec.chains import Followed, last_of, unchain
from hpcodec.coarse import decode_base, in_units
from hpcodec.correction import corrected
from hpcodec.errors import FormatError, UsageError
from hpcodec.fields import Coding, Range
from hpcodec.fitting import fit
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.judge import Judge
from hpcodec.models import Model, load_model, resolve_device
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import alike, measure_limits, measure_scaling, raised, within
from hpcodec.stages.wire import correction_in
from hpcodec.step_search import AS_EXPECTED, Hint

__all__ = [
    "Encoded",
    "Followed",
    "decode_cells",
    "decode_fields",
    "encode_cells",
    "encode_fields",
]

Floats = npt.NDArray[np.float32]


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

    Where the coding has a bound, a correction comes on top. With nothing else asked for, the two
    together are as small as a few trials make them.

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
    bounds = [coding.bound(one) if coding.bounded else None for one in values]
    judges = [
        Judge(one[None], *where, limit, bound)
        for one, limit, bound in zip(values, limits, bounds, strict=True)
    ]
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

    Raises
    ------
    UsageError
        As for :func:`encode_fields`; or if the coding has a bound, which holds on a grid only.
    """
    if coding.bounded:
        raise UsageError("expected a coding without a bound for cells; got one. Leave it out.")
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
    model, coder_device = load_model(coding.model, coding.weights), resolve_device(device)
    payloads, decoded, floor = [], [], []
    for one, judge in zip(cells, judges, strict=True):
        scaling = measure_scaling(one)
        if last and not alike(scaling, last.scaling):
            last = None
        scaling, after = (last.scaling, last.trail) if last else (scaling, None)
        with plain_float32(coder_device):
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
        decoded.append(_corrected(judge.shown(fitted.decoded[None]), [fitted.payload]))
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
        From 3, which needs no model, to the model's finest; beyond the source's own, the model's
        prediction.
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
    ModelError
        If the model is not installed.
    """
    if level == BASE_LEVEL:
        return decode_base(payloads, coding)
    # Means of powers are not the powers of means: these need all levels.
    whole = level if coding.exponent == 1 else max(level, coding.level)
    cells, _ = _decode(payloads, coding, whole, device, sharp=sharp)
    parts = cells.reshape(len(cells), cell_count(level), -1)
    return np.asarray(parts.mean(-1, dtype=np.float64), np.float32) if whole > level else cells


def _decode(
    payloads: Sequence[bytes], coding: Coding, level: int, device: str, *, sharp: bool
) -> tuple[Floats, list[Range]]:
    """Cells, and the limits of their fields.

    Limits are for the source grid: cells reach beyond them so that what lies between comes out
    right, and so that coarser levels are the means of finer ones.
    """
    model, coder_device = _model_of(coding), resolve_device(device)
    decode = partial(
        model.coder(device).decode,
        level=level,
        bottleneck=coding.bottleneck,
        variable=model.card.variable_index(coding.variable),
        sharp=sharp,
    )
    with plain_float32(coder_device):
        fields, trails = unchain(payloads, coding, model, level, device)
        if any(trails):
            pairs = zip(fields, trails, strict=True)
            cells = np.concatenate([decode([field], after=after) for field, after in pairs])
        else:
            cells = decode(fields)
    return in_units(cells, fields, coding.exponent), [field.limits for field in fields]


def _model_of(coding: Coding) -> Model:
    """Model of a coding, which must have the level that the coding says."""
    model = load_model(coding.model, coding.weights)
    if (finest := model.card.architecture["level"]) < coding.level:
        raise FormatError(
            f"expected a 'level' up to {finest}, the finest of model '{coding.model}'; got "
            f"{coding.level}. The store is damaged."
        )
    return model


def decode_fields(
    payloads: Sequence[bytes], coding: Coding, device: str = "auto", *, sharp: bool = False
) -> Floats:
    """Fields on the source grid, ``(n, rows, columns)`` float32; see :func:`decode_cells`.

    With their corrections, where they have a bound. These are none of a field made sharp.

    Raises
    ------
    UsageError
        If a field that has a bound is to be made sharp.
    """
    if sharp and coding.bounded:
        raise UsageError(
            "expected no sharpening of fields whose error has a bound: it would break the bound. "
            "Leave it out, or decompress to a HEALPix level."
        )
    cells, limits = _decode(payloads, coding, coding.level, device, sharp=sharp)
    remap = remap_for(coding.grid, coding.level, coding.remap)
    fields = within(remap.to_latlon(cells), limits)
    return _corrected(fields, [last_of(payload, coding) for payload in payloads])


def _corrected(fields: Floats, payloads: Sequence[bytes]) -> Floats:
    for i, payload in enumerate(payloads):
        fields[i] = corrected(fields[i], correction_in(payload))
    return fields
