"""What payloads say without a network: their symbols, units and masks, and the base field.

payloads --chain_of, unpacked--> CompressedField, ... --decode_base--> cells of level 3
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hpcodec.base_field import base_cells
from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import FormatError
from hpcodec.fields import Coding, CompressedField, Scaling
from hpcodec.grid import BASE_LEVEL
from hpcodec.mask_table import MaskTable, without_missing
from hpcodec.masks import Mask
from hpcodec.stages.normalise import denormalise, lowered
from hpcodec.stages.wire import read_header, split_payloads, unpack

__all__ = ["chain_of", "decode_base", "in_units", "is_detailed", "masks_of", "unpacked"]


def chain_of(payload: bytes, coding: Coding) -> list[bytes]:
    """Payloads of a field and of those of its chunk that it follows, its own last."""
    return split_payloads(payload) if coding.key_every > 1 else [payload]


def is_detailed(payload: bytes, coding: Coding) -> bool:
    """Whether a payload has nothing but the base field, and a detail for all else."""
    header = read_header(payload)
    return bool(coding.detail and header.bottleneck == BASE_LEVEL and header.correction)


def unpacked(
    payload: bytes, coding: Coding, entropy: EntropyModel | None, level: int
) -> CompressedField:
    """Compressed field of a payload, its levels up to ``level``.

    Raises
    ------
    FormatError
        If it is damaged, or of another bottleneck than the coding says.
    """
    got = read_header(payload).bottleneck
    if got != coding.bottleneck and not is_detailed(payload, coding):
        raise FormatError(
            f"expected payloads with bottleneck level {coding.bottleneck}; got {got}. The store "
            "is damaged."
        )
    return unpack(payload, entropy, max(level, BASE_LEVEL))


def in_units(
    cells: npt.NDArray[np.float32], fields: Sequence[CompressedField], exponent: float
) -> npt.NDArray[np.float32]:
    """Normalised cells ``(n, cells)`` of so many fields in the variable's unit.

    ``exponent`` is that of their coding.

    Raises
    ------
    FormatError
        If they are out of what float32 holds: no field was compressed to such symbols.
    """
    scalings = [Scaling(field.offset, field.scale) for field in fields]
    with np.errstate(all="ignore"):
        values = lowered(denormalise(cells, scalings), exponent)
    if not np.isfinite(values).all():
        raise FormatError("expected finite fields; got others. The store is damaged.")
    return values


def masks_of(fields: Sequence[CompressedField], coding: Coding) -> list[Mask]:
    """Where each of so many fields has no values on the source grid.

    Raises
    ------
    FormatError
        If a mask is damaged, or not there.
    """
    table = MaskTable(coding.grid.sheet_shape, coding.masks)
    return [table.get(field.mask, field.mask_code) for field in fields]


def decode_base(payloads: Sequence[bytes], coding: Coding) -> npt.NDArray[np.float32]:
    """Base fields, ``(n, 768)`` float32, nested order, the variable's unit.

    NaN in cells most of which has no value.

    Parameters
    ----------
    payloads : sequence of bytes
        As for :func:`hpcodec.decoding.decode_cells`.
    coding : Coding
        As when encoding. Its model need not be installed.

    Raises
    ------
    FormatError
        If a payload is damaged.
    """
    cells, owns = [], []
    for payload in payloads:
        chain = [unpacked(one, coding, None, BASE_LEVEL) for one in chain_of(payload, coding)]
        # Within a chunk, each field on its own begins anew.
        first = max((at for at, field in enumerate(chain) if not field.carry), default=0)
        cells.append(base_cells(chain[first:]))
        owns.append(chain[-1])
    found = in_units(np.stack(cells), owns, coding.exponent)
    return without_missing(found, masks_of(owns, coding), coding.grid, coding.level)
