"""How a variable is to be coded: model, level, bottleneck, and the bytes or the error of a field.

FieldSpec, options --coding_for--> Coding
"""

from __future__ import annotations

from hpcodec.errors import LevelError, UsageError
from hpcodec.fields import MOST_TOGETHER, Coding, FieldSpec
from hpcodec.grid import BASE_LEVEL
from hpcodec.models import choose_model, load_model
from hpcodec.stages.healpix import remap_for

__all__ = ["coding_for"]


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
    key_every : int
        Fields of a chunk, each but the first following the one before it.

    Raises
    ------
    ModelError
        If the model is unknown.
    LevelError
        If ``level`` or ``bottleneck`` is not one that the model takes.
    UsageError
        If ``key_every`` is not within 1 to 256, or ``remap`` is unknown.
    """
    if not 1 <= key_every <= MOST_TOGETHER:
        raise UsageError(f"expected a key field every 1 to {MOST_TOGETHER}; got {key_every}.")
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
        remap=remap_for(spec.grid, chosen, remap).method,
        rmse=rmse,
        key_every=key_every,
        finest=finest,
    )
