"""Pretrained models: a card (JSON) beside weights (safetensors); check, load, choose.

    name --load_model--> Model, its files those of its card --coder(device)--> network

:mod:`hpcodec.model_folders` says where they are.

Only :meth:`Model.coder` imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from hpcodec.cards import ModelCard, read_card
from hpcodec.entropy.arrays import NAMES, from_arrays
from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import FormatError, ModelError, UsageError
from hpcodec.fields import Coding, FieldSpec
from hpcodec.grid import FINEST_LEVEL, cell_count
from hpcodec.model_folders import find_models, folder_of, statics_of
from hpcodec.restorers import WEIGHTS, restorer_of

if TYPE_CHECKING:
    from hpcodec.stages.transform import Coder

__all__ = [
    "Model",
    "choose_model",
    "file_digest",
    "load_model",
    "model_for",
    "open_model",
]


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model whose files match their card."""

    card: ModelCard
    folder: Path
    entropy: EntropyModel = field(repr=False)

    def coder(self, device: str = "cpu") -> Coder:
        """Network and static fields on a torch device, made once for each device."""
        return _coder(self.folder, self.card.weights, resolve_device(device))

    @property
    def land(self) -> npt.NDArray[np.uint8]:
        """Land in parts of 255 in each cell, nested order: ``(12 * 4**level,)`` of some level."""
        return np.asarray(_static_fields(self.folder, self.card.architecture["level"])[1])


def resolve_device(device: str) -> str:
    """Torch's name of a device; ``auto`` is a GPU where there is one.

    Raises
    ------
    UsageError
        If there is no such device.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"expected a device that torch has here; got '{device}'. Use cpu or auto."
        ) from error
    return device


@lru_cache(maxsize=8)
def load_model(name: str, weights: str = "") -> Model:
    """Model of a name, checked against its card.

    Parameters
    ----------
    name, weights : str
        As :func:`hpcodec.model_folders.folder_of` takes them.

    Raises
    ------
    ModelError
        If there is no such model, its files are not those of its card, or other weights are asked
        for.
    """
    return open_model(folder_of(name, weights))


def open_model(folder: Path) -> Model:
    """Model in a folder, checked against its card.

    Raises
    ------
    FormatError
        If its card is none.
    ModelError
        If its files are not those of its card.
    """
    card = read_card(folder)
    files = {folder / WEIGHTS: card.weights, statics_of(folder): card.statics}
    if card.restorer:
        files[restorer_of(folder) / WEIGHTS] = card.restorer
    for path, digest in files.items():
        if not path.is_file() or file_digest(path) != digest:
            raise ModelError(
                f"expected {path} with sha256 {digest[:16]}..., as the model's card has it; got "
                "another or none. Install the model again."
            )
    return Model(card, folder, _entropy(folder, card.weights))


def model_for(coding: Coding) -> Model:
    """Model of a coding.

    Raises
    ------
    FormatError
        If it has not the level that the coding says.
    ModelError
        If it is not installed.
    """
    model = load_model(coding.model, coding.weights)
    if (finest := model.card.architecture["level"]) < coding.level:
        raise FormatError(
            f"expected a 'level' up to {finest}, the finest of model '{coding.model}'; got "
            f"{coding.level}. The store is damaged."
        )
    return model


def choose_model(spec: FieldSpec) -> str:
    """Name of the model for a variable: one made for it, else the general one.

    None that was added with ``hpcodec models add``: whoever reads the store may not have it.

    Raises
    ------
    ModelError
        If no model is installed that takes it.
    """
    general = ""
    for name, folder in find_models(added=False).items():
        card = read_card(folder)
        if card.serves_field(spec):
            return name
        if not card.serves:
            general = general or name
    if not general:
        raise ModelError("expected an installed model; got none. Install hpcodec again.")
    return general


def file_digest(path: Path) -> str:
    """Sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _static_fields(folder: Path, level: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Orography and land, of the model's own level or finer."""
    orography, land = _tensors(statics_of(folder), ("orography", "land"), "static fields").values()
    known = {cell_count(finer) for finer in range(level, FINEST_LEVEL + 1)}
    if orography.shape != land.shape or orography.size not in known:
        raise ModelError(f"expected static fields of level {level} or finer; got others.")
    if not (orography.dtype == np.int16 and land.dtype == np.uint8 and orography.ndim == 1):
        raise ModelError("expected static fields as int16 and uint8; got others.")
    return orography, land


def _tensors(path: Path, names: Sequence[str], what: str) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a safetensors file; nothing in it can be code."""
    try:
        with safe_open(path, "numpy") as file:
            return {name: np.asarray(file.get_tensor(name)) for name in names}
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"expected {what} in {path}; got {error}.") from error


@lru_cache(maxsize=4)
def _entropy(folder: Path, weights: str) -> EntropyModel:
    level = read_card(folder).architecture["level"]
    return from_arrays(
        _tensors(folder / WEIGHTS, NAMES, "an entropy model"), *_static_fields(folder, level)
    )


@lru_cache(maxsize=4)
def _coder(folder: Path, weights: str, device: str) -> Coder:
    import torch
    from safetensors.torch import load_file

    from hpcodec.networks.architecture import Architecture
    from hpcodec.networks.field_space import FieldSpaceAutoencoder
    from hpcodec.stages.transform import Coder, static_pyramid

    card = read_card(folder)
    shape: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in card.architecture.items()
    }
    try:
        with torch.device("meta"):  # a card may say any size: nothing is made of it before a look
            wanted = FieldSpaceAutoencoder(Architecture(**shape)).state_dict()
        state = load_file(folder / WEIGHTS)
        if {name: state[name].shape for name in wanted} != {n: t.shape for n, t in wanted.items()}:
            raise ValueError("tensors of other shapes than its card says")
        network = FieldSpaceAutoencoder(Architecture(**shape))
        network.load_state_dict({name: state[name] for name in wanted})
    except (
        TypeError,
        ValueError,
        KeyError,
        RuntimeError,
        ArithmeticError,
        SafetensorError,
    ) as error:
        raise ModelError(f"expected the weights of {folder.name}; got {error}.") from error
    network.eval().requires_grad_(False).to(torch.device(device))
    pyramid = static_pyramid(*_static_fields(folder, shape["level"]))
    statics = {level: part.to(device) for level, part in pyramid.items()}
    return Coder(network, statics, _entropy(folder, weights))
