"""An entropy model as named arrays, beside a network's weights in one file.

EntropyModel --to_arrays--> names and integer arrays --from_arrays--> EntropyModel, checked
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.activity import COMPONENTS, FEATURES, known_features
from hpcodec.entropy.integer_network import HIDDEN, ActivityNetwork
from hpcodec.entropy.tables import TABLE_SHAPE, TOTAL, EntropyModel
from hpcodec.errors import ModelError

__all__ = ["NAMES", "from_arrays", "to_arrays"]

Arrays = Mapping[str, npt.NDArray[Any]]

_SIZES = (FEATURES, HIDDEN, HIDDEN, 1)
_LAYERS = range(len(_SIZES) - 1)
_WEIGHTS = tuple(f"activity.weight.{layer}" for layer in _LAYERS)
_BIASES = tuple(f"activity.bias.{layer}" for layer in _LAYERS)

NAMES = ("tables", *_WEIGHTS, *_BIASES)
"""What a file of weights must hold."""

_EXACT = 1 << 24  # whole numbers up to here are exact in float32


def to_arrays(model: EntropyModel) -> dict[str, npt.NDArray[Any]]:
    """Arrays of all but the static fields, which are files of their own."""
    values = (np.asarray(model.tables), *model.network.weights, *model.network.biases)
    return dict(zip(NAMES, values, strict=True))


def from_arrays(
    arrays: Arrays, orography: npt.NDArray[np.int16], land: npt.NDArray[np.uint8]
) -> EntropyModel:
    """Inverse of :func:`to_arrays`, with the static fields that it knows.

    Raises
    ------
    ModelError
        If an array has another shape or type, or sums could leave the whole numbers that
        floating point holds exactly.
    """
    tables = arrays["tables"]
    if tables.shape != TABLE_SHAPE or tables.dtype.kind != "u" or tables.min() < 1:
        raise ModelError(f"expected entropy tables of shape {TABLE_SHAPE}; got others.")
    if (tables.sum(-1, dtype=np.int64) != TOTAL).any():
        raise ModelError(f"expected entropy tables that sum to {TOTAL}; got others.")
    weights = tuple(arrays[name] for name in _WEIGHTS)
    biases = tuple(arrays[name] for name in _BIASES)
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        shape = (COMPONENTS, _SIZES[layer], _SIZES[layer + 1])
        if weight.shape != shape or weight.dtype != np.int8:
            raise ModelError(f"expected int8 weights {shape} in layer {layer}; got others.")
        if bias.shape != (COMPONENTS, shape[-1]) or bias.dtype != np.int32:
            raise ModelError(f"expected int32 biases of layer {layer}; got others.")
        most = 255 * np.abs(weight.astype(np.int64)).sum(1) + np.abs(bias.astype(np.int64))
        if most.max() >= _EXACT:
            raise ModelError(f"expected sums below {_EXACT} in layer {layer}; got {most.max()}.")
    return EntropyModel(tables, ActivityNetwork(weights, biases), known_features(orography, land))
