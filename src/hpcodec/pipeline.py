"""The stages in order, and back, for the fields of one chunk.

    values -> to_healpix -> normalise -> encode -> pack -> payloads
    payloads -> unpack -> decode(level) -> denormalise -> to_latlon -> values

Reading files and writing stores is on either side: :mod:`hpcodec.compress`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError, LevelError, UsageError
from hpcodec.fields import Coding, CompressedField, FieldSpec, Scaling
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL
from hpcodec.models import Model, choose_model, load_model
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import denormalise, measure_scaling, normalise
from hpcodec.stages.wire import pack, prefix_size, read_header, unpack

__all__ = [
    "Encoded",
    "coding_for",
    "decode_cells",
    "decode_fields",
    "encode_fields",
    "split_payloads",
]

Floats = npt.NDArray[np.float32]

# A payload that fills this part of its bytes is full enough to stop the search for its step.
_FULL = 0.97
_TRIALS = 6
_STEPS = (2.0**-8, 2.0**14)

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
        ``(n, rows, columns)``, what decoding them gives on the source grid.
    floor : ndarray of float32
        ``(n, rows, columns)``, what the remap alone would give.
    """

    payloads: list[bytes]
    decoded: Floats
    floor: Floats


def coding_for(
    spec: FieldSpec,
    size: int,
    *,
    model: str = "",
    level: int | None = None,
    remap: str = "least_squares",
) -> Coding:
    """Coding of a variable in ``size`` bytes a field.

    Parameters
    ----------
    spec : FieldSpec
        The variable.
    size : int
        Bytes that a compressed field may take.
    model : str
        Name of the model; empty for the one that suits the variable.
    level : int, optional
        HEALPix level to remap to; by default the grid's own, at most the model's finest.
    remap : str
        Method of :mod:`hpcodec.stages.healpix`.

    Raises
    ------
    ModelError
        If the model is unknown.
    LevelError
        If ``level`` is not one that the model takes.
    """
    loaded = load_model(model or choose_model(spec))
    finest = int(loaded.card.architecture["level"])
    chosen = min(spec.grid.natural_level, finest) if level is None else level
    if not BASE_LEVEL < chosen <= finest:
        raise LevelError(
            f"expected a level from {BASE_LEVEL + 1} to {finest}, the finest of "
            f"'{loaded.card.name}'; got {chosen}. Choose one of these."
        )
    bottleneck, _ = loaded.card.best_bottleneck(size, chosen)
    return Coding(
        model=loaded.card.name,
        weights=loaded.card.weights,
        grid=spec.grid,
        level=chosen,
        size=size,
        bottleneck=bottleneck,
        variable=spec.standard_name if loaded.card.variable_index(spec.standard_name) else "",
        remap=remap,
    )


def encode_fields(values: Floats, coding: Coding, device: str = "auto") -> Encoded:
    """Compress fields, each into at most ``coding.size`` bytes.

    Parameters
    ----------
    values : ndarray of float32
        ``(n, rows, columns)`` on the coding's grid, finite.
    coding : Coding
        From :func:`coding_for`.
    device : str
        Torch device, or ``auto``.

    Raises
    ------
    MissingValueError
        If a value is missing or infinite.
    UsageError
        If the fields cannot be had in so few bytes.
    """
    model = load_model(coding.model, coding.weights)
    remap = remap_for(coding.grid, coding.level, coding.remap)
    cells = remap.to_healpix(values)
    scaling = [measure_scaling(one) for one in cells]
    with _NETWORK:
        payloads, decoded = _fit(normalise(cells, scaling), scaling, coding, model, device)
    return Encoded(
        payloads=payloads,
        decoded=remap.to_latlon(denormalise(decoded, scaling)),
        floor=remap.to_latlon(cells),
    )


def _fit(
    cells: Floats, scaling: Sequence[Scaling], coding: Coding, model: Model, device: str
) -> tuple[list[bytes], Floats]:
    """Payloads with the finest steps found that fit, and the cells they decode to.

    Sizes fall with the step about as a power does: each trial aims by the two nearest known.
    """
    coder, variable = model.coder(device), model.card.variable_index(coding.variable)
    _, expected = model.card.best_bottleneck(coding.size, coding.level)
    searches = [_StepSearch(coding.size, expected.step) for _ in cells]
    payloads = [b""] * len(cells)
    decoded = np.empty_like(cells)
    while pending := [i for i, search in enumerate(searches) if not search.done]:
        fields, fresh = coder.encode(
            cells[pending],
            scaling=[scaling[i] for i in pending],
            bottleneck=coding.bottleneck,
            steps=[searches[i].step for i in pending],
            variable=variable,
        )
        for i, field, values in zip(pending, fields, fresh, strict=True):
            payload = pack(field, model.tables)
            if searches[i].tell(len(payload)):
                payloads[i], decoded[i] = payload, values
    return payloads, decoded


class _StepSearch:
    """The finest quantisation step whose payload fits in ``size`` bytes."""

    def __init__(self, size: int, step: float) -> None:
        self._size = size
        self._known: dict[float, int] = {}
        self.step = float(np.clip(step, *_STEPS))
        self.done = False

    def tell(self, length: int) -> bool:
        """Take the length of the payload at ``step``; whether it is the best so far."""
        self._known[self.step] = length
        fits = [step for step, size in self._known.items() if size <= self._size]
        best = bool(fits) and self.step == min(fits)
        full = best and length >= _FULL * self._size
        finest = best and self.step <= _STEPS[0]
        self.done = full or finest or (bool(fits) and len(self._known) >= _TRIALS)
        if not fits and self.step >= _STEPS[1]:
            raise UsageError(
                f"expected a field that fits in {self._size} bytes; its smallest payload has "
                f"{length}. Choose a smaller ratio."
            )
        self.step = self._aim()
        # The aim may fall on what is known already: no finer step is to be found.
        self.done = self.done or (bool(fits) and self.step in self._known)
        return best

    def _aim(self) -> float:
        logs = sorted((np.log(step), np.log(size)) for step, size in self._known.items())
        target = np.log(self._size * (1 + _FULL) / 2)
        above = [log for log in logs if log[1] > np.log(self._size)]
        below = [log for log in logs if log[1] <= np.log(self._size)]
        if above and below:
            (x0, y0), (x1, y1) = above[-1], below[0]
            share = (y0 - target) / (y0 - y1) if y0 > y1 else 0.5
            aim = x0 + np.clip(share, 0.05, 0.95) * (x1 - x0)
        else:
            x0, y0 = logs[-1] if above else logs[0]
            aim = x0 + np.clip((y0 - target) * 1.3, -3, 3)
            aim += 0.05 * len(logs) * np.sign(aim - x0)
        return float(np.clip(np.exp(aim), *_STEPS))


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
