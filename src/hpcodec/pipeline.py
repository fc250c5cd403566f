"""The stages in order, for the fields of one chunk.

    stored -> fill -> to_healpix -> fit (normalise -> encode -> pack -> correct) -> payloads

Back: :mod:`hpcodec.decoding`. Reading files and writing stores is on either side:
:mod:`hpcodec.compression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.arithmetic import plain_float32
from hpcodec.chains import Followed
from hpcodec.decoding import with_corrections
from hpcodec.detail import split_detail
from hpcodec.errors import UsageError
from hpcodec.fields import Coding
from hpcodec.judge import Judge
from hpcodec.mask_table import MaskTable
from hpcodec.masks import Mask
from hpcodec.missing import fill_smoothly
from hpcodec.models import load_model, resolve_device
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import alike, measure_limits, measure_scaling, raised
from hpcodec.stages.wire import correction_in
from hpcodec.step_search import AS_EXPECTED, Hint
from hpcodec.ways import fit_either

__all__ = ["Encoded", "Followed", "encode_cells", "encode_fields"]

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
    table, values = MaskTable(grid.sheet_shape, coding.masks), packing.finite(sheets)
    filled, judges = list[Floats](), list[Judge]()
    for number, one in enumerate(values):
        truth = np.where(np.isfinite(one), packing.unpack(sheets[number]), np.nan)
        limits = measure_limits(one[None][:, np.isfinite(one)])[0]
        bound = coding.bound(truth) if coding.bounded else None
        mask = Mask.of(sheets[number], packing)
        shown = *where, limits, bound, packing, mask, table.find(mask)
        filled.append(fill_smoothly(one))
        judges.append(Judge(truth[None], *shown, filled[-1] if coding.detail else None))
    cells = remap.to_healpix(grid.unsheet(np.stack(filled)))
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
            fitted = fit_either(
                one, scaling, coding, model, device, judge=judge, hint=hint, after=after
            )
            if coding.key_every > 1:
                last = Followed(scaling, model.coder(device).trail(fitted.field, after))
        payloads.append(fitted.payload)
        decoded.append(judge.stored(with_corrections(fitted.shown, [fitted.payload])))
        exact = judge.filled if fitted.hint.detailed else None
        floor.append(judge.stored(judge.shown(one[None]) if exact is None else exact[None]))
        hint = fitted.hint
    masks = sum(len(judge.told[1]) for judge in judges)
    sizes = masks, sum(len(split_detail(correction_in(one))[1]) for one in payloads)
    return Encoded(payloads, np.concatenate(decoded), np.concatenate(floor), hint, last, *sizes)
