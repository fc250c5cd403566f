"""How a variable is to be coded: model, level, bottleneck, and the bytes or the error of a field.

FieldSpec, options --coding_for--> Coding;   dataset, FieldSpec --frequent_masks--> its masks
"""

from __future__ import annotations

from math import prod

import xarray as xr

from hpcodec.errors import LevelError, UsageError
from hpcodec.fields import MOST_TOGETHER, Coding, FieldSpec
from hpcodec.grid import BASE_LEVEL, LatLonGrid
from hpcodec.mask_table import MaskTable
from hpcodec.masks import Mask
from hpcodec.models import choose_model, load_model
from hpcodec.stages.dataset import read_stored
from hpcodec.stages.healpix import remap_for

__all__ = ["LEAST_EXPONENT", "coding_for", "frequent_masks"]

# From so large a ratio on, and for fields so smooth, the grid's own level holds all that is coded.
_FEW = 50
_SMOOTH = ("geopotential", "geopotential_height")

LEAST_EXPONENT = 0.2
"""Below it, small values take all bytes."""

# Measured on precipitation of the validation and training fields, docs/design/rate.md.
_PRECIPITATION = 0.85
_NAMES = ("tp", "tprate", "mtpr", "pr", "prate", "precip", "precipitation", "cp", "lsp")
_KINDS = ("precipitation", "rainfall")


def coding_for(
    spec: FieldSpec,
    size: int,
    *,
    rmse: float = 0.0,
    model: str = "",
    level: int | None = None,
    bottleneck: int | None = None,
    remap: str = "least_squares",
    key_every: int = 1,
    max_error: float = 0.0,
    max_rel_error: float = 0.0,
    effort: int = 0,
    exponent: float | None = None,
) -> Coding:
    """Coding of a variable in ``size`` bytes a field, or with an RMSE of ``rmse``.

    Or with a bound on the error of points and nothing else: then ``size`` is the field as float32.

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
        HEALPix level to remap to; by default the grid's own or, where bytes are many and the
        network has to do with them, one finer; at most the model's finest.
    bottleneck : int, optional
        Finest level to code; by default the one with the least error on the validation fields,
        or, by error or bound, ``level``: no coarser one can do without any error. Given, it also
        says that no field is to be coded as a detail.
    remap : str
        Method of :mod:`hpcodec.stages.healpix`.
    key_every : int
        Fields of a chunk, each but the first following the one before it.
    max_error, max_rel_error : float
        Error that any point may have, in the variable's unit, and relative to the range of each
        field; 0 for any.
    effort : int
        1 to refine symbols by a gradient through the decoder.
    exponent : float, optional
        Power that values are raised to before they are coded, 0.2 to 1; by default 0.85 for
        precipitation and 1 for all else.

    Raises
    ------
    ModelError
        If the model is unknown.
    LevelError
        If ``level`` or ``bottleneck`` is not one that the model takes.
    UsageError
        If ``key_every`` is not within 1 to 256, ``effort`` not 0 or 1, ``exponent`` not 0.2 to 1,
        or ``remap`` is unknown.
    """
    if not 1 <= key_every <= MOST_TOGETHER:
        raise UsageError(f"expected a key field every 1 to {MOST_TOGETHER}; got {key_every}.")
    if effort not in (0, 1):
        raise UsageError(f"expected an effort of 0 or 1; got {effort}.")
    if exponent is not None and not LEAST_EXPONENT <= exponent <= 1:
        raise UsageError(f"expected an exponent from {LEAST_EXPONENT} to 1; got {exponent:g}.")
    loaded = load_model(model or choose_model(spec))
    finest = int(loaded.card.architecture["level"])
    rows = isinstance(spec.grid, LatLonGrid)  # what wavelets run along
    detail = int(bottleneck is None and key_every == 1 and rows)
    chosen = _level_for(spec, size, detail, finest) if level is None else level
    if not BASE_LEVEL < chosen <= finest:
        raise LevelError(
            f"expected a level from {BASE_LEVEL + 1} to {finest}, the finest of "
            f"'{loaded.card.name}'; got {chosen}. Choose one of these."
        )
    if bottleneck is None:
        by_bytes = size < 4 * prod(spec.grid.shape) or not (max_error or max_rel_error)
        all_levels = bool(rmse) or not by_bytes
        bottleneck = chosen if all_levels else loaded.card.best_bottleneck(size, chosen)[0]
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
        remap=remap_for(spec.grid, chosen, remap).method,
        rmse=rmse,
        key_every=key_every,
        packing=spec.packing,
        max_error=max_error,
        max_rel_error=max_rel_error,
        effort=effort,
        exponent=_exponent_for(spec) if exponent is None else exponent,
        detail=detail,
    )


def _level_for(spec: FieldSpec, size: int, detail: int, finest: int) -> int:
    """Level to remap to: one finer than the grid's own, where bytes are enough to fill it.

    Where they are and a field may have a detail, that is better. How it was chosen:
    docs/design/rate.md.
    """
    few = size * _FEW < 4 * prod(spec.grid.shape)
    own = detail or few or spec.standard_name in _SMOOTH
    level = spec.grid.natural_level if own else spec.grid.fine_level
    return max(BASE_LEVEL + 1, min(level, finest))


def _exponent_for(spec: FieldSpec) -> float:
    """Of the variable: rain is known by its CF standard name, or where it has none by its own."""
    told = spec.standard_name
    rain = any(kind in told for kind in _KINDS) if told else spec.name.lower() in _NAMES
    return _PRECIPITATION if rain else 1.0


def frequent_masks(dataset: xr.Dataset, spec: FieldSpec) -> tuple[str, ...]:
    """Masks that fields share, for :class:`Coding` to have once.

    Sought in the first, middle and last time, so that no more than these is read twice.
    """
    times, others = (*spec.leading_shape, 1)[0], prod(spec.leading_shape[1:])
    masks = (
        Mask.of(spec.grid.sheet(read_stored(dataset, spec, step, step + 1)[0]), spec.packing)
        for time in sorted({0, times // 2, times - 1})
        for step in range(time * others, (time + 1) * others)
    )
    return MaskTable.of(spec.grid.sheet_shape, masks).codes if spec.steps > 1 else ()
