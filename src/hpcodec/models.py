"""Pretrained models: a card (JSON) beside weights (safetensors); find, check, load.

    name --find--> folder --read_card--> ModelCard --load_model--> Model --coder(device)--> network

Only :meth:`Model.coder` imports torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from hpcodec.cards import CARD, ModelCard, read_card
from hpcodec.entropy.arrays import NAMES, from_arrays
from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import FormatError, ModelError, UsageError, nearest
from hpcodec.fields import Coding, FieldSpec
from hpcodec.grid import FINEST_LEVEL, cell_count
from hpcodec.restorers import WEIGHTS, restorer_of

if TYPE_CHECKING:
    from hpcodec.stages.transform import Coder

__all__ = [
    "Model",
    "choose_model",
    "file_digest",
    "find_models",
    "is_installed",
    "load_model",
    "model_for",
]

STATICS = "statics.safetensors"


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


def search_path() -> list[Path]:
    """Folders of models: ``$HPCODEC_MODELS`` (as PATH), then those that came with hpcodec."""
    own = Path(__file__).parent / "weights"
    shipped = own if own.is_dir() else Path(__file__).parents[2] / "weights"
    extra = os.environ.get("HPCODEC_MODELS", "")
    return [*(Path(part) for part in extra.split(os.pathsep) if part), shipped]


def find_models() -> dict[str, Path]:
    """Name and folder of every model that has a card; the first of a name counts."""
    found: dict[str, Path] = {}
    for folder in search_path():
        for card in sorted(folder.glob(f"*/{CARD}")):
            found.setdefault(card.parent.name, card.parent)
    return found


@lru_cache(maxsize=8)
def load_model(name: str, weights: str = "") -> Model:
    """Model of a name, checked against its card.

    Parameters
    ----------
    name : str
        One that :func:`find_models` lists.
    weights : str
        Sha256 that the weights must have; empty for whatever the card says.

    Raises
    ------
    ModelError
        If there is no such model, its files are not those of its card, or other weights are asked
        for.
    """
    models = find_models()
    if name not in models:
        if weights:
            raise _not_installed(name, weights, "none of this name")
        raise ModelError(f"unknown model '{name}'. {nearest(name, models)}")
    folder = models[name]
    card = read_card(folder)
    if weights not in ("", card.weights):
        raise _not_installed(name, weights, f"weights {card.weights}")
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


def _not_installed(name: str, weights: str, got: str) -> ModelError:
    return ModelError(
        f"expected model '{name}' with weights sha256 {weights}; got {got} "
        f"({nearest(name, find_models())}) Install the hpcodec release that wrote the store, or "
        "put the model into a folder of HPCODEC_MODELS. Without it: hpcodec decompress --level 3."
    )


def is_installed(name: str, weights: str) -> bool:
    """Whether a model of this name and sha256 of its weights is there, by its card."""
    folder = find_models().get(name)
    try:
        return folder is not None and read_card(folder).weights == weights
    except FormatError:
        return False


def choose_model(spec: FieldSpec) -> str:
    """Name of the model for a variable: one made for it, else the general one.

    Raises
    ------
    ModelError
        If no model is installed that takes it.
    """
    general = ""
    for name, folder in find_models().items():
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


def statics_of(folder: Path) -> Path:
    """File of the static fields for the model in ``folder``: its own, or the one shared."""
    own = folder / STATICS
    return own if own.exists() else folder.parent / STATICS


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
