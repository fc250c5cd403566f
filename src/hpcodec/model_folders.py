"""Where models are: those of one's own, those that came with hpcodec, those that were added.

name, digest or path --folder_of--> folder of a model
folder --statics_of--> its file of static fields
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

from hpcodec.cards import CARD, read_card
from hpcodec.errors import FormatError, ModelError, nearest

__all__ = [
    "STATICS",
    "all_models",
    "find_models",
    "folder_of",
    "is_installed",
    "search_path",
    "statics_of",
    "user_folder",
]

STATICS = "statics.safetensors"

_LEAST_DIGITS = 8  # of a digest that stands for a model

# Folders of models that were named by their paths, by the digest of their weights: what is coded
# with one is also decoded with it, in the same process.
_given: dict[str, Path] = {}


def user_folder() -> Path:
    """Folder of what ``hpcodec models add`` has added: a folder for each digest.

    That is ``models`` in ``platformdirs.user_data_dir("hpcodec")``, or in ``HPCODEC_DATA_DIR`` if
    set.
    """
    data = os.environ.get("HPCODEC_DATA_DIR") or platformdirs.user_data_dir("hpcodec")
    return Path(data) / "models"


def search_path() -> list[Path]:
    """Folders of models.

    Those of ``$HPCODEC_MODELS`` (as PATH), then what came with hpcodec, then what was added.
    """
    own = Path(__file__).parent / "weights"
    shipped = own if own.is_dir() else Path(__file__).parents[2] / "weights"
    extra = os.environ.get("HPCODEC_MODELS", "")
    added = (path for path in user_folder().glob("*") if not path.name.startswith("."))
    return [*(Path(part) for part in extra.split(os.pathsep) if part), shipped, *sorted(added)]


def all_models() -> list[Path]:
    """Folder of every model that has a card, several of one name included."""
    cards = (sorted(folder.glob(f"*/{CARD}")) for folder in search_path())
    return [card.parent for found in cards for card in found]


def find_models(*, added: bool = True) -> dict[str, Path]:
    """Name and folder of every model that has a card; the first of a name counts.

    Parameters
    ----------
    added : bool
        Whether those that were added count, too: they are used where they are named, never chosen.
    """
    found: dict[str, Path] = {}
    for folder in all_models():
        if added or user_folder() not in folder.parents:
            found.setdefault(folder.name, folder)
    return found


def folder_of(name: str, weights: str = "") -> Path:
    """Folder of a model.

    Parameters
    ----------
    name : str
        One that :func:`find_models` lists, the first eight or more digits of the sha256 of its
        weights, or the path of its folder.
    weights : str
        Sha256 that the weights must have, under this name if there are several, else under any;
        empty for whatever the name's are.

    Raises
    ------
    ModelError
        If there is none, or several have weights that begin so.
    """
    if weights:
        found = _by_digest(weights)
        if not found:
            raise _not_installed(name, weights)
        return next((folder for folder in found if folder.name == name), found[0])
    models = find_models()
    if name in models:
        return models[name]
    if (Path(name) / CARD).is_file():
        folder = Path(name).resolve()
        _given[read_card(folder).weights] = folder
        return folder
    found = _by_digest(name) if re.fullmatch(rf"[0-9a-f]{{{_LEAST_DIGITS},64}}", name) else []
    if len({read_card(folder).weights for folder in found}) > 1:
        raise ModelError(
            f"expected digits of one model's weights; got '{name}' of several: "
            f"{', '.join(str(folder) for folder in found)}. Give more digits."
        )
    if found:
        return found[0]
    if os.sep in name:
        raise ModelError(
            f"expected a folder of a model at '{name}'; got one without {CARD}, or none. See: "
            "hpcodec models."
        )
    raise ModelError(f"unknown model '{name}'. {nearest(name, models)}")


def is_installed(weights: str) -> bool:
    """Whether a model with this sha256 of its weights is there, by its card."""
    return bool(_by_digest(weights))


def _by_digest(digits: str) -> list[Path]:
    """Folders of models whose weights' sha256 begins so."""
    found = []
    for folder in [*_given.values(), *all_models()]:
        try:
            if read_card(folder).weights.startswith(digits):
                found.append(folder)
        except FormatError:
            continue  # damaged, but not what is looked for
    return found


def _not_installed(name: str, weights: str) -> ModelError:
    models = find_models()
    try:
        same = name in models and f"weights {read_card(models[name]).weights}"
    except FormatError:
        same = "a damaged card"
    return ModelError(
        f"expected model '{name}' with weights sha256 {weights}; got {same or 'none of this name'} "
        f"({nearest(name, models)}) Get it from whoever wrote the store, and: hpcodec models add "
        "PATH|URL. Without it: hpcodec decompress --level 3."
    )


def statics_of(folder: Path) -> Path:
    """File of the static fields for the model in ``folder``: its own, or the one shared.

    That is beside the folder, or came with hpcodec.
    """
    places = [folder, folder.parent, *search_path()]
    found = (place / STATICS for place in places if (place / STATICS).is_file())
    return next(found, folder / STATICS)
