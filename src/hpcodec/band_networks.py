"""The networks that tell how symbols of details are coded: a card (JSON) beside weights.

--latest_bands--> BandNetwork to encode with;   digest --bands_of--> the one that encoded

They are shared by all models: beside theirs, or in any other folder of models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from hpcodec import model_folders
from hpcodec.entropy.band_network import BandNetwork
from hpcodec.errors import ModelError
from hpcodec.metadata import Digest
from hpcodec.models import file_digest
from hpcodec.restorers import WEIGHTS

__all__ = ["BANDS", "BANDS_CARD", "BandsCard", "bands_of", "latest_bands"]

BANDS, BANDS_CARD = "bands", "bands.json"
"""Folder beside those of the models; and the card in it."""


@dataclass(frozen=True)
class BandsCard:
    """Everything that is known of a network of bands besides its numbers.

    Parameters
    ----------
    description : str
        One sentence.
    weights : str
        Sha256 of the weights.
    training : dict
        Steps, seed, data digests, credits, commit.
    validation : tuple of dict
        Bytes with it over those without, of every validation field at every share.
    """

    description: str
    weights: Digest
    training: dict[str, Any]
    validation: tuple[dict[str, Any], ...]


def latest_bands() -> BandNetwork | None:
    """The one to encode with, the first on the search path; None where there is none.

    Raises
    ------
    ModelError
        If it is damaged.
    """
    path = next(_files(), None)
    return None if path is None else _load(path)


def bands_of(digest: bytes) -> BandNetwork:
    """The one whose weights have a sha256 that begins so.

    Raises
    ------
    ModelError
        If there is none.
    """
    for path in _files():
        if (found := _load(path)).digest.startswith(digest.hex()):
            return found
    raise ModelError(
        f"expected a network of bands with sha256 {digest.hex()}...; got none. Install the hpcodec "
        "release that wrote the store."
    )


def _files() -> Iterator[Path]:
    """Weights of all that have a card; after ``bands``, those of what was encoded once."""
    for folder in model_folders.search_path():
        yield from (card.with_name(WEIGHTS) for card in sorted(folder.glob(f"*/{BANDS_CARD}")))


@lru_cache(maxsize=8)
def _load(path: Path) -> BandNetwork:
    try:
        network = BandNetwork.of(load_file(path))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"expected the weights of a network of bands in {path}: {error}") from None
    return dataclasses.replace(network, digest=file_digest(path))
