"""The pretrained restorer: a card (JSON) beside weights (safetensors), next to the models.

folder of a model --restorer_of--> folder --read_restorer_card--> RestorerCard
folder of a model --load_restorer--> network
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from hpcodec.containment import damaged
from hpcodec.errors import FormatError, ModelError
from hpcodec.metadata import Digest, read_object
from hpcodec.networks.architecture import RestorerShape

if TYPE_CHECKING:
    from hpcodec.networks.restorer import Restorer

__all__ = [
    "RESTORER",
    "RESTORER_CARD",
    "WEIGHTS",
    "RestorerCard",
    "load_restorer",
    "read_restorer_card",
    "restorer_of",
]

RESTORER, RESTORER_CARD = "restorer", "restorer.json"
"""Folder beside those of the models, or in a model's own; and the card in it."""

WEIGHTS = "model.safetensors"

_MOST_SIZE = 2**12


@dataclass(frozen=True)
class RestorerCard:
    """Everything that is known of a restorer besides its numbers.

    Parameters
    ----------
    description : str
        One sentence.
    shape : dict
        Fields of :class:`hpcodec.networks.restorer.RestorerShape`.
    weights : str
        Sha256 of the weights.
    training : dict
        Steps, seed, data digests, credits, commit.
    validation : tuple of dict
        Error with it over that without, of every validation field at every ratio.
    """

    description: str
    shape: dict[str, Any]
    weights: Digest
    training: dict[str, Any]
    validation: tuple[dict[str, Any], ...]


def restorer_of(folder: Path) -> Path:
    """Folder of the restorer for the model in ``folder``: its own, or the one shared."""
    own = folder / RESTORER
    return own if own.exists() else folder.parent / RESTORER


def read_restorer_card(folder: Path) -> RestorerCard:
    """Card of the restorer in ``folder``.

    Raises
    ------
    FormatError
        If it is none, or one with an unknown key.
    """
    path = folder / RESTORER_CARD
    with damaged(f"a restorer's card in {path}"):
        data = json.loads(path.read_text("utf-8"))
    card = read_object(RestorerCard, data, "a card")
    sizes = [value for key, value in card.shape.items() if key != "variables"]
    if not all(type(size) is int and 0 < size <= _MOST_SIZE for size in sizes):
        raise FormatError(
            f"expected sizes from 1 to {_MOST_SIZE} as shape in {path}; got {card.shape}."
        )
    return card


@lru_cache(maxsize=4)
def load_restorer(folder: Path) -> tuple[Restorer, RestorerShape]:
    """Restorer for the model in ``folder``, which has been checked against the model's card.

    Raises
    ------
    ModelError
        If its weights are not those of its card.
    """
    import torch
    from safetensors.torch import load_file

    from hpcodec.networks.restorer import Restorer

    own = restorer_of(folder)
    parts = read_restorer_card(own).shape
    try:
        shape = RestorerShape(**parts | {"variables": tuple(parts.get("variables", ()))})
        state = load_file(own / WEIGHTS)
        with torch.device("meta"):  # a card may say any size: nothing is made of it before a look
            wanted = Restorer(shape).state_dict()
        if {name: value.shape for name, value in state.items()} != {
            name: value.shape for name, value in wanted.items()
        }:
            raise ValueError("tensors of other shapes than its card says")
        network = Restorer(shape)
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise ModelError(f"expected the weights of a restorer in {own}; got {error}.") from error
    return network.eval().requires_grad_(False), shape
