"""The stages in order, and back, for the fields of one chunk.

    stored -> fill -> to_healpix -> fit (normalise -> encode -> pack -> correct) -> payloads
    payloads -> unpack -> decode(level) -> denormalise -> to_grid -> correct -> restore -> stored

Reading files and writing stores is on either side: :mod:`hpcodec.compression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.arithmetic import plain_float32
from hpcodec.chains import Followed, last_of, unchain
from hpcodec.coarse import decode_base, in_units, masks_of
from hpcodec.correction import corrected
from hpcodec.errors import UsageError
from hpcodec.fields import Coding, CompressedField
from hpcodec.fitting import fit
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.judge import Judge
from hpcodec.mask_table import MaskTable, restored, without_missing
from hpcodec.masks import Mask
from hpcodec.missing import fill_smoothly
from hpcodec.models import load_model, model_for, resolve_device
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import alike, measure_limits, measure_scaling, raised, within
from hpcodec.stages.wire import correction_in, read_header
from hpcodec.step_search import AS_EXPECTED, Hint

__all__ = ["Encoded", "Followed", "decode_cells", "decode_fields", "encode_cells", "encode_fields"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Fields of a chunk after encoding.

    Parameters
    ----------
    payloads : list of bytes
        One for each field.
    decoded : ndarray
        What decoding them gives: ``(n, *grid.shape)`` of stored numbers or, from cells,
        ``(n, cells)`` of float32.
    floor : ndarray
        What the remap alone would give, likewise.
    hint : Hint
        What the last field says of fields like it.
    last : Followed, optional
        What a field needs that follows the last one.
    mask_bytes, correction_bytes : int
        Of the payloads, what tells where values are missing, and what keeps a bound.
    """

    payloads: list[bytes]
    decoded: npt.NDArray[Any]
    floor: npt.NDArray[Any]
    hint: Hint
    last: Followed | None = None
    mask_bytes: int = 0
    correction_bytes: int = 0


def encode_fields(
    stored: npt.NDArray[Any],
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
    stored : ndarray
        ``(n, *grid.shape)`` on the coding's grid, numbers of the coding's packing. What is
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
    grid, packing = coding.grid, coding.packing
    remap, sheets = remap_for(grid, coding.level, coding.remap), grid.sheet(stored)
    where = lambda cells: grid.sheet(remap.to_grid(cells)), grid.sheet_weights, coding.exponent
    table, values, judges = MaskTable(grid.sheet_shape, coding.masks), packing.finite(sheets), []
    for number, one in enumerate(values):
        truth = np.where(np.isfinite(one), packing.unpack(sheets[number]), np.nan)
        limits = measure_limits(one[None][:, np.isfinite(one)])[0]
        bound = coding.bound(truth) if coding.bounded else None
        mask = Mask.of(sheets[number], packing)
        shown = *where, limits, bound, packing, mask, table.find(mask)
        judges.append(Judge(truth[None], *shown))
    cells = remap.to_healpix(grid.unsheet(np.stack([fill_smoothly(one) for one in values])))
    encoded = _encode(raised(cells, coding.exponent), judges, coding, device, hint, last)
    decoded, floor = (grid.unsheet(sheets) for sheets in (encoded.decoded, encoded.floor))
    return replace(encoded, decoded=decoded, floor=floor)


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
        field = _corrected(judge.shown(fitted.decoded[None]), [fitted.payload])
        decoded.append(judge.stored(field))
        floor.append(judge.stored(judge.shown(one[None])))
        hint = fitted.hint
    masks = sum(len(judge.told[1]) for judge in judges)
    sizes = masks, sum(read_header(payload).correction for payload in payloads)
    return Encoded(payloads, np.concatenate(decoded), np.concatenate(floor), hint, last, *sizes)


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
    cells, fields = decode_smooth(payloads, coding, level, device, sharp=sharp)
    return without_missing(cells, masks_of(fields, coding), coding.grid, coding.level)


def decode_smooth(
    payloads: Sequence[bytes], coding: Coding, level: int, device: str, *, sharp: bool
) -> tuple[Floats, list[CompressedField]]:
    """As :func:`decode_cells`, with a surface where values are missing; and what was decoded."""
    # Means of powers are not the powers of means: these need all levels.
    whole = level if coding.exponent == 1 else max(level, coding.level)
    cells, fields = _decode(payloads, coding, whole, device, sharp=sharp)
    if whole > level:
        parts = cells.reshape(len(cells), cell_count(level), -1)
        cells = np.asarray(parts.mean(-1, dtype=np.float64), np.float32)
    return cells, fields


def _decode(
    payloads: Sequence[bytes], coding: Coding, level: int, device: str, *, sharp: bool
) -> tuple[Floats, list[CompressedField]]:
    """Whole fields of cells, which no limits hold for, and what they were decoded from."""
    model, coder_device = model_for(coding), resolve_device(device)
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
    return in_units(cells, fields, coding.exponent), fields


def decode_fields(
    payloads: Sequence[bytes], coding: Coding, device: str = "auto", *, sharp: bool = False
) -> npt.NDArray[Any]:
    """Fields on the source grid, ``(n, *grid.shape)``, as the source has its numbers stored.

    With their corrections, where they have a bound; these are none of a field made sharp. What was
    missing is what it was, bit for bit. See :func:`decode_cells`.

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
    cells, fields = _decode(payloads, coding, coding.level, device, sharp=sharp)
    remap = remap_for(coding.grid, coding.level, coding.remap)
    values = within(remap.to_grid(cells), [field.limits for field in fields])
    ends = [last_of(payload, coding) for payload in payloads]
    sheets = _corrected(coding.grid.sheet(values), ends)
    return coding.grid.unsheet(restored(sheets, masks_of(fields, coding), coding.packing))


def _corrected(fields: Floats, payloads: Sequence[bytes]) -> Floats:
    for i, payload in enumerate(payloads):
        fields[i] = corrected(fields[i], correction_in(payload))
    return fields
