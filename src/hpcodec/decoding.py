"""The stages in order, backwards, for the fields of one chunk.

    payloads -> unpack -> decode(level) -> denormalise -> to_grid -> correct -> restore -> stored
    payloads with details -> base field -> to_grid, add detail -> correct -> restore -> stored

Forth: :mod:`hpcodec.pipeline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.arithmetic import plain_float32
from hpcodec.chains import last_of, unchain
from hpcodec.coarse import decode_base, in_units, is_detailed, masks_of, unpacked
from hpcodec.correction import corrected
from hpcodec.detail import split_detail
from hpcodec.detailing import decode_detailed
from hpcodec.errors import LevelError, UsageError
from hpcodec.fields import Coding, CompressedField
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.mask_table import restored, without_missing
from hpcodec.models import model_for, resolve_device
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import within
from hpcodec.stages.wire import correction_in

__all__ = ["decode_cells", "decode_fields", "decode_smooth", "with_corrections"]

Floats = npt.NDArray[np.float32]


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
    owns = [last_of(payload, coding) for payload in payloads]
    if any(detailed := [is_detailed(own, coding) for own in owns]):
        return _cells_with_details(payloads, detailed, coding, level, device, sharp=sharp)
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
    """Whole fields of cells, and what they were decoded from.

    Limits are for the source grid: cells reach beyond them so that what lies between comes out
    right, and so that coarser levels are the means of finer ones.
    """
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
    owns = [last_of(payload, coding) for payload in payloads]
    found: dict[int, tuple[Floats, CompressedField]] = {}
    rest = [number for number, own in enumerate(owns) if not is_detailed(own, coding)]
    if rest:
        chosen = [payloads[number] for number in rest]
        cells, fields = _decode(chosen, coding, coding.level, device, sharp=sharp)
        shown = remap_for(coding.grid, coding.level, coding.remap).to_grid(cells)
        shown = within(shown, [field.limits for field in fields])
        found = dict(zip(rest, zip(shown, fields, strict=True), strict=True))
    for number, own in enumerate(owns):
        if number not in found:
            found[number] = _detailed(own, coding)
    values, fields = map(list, zip(*(found[number] for number in range(len(owns))), strict=True))
    sheets = with_corrections(coding.grid.sheet(np.stack(values)), owns)
    return coding.grid.unsheet(restored(sheets, masks_of(fields, coding), coding.packing))


def _detailed(payload: bytes, coding: Coding) -> tuple[Floats, CompressedField]:
    """Field ``(rows, columns)`` of a payload that has a detail, and what it was decoded from."""
    field = unpacked(payload, coding, None, BASE_LEVEL)
    return decode_detailed(payload, field, coding, model_for(coding)), field


def _cells_with_details(
    payloads: Sequence[bytes],
    detailed: Sequence[bool],
    coding: Coding,
    level: int,
    device: str,
    *,
    sharp: bool,
) -> tuple[Floats, list[CompressedField]]:
    """Cells of fields some of which have details: those are remapped from their grid."""
    own = int(model_for(coding).card.architecture["level"])
    if not BASE_LEVEL <= level <= own:
        raise LevelError(
            f"level {level} is not one that this model gives ({BASE_LEVEL} to {own}). "
            "Decode at one of these and average or interpolate."
        )
    finest = max(level, coding.level)
    remap, found = remap_for(coding.grid, finest, coding.remap), []
    for payload, has in zip(payloads, detailed, strict=True):
        if not has:
            plain = replace(coding, detail=0)
            cells, (field,) = decode_smooth([payload], plain, level, device, sharp=sharp)
            found.append((cells[0], field))
            continue
        values, field = _detailed(last_of(payload, coding), coding)
        cells = remap.to_healpix(values).reshape(cell_count(level), -1)
        found.append((np.asarray(cells.mean(-1, dtype=np.float64), np.float32), field))
    means, fields = map(list, zip(*found, strict=True))
    return np.stack(means), fields


def with_corrections(fields: Floats, payloads: Sequence[bytes]) -> Floats:
    """Decoded sheets ``(n, rows, columns)``, the correction of each payload added in place."""
    for i, payload in enumerate(payloads):
        fields[i] = corrected(fields[i], split_detail(correction_in(payload))[1])
    return fields
