"""What a training run is: one TOML file, one frozen dataclass."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hpcodec.errors import UsageError, nearest
from hpcodec.networks.architecture import Architecture

__all__ = ["TrainConfig", "build", "read_config", "read_toml"]

T = TypeVar("T")

_KINDS = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,), "tuple": (tuple,)}


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of one training run.

    Parameters
    ----------
    name : str
        Of the model.
    description : str
        One sentence for the model card.
    train, validation : tuple of str
        Patterns of the files to read below the data folder.
    credits : tuple of str
        Sentences that name the producers of the data, for the model card.
    serves : tuple of dict
        Variables that the model is meant for, as in its card; empty for any.
    augment : bool
        Whether to draw random signs and amplitudes and mix fields of different variables.
    start : str
        Name of a shipped model whose weights to start from; empty for none.
    steps, batch, rate, seed
        Optimiser steps, level-8 faces in a batch, largest learning rate, seed of all chance.
    levels : tuple of int
        Levels of the batches drawn, as often as they are named.
    restarts : tuple of int
        Steps at which the learning rate starts again, each time from half of where it began.
    log2_step : tuple of float
        Range of the logarithm of the quantisation steps drawn, normalised units.
    bottlenecks : tuple of int
        Bottleneck levels drawn, as often as they are named.
    validate_every : int
        Optimiser steps between validations and checkpoints.
    patience : int
        Validations without a better figure after which training ends; 0 for never.
    architecture : Architecture
        Of the network.
    """

    name: str
    description: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    credits: tuple[str, ...] = ()
    serves: tuple[dict[str, Any], ...] = ()
    augment: bool = True
    start: str = ""
    steps: int = 10_000
    batch: int = 24
    rate: float = 1e-3
    seed: int = 0
    levels: tuple[int, ...] = (6, 7, 8, 9)
    restarts: tuple[int, ...] = ()
    log2_step: tuple[float, float] = (-4.0, 4.0)
    bottlenecks: tuple[int, ...] = (5, 6, 7, 8, 8, 9, 9, 9, 9, 9, 9, 9)
    validate_every: int = 1000
    patience: int = 0
    architecture: Architecture = field(default_factory=Architecture)


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file has.

    Raises
    ------
    UsageError
        If it is none.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a training configuration in {path}; got {error}.") from error


def read_config(path: Path) -> TrainConfig:
    """Configuration in a TOML file whose keys are the fields of :class:`TrainConfig`.

    Raises
    ------
    UsageError
        If the file is not TOML, lacks a key, or has an unknown one, or a value of another type.
    """
    data = read_toml(path)
    shape = data.pop("architecture", {})
    if not isinstance(shape, dict):
        raise UsageError(f"{path}: expected a table as 'architecture'; got {shape!r}.")
    return build(TrainConfig, data | {"architecture": build(Architecture, shape, path)}, path)


def build(kind: type[T], data: dict[str, Any], path: Path) -> T:
    """A frozen dataclass of what a TOML file has; see :func:`read_config`."""
    known = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            raise UsageError(f"{path}: unknown key '{key}'. {nearest(key, known)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    for key, value in values.items():
        wanted = str(known[key].type)
        kinds = _KINDS.get(wanted.partition("[")[0])
        if kinds and type(value) not in kinds:
            raise UsageError(f"{path}: expected {wanted} as '{key}'; got {value!r}.")
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"{path}: {error}.") from error
