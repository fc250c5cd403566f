"""The stages in order, and back, for the fields of one chunk.

    values -> to_healpix -> fit (normalise -> encode -> pack, a few times) -> payloads
    payloads -> unpack -> decode(level) -> denormalise -> to_latlon -> values

Reading files and writing stores is on either side: :mod:`hpcodec.compression`.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError, LevelError
from hpcodec.fields import Coding, CompressedField, FieldSpec, Scaling
from hpcodec.fitting import Errors, fit
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL
from hpcodec.models import choose_model, load_model
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import denormalise, measure_scaling
from hpcodec.stages.wire import prefix_size, read_header, unpack
from hpcodec.step_search import AS_EXPECTED, Hint

__all__ = [
    "Encoded",
    "coding_for",
    "decode_cells",
    "decode_fields",
    "encode_cells",
    "encode_fields",
    "split_payloads",
]

Floats = npt.NDArray[np.float32]


# Torch uses all cores for one batch; two at a time would only take more memory.
_NETWORK = threading.Lock()


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
    """

    payloads: list[bytes]
    decoded: Floats
    floor: Floats
    hint: Hint


def coding_for(
    spec: FieldSpec,
    size: int,
    *,
    rmse: float = 0.0,
    model: str = "",
    level: int | None = None,
    bottleneck: int | None = None,
    remap: str = "least_squares",
) -> Coding:
    """Coding of a variable in ``size`` bytes a field, or with an RMSE of ``rmse``.

    Parameters
    ----------
    spec : FieldSpec
        The variable.
    size : int
        Bytes that a compressed field may take.
    rmse : float
        Error that a field may have, in its unit; 0 for as little as the bytes allow.
    model : str
        Name of the model; empty for the one that suits the variable.
    level : int, optional
        HEALPix level to remap to; by default the grid's own, at most the model's finest.
    bottleneck : int, optional
        Finest level to code; by default the one with the least error on the validation fields,
        or, by error, ``level``: no coarser one can do without any error.
    remap : str
        Method of :mod:`hpcodec.stages.healpix`.

    Raises
    ------
    ModelError
        If the model is unknown.
    LevelError
        If ``level`` or ``bottleneck`` is not one that the model takes.
    """
    loaded = load_model(model or choose_model(spec))
    finest = int(loaded.card.architecture["level"])
    chosen = min(spec.grid.natural_level, finest) if level is None else level
    if not BASE_LEVEL < chosen <= finest:
        raise LevelError(
            f"expected a level from {BASE_LEVEL + 1} to {finest}, the finest of "
            f"'{loaded.card.name}'; got {chosen}. Choose one of these."
        )
    if bottleneck is None:
        bottleneck = chosen if rmse else loaded.card.best_bottleneck(size, chosen)[0]
    if not BASE_LEVEL <= bottleneck <= chosen:
        raise LevelError(
            f"expected a bottleneck level from {BASE_LEVEL} to {chosen}, the level of the "
            f"remapped field; got {bottleneck}. Choose one of these."
        )
    return Coding(
        model=loaded.card.name,
        weights=loaded.card.weights,
        grid=spec.grid,
        level=chosen,
        size=size,
        bottleneck=bottleneck,
        variable=spec.standard_name if loaded.card.variable_index(spec.standard_name) else "",
        remap=remap,
        rmse=rmse,
    )


def encode_fields(
    values: Floats, coding: Coding, device: str = "auto", hint: Hint = AS_EXPECTED
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

    Raises
    ------
    MissingValueError
        If a value is missing or infinite.
    UsageError
        If the fields cannot be had in so few bytes, or with so small an error.
    """
    remap = remap_for(coding.grid, coding.level, coding.remap)
    weights = coding.grid.area_weights
    cells = remap.to_healpix(values)
    floor = remap.to_latlon(cells)

    def errors_of(i: int) -> Errors:
        def rmse(decoded: Floats) -> float:
            return _rmse(remap.to_latlon(decoded), values[i : i + 1], weights)

        return Errors(_rmse(floor[i : i + 1], values[i : i + 1], weights), rmse)

    encoded = _encode(cells, coding, device, hint, errors_of)
    return dataclasses.replace(encoded, decoded=remap.to_latlon(encoded.decoded), floor=floor)


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
        return Errors(0.0, lambda decoded: _rmse(decoded, cells[i : i + 1], np.ones(1)))

    return _encode(cells, coding, device, hint, errors_of)


def _encode(
    cells: Floats, coding: Coding, device: str, hint: Hint, errors_of: Callable[[int], Errors]
) -> Encoded:
    """Field by field: each shows where to look for the next."""
    model = load_model(coding.model, coding.weights)
    payloads, decoded = [], np.empty_like(cells)
    for i, one in enumerate(cells):
        scaling = measure_scaling(one)
        with _NETWORK:
            fitted = fit(one, scaling, coding, model, device, errors=errors_of(i), hint=hint)
        payloads.append(fitted.payload)
        decoded[i], hint = fitted.decoded, fitted.hint
    return Encoded(payloads, decoded, cells, hint)


def _rmse(decoded: Floats, truth: Floats, weights: npt.NDArray[np.float64]) -> float:
    error = decoded.astype(np.float64) - truth
    return float(np.sqrt(np.mean(weights * error**2)))


def decode_cells(
    payloads: Sequence[bytes], coding: Coding, level: int, device: str = "auto"
) -> Floats:
    """Fields on the HEALPix cells of a level.

    Parameters
    ----------
    payloads : sequence of bytes
        Of one field each: whole, or the prefixes that ``level`` needs.
    coding : Coding
        As when encoding.
    level : int
        From 3 to the model's finest; beyond the source's own, the model's prediction.
    device : str
        Torch device, or ``auto``.

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
    model = load_model(coding.model, coding.weights)
    fields = [unpack(payload, model.tables, max(level, BASE_LEVEL)) for payload in payloads]
    bottlenecks = {read_header(payload).bottleneck for payload in payloads}
    if bottlenecks != {coding.bottleneck}:
        raise FormatError(
            f"expected payloads with bottleneck level {coding.bottleneck}; got "
            f"{sorted(bottlenecks)}. The store is damaged."
        )
    with _NETWORK:
        cells = model.coder(device).decode(
            fields,
            level,
            bottleneck=coding.bottleneck,
            variable=model.card.variable_index(coding.variable),
        )
    return denormalise(cells, [_scaling(field) for field in fields])


def decode_fields(payloads: Sequence[bytes], coding: Coding, device: str = "auto") -> Floats:
    """Fields on the source grid, ``(n, rows, columns)`` float32; see :func:`decode_cells`."""
    cells = decode_cells(payloads, coding, coding.level, device)
    return remap_for(coding.grid, coding.level, coding.remap).to_latlon(cells)


def split_payloads(chunk: bytes) -> list[bytes]:
    """Payloads of a chunk of several fields, which stand one after the other.

    Raises
    ------
    FormatError
        If the chunk ends within one.
    """
    payloads = []
    while chunk:
        size = prefix_size(chunk, FINEST_LEVEL)
        payloads.append(chunk[:size])
        chunk = chunk[size:]
    return payloads


def _scaling(field: CompressedField) -> Scaling:
    return Scaling(field.offset, field.scale)
