"""Models of others: added to the user's folder, each below the digest of its weights, and removed.

path or URL --add_model--> folder of a model that was checked;  name or digest --remove_model-->
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hpcodec.cards import ModelCard, read_card
from hpcodec.errors import ModelError, OutputError
from hpcodec.model_folders import STATICS, all_models, folder_of, statics_of, user_folder
from hpcodec.model_sources import copy_model
from hpcodec.models import open_model
from hpcodec.restorers import RESTORER, restorer_of

__all__ = ["add_model", "remove_model"]


def add_model(source: str, digest: str = "") -> tuple[ModelCard, Path, bool]:
    """Put a model into the user's folder.

    It is checked first: its card, the sha256 of its files, its entropy model, and that its network
    can be built of its weights, in a folder of its own.

    Parameters
    ----------
    source : str
        As :func:`hpcodec.model_sources.copy_model` takes it.
    digest : str
        Sha256 that its weights must have, or its first digits; empty for any.

    Returns
    -------
    ModelCard
        Of the model.
    Path
        Its folder.
    bool
        Whether it was not there yet.

    Raises
    ------
    FormatError, ModelError
        If it is none, or another one than asked for.
    OutputError
        If it cannot be written.
    """
    root = user_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=root) as work:
            return _add_by_way_of(Path(work), source, digest.lower())
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"expected to write below '{root}'; got: {error.strerror or error}. Check its rights "
            "and space, or set HPCODEC_DATA_DIR."
        ) from error


def _add_by_way_of(work: Path, source: str, digest: str) -> tuple[ModelCard, Path, bool]:
    copied = work / "model"
    copied.mkdir()
    copy_model(source, copied)
    card = read_card(copied)
    if not card.weights.startswith(digest):
        raise ModelError(
            f"expected weights of sha256 {digest}; got {card.weights} in '{source}'. Get the other."
        )
    _complete(copied, Path(source), card)
    open_model(copied).coder("cpu")
    folder = user_folder() / card.weights / card.name
    if folder.is_dir():
        return card, folder, False
    (work / card.weights).mkdir()
    copied.rename(work / card.weights / card.name)
    if folder.parent.exists():  # the same weights under another name: remove what is there
        raise OutputError(
            f"expected new weights; '{folder.parent}' has them under another name. Use that one, "
            "or: hpcodec models remove."
        )
    (work / card.weights).rename(folder.parent)
    return card, folder, True


def _complete(copied: Path, source: Path, card: ModelCard) -> None:
    """Copy what models of one folder share, beside the one that was copied."""
    if not source.is_dir():
        return
    if not (copied / STATICS).exists():
        shutil.copyfile(statics_of(source), copied / STATICS)
    if card.restorer and not (copied / RESTORER).exists() and restorer_of(source).is_dir():
        shutil.copytree(restorer_of(source), copied / RESTORER)


def remove_model(name: str) -> Path:
    """Remove a model from the user's folder.

    Parameters
    ----------
    name : str
        Its name, or the first eight or more digits of the sha256 of its weights.

    Returns
    -------
    Path
        Of the folder that is gone.

    Raises
    ------
    ModelError
        If there is none, or it was not added but came with hpcodec.
    """
    root = user_folder()
    added = [folder for folder in all_models() if root in folder.parents]
    found = [folder for folder in added if folder.name == name] or [
        folder for folder in added if len(name) >= 8 and folder.parent.name.startswith(name)
    ]
    if not found:
        raise ModelError(
            f"expected a model that was added; got '{name}' in {folder_of(name).parent}. What came "
            "with hpcodec stays, and a folder of your own is yours to remove."
        )
    if len(found) > 1:
        digests = ", ".join(folder.parent.name[:12] for folder in found)
        raise ModelError(f"expected one model '{name}'; got {digests}. Name one by these digits.")
    shutil.rmtree(found[0].parent)
    return found[0]
