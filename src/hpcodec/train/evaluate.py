"""Validation: whole spheres, coded to bytes, as the product does it.

ValidationField --encode, pack--> bytes, RMSE  for a few quantisation steps and bottlenecks
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpcodec.entropy.tables import EntropyModel
from hpcodec.fields import CompressedField, Scaling
from hpcodec.networks.field_space import FieldSpaceAutoencoder
from hpcodec.networks.sphere import to_nested
from hpcodec.stages.transform import Coder
from hpcodec.stages.wire import pack
from hpcodec.train.fields import PreparedField, cells_from_faces

__all__ = ["POINTS", "Score", "ValidationField", "evaluate", "load_validation"]

POINTS = ((9, 0.25), (9, 1.0), (8, 2.0), (8, 6.0), (6, 0.5), (4, 2.0))
"""Bottleneck levels and quantisation steps that training is watched at."""


@dataclass(frozen=True, eq=False)
class ValidationField:
    """A normalised field ``(1, cells)`` float32 with its name and scaling."""

    name: str
    cells: npt.NDArray[np.float32]
    level: int
    scale: float
    units: str
    variable: int


@dataclass(frozen=True)
class Score:
    """One field at one operating point.

    Parameters
    ----------
    name : str
        Of the field.
    bottleneck, step
        The operating point; the step in normalised units.
    size : int
        Bytes.
    rmse : float
        On HEALPix cells, the field's unit.
    figure : float
        ``log2(size) + 2 log2(RMSE)``, normalised: what a better model lowers. On these fields
        halving the error costs about four times the bytes.
    """

    name: str
    bottleneck: int
    step: float
    size: int
    rmse: float
    figure: float


def load_validation(
    folder: Path, fields: Sequence[PreparedField], variables: tuple[str, ...]
) -> list[ValidationField]:
    """Validation fields of a prepared folder."""
    loaded = []
    for item in fields:
        faces = cells_from_faces(np.load(folder / item.array, allow_pickle=False), item.unit)
        known = item.standard_name in variables
        loaded.append(
            ValidationField(
                name=f"{item.variable} {Path(item.file).stem}, step {item.step}",
                cells=to_nested(torch.from_numpy(faces)).numpy()[None],
                level=item.level,
                scale=item.scale,
                units=item.units,
                variable=1 + variables.index(item.standard_name) if known else 0,
            )
        )
    return loaded


def evaluate(
    network: FieldSpaceAutoencoder,
    statics: dict[int, Tensor],
    fields: Iterable[ValidationField],
    points: Sequence[tuple[int, float]] = POINTS,
    entropy: EntropyModel | None = None,
) -> list[Score]:
    """Bytes and error of every field at every operating point.

    Without an entropy model, which is learned when the network is done, bytes are those of an
    ideal code in a simple context: good for comparing networks, and a little kinder.
    """
    coder = Coder(network, statics, entropy)
    scores = []
    for field in fields:
        for bottleneck, step in points:
            (compressed,), decoded = coder.encode(
                field.cells,
                scaling=[Scaling(0, 1)],
                bottleneck=min(bottleneck, field.level),
                steps=[step],
                variable=field.variable,
            )
            rmse = float(np.sqrt(np.mean(np.square(decoded - field.cells), dtype=np.float64)))
            size = _ideal_size(compressed) if entropy is None else len(pack(compressed, entropy))
            scores.append(_score(field, compressed, rmse, size))
    return scores


def _score(field: ValidationField, compressed: CompressedField, rmse: float, size: int) -> Score:
    figure = float(np.log2(size) + 2 * np.log2(max(rmse, 1e-9)))
    return Score(
        field.name, compressed.bottleneck, compressed.step, size, rmse * field.scale, figure
    )


_BASE_BYTES = 500


def _ideal_size(compressed: CompressedField) -> int:
    """Bytes of symbols, each told in the context of its parents' neighbourhood."""
    bits, above = 8.0 * _BASE_BYTES, None
    for symbols in compressed.residuals:
        context = np.zeros(symbols.shape[1], np.int64)
        if above is not None:
            size = np.abs(above).sum(0).reshape(-1, 4)
            context = np.log2(1 + size + size.sum(1, keepdims=True)).astype(int).ravel().repeat(4)
        for one in symbols:
            _, inverse, told = np.unique(
                context * 4096 + np.clip(one, -2047, 2047), return_inverse=True, return_counts=True
            )
            told_in_context = np.bincount(context)[context]
            bits -= float(np.log2(told[inverse] / told_in_context).sum())
        above = symbols
    return int(bits / 8)
