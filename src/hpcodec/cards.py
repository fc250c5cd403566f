"""Model cards: everything that is known of a model besides its numbers.

card.json --read_card--> ModelCard
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpcodec.errors import FormatError, nearest
from hpcodec.fields import FieldSpec

__all__ = ["CARD", "ModelCard", "OperatingPoint", "read_card"]

CARD = "card.json"
"""File of a model's card, in the model's folder."""


@dataclass(frozen=True)
class OperatingPoint:
    """What a model does on its validation fields at one bottleneck and step.

    Parameters
    ----------
    bottleneck : int
        Finest level coded.
    step : float
        Quantisation step, normalised units.
    size : float
        Bytes of a compressed field, geometric mean over the fields.
    rmse : float
        Error over the scale of the field, geometric mean over the fields.
    """

    bottleneck: int
    step: float
    size: float
    rmse: float


@dataclass(frozen=True)
class ModelCard:
    """Everything that is known of a model besides its numbers.

    Parameters
    ----------
    name, description : str
        Stable name, one sentence.
    architecture : dict
        Fields of :class:`hpcodec.networks.field_space.Architecture`.
    serves : tuple of dict
        Variables it is meant for, each ``{"standard_name", "units", "names", "long_names"}``;
        none for a model of any variable.
    operating_points : tuple of OperatingPoint
        Measured on the validation fields.
    weights, statics : str
        Sha256 of the two files.
    training : dict
        Steps, seed, data digests, credits, commit.
    validation : tuple of dict
        Bytes and RMSE of every validation field at every point.
    """

    name: str
    description: str
    architecture: dict[str, Any]
    operating_points: tuple[OperatingPoint, ...]
    weights: str
    statics: str
    training: dict[str, Any]
    serves: tuple[dict[str, Any], ...] = ()
    validation: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    def best_bottleneck(self, size: int, level: int) -> tuple[int, OperatingPoint]:
        """Bottleneck with the least validation error in ``size`` bytes, and the point expected.

        Parameters
        ----------
        size : int
            Bytes that a compressed field may take.
        level : int
            Level of the source: no finer bottleneck makes sense.
        """
        choices = []
        for bottleneck in sorted({p.bottleneck for p in self.operating_points}):
            points = sorted(
                (p for p in self.operating_points if p.bottleneck == bottleneck),
                key=lambda p: p.size,
            )
            logs = np.log([[p.size, p.step, p.rmse] for p in points]).T
            step, rmse = (np.exp(np.interp(np.log(size), logs[0], part)) for part in logs[1:])
            within = bottleneck <= level and size >= points[0].size
            expected = OperatingPoint(bottleneck, float(step), float(size), float(rmse))
            choices.append((not within, expected.rmse, expected))
        # Too small for any: the coarsest steps of the coarsest levels are what there is.
        _, _, expected = min(choices, key=lambda choice: choice[:2])
        bottleneck = min(expected.bottleneck, level)
        return bottleneck, dataclasses.replace(expected, bottleneck=bottleneck)

    def serves_field(self, spec: FieldSpec) -> bool:
        """Whether this is a model for the variable of ``spec`` in particular."""
        return any(
            spec.units in rule["units"]
            and spec.standard_name in ("", rule["standard_name"])
            and (spec.name in rule["names"] or spec.long_name.lower() in rule["long_names"])
            for rule in self.serves
        )

    def variable_index(self, standard_name: str) -> int:
        """Embedding of a variable: 0 for any that the model has no embedding for."""
        known = self.architecture.get("variables", [])
        return 1 + known.index(standard_name) if standard_name in known else 0


def read_card(folder: Path) -> ModelCard:
    """Card of the model in ``folder``.

    Raises
    ------
    FormatError
        If it is no model card, or one with an unknown key.
    """
    path = folder / CARD
    try:
        data = json.loads(path.read_text("utf-8"))
        known = {item.name for item in dataclasses.fields(ModelCard)}
        if unknown := sorted(set(data) - known):
            raise FormatError(f"{path}: unknown key '{unknown[0]}'. {nearest(unknown[0], known)}")
        points = tuple(OperatingPoint(**point) for point in data.pop("operating_points"))
        data |= {key: tuple(data.get(key, ())) for key in ("serves", "validation")}
        card = ModelCard(operating_points=points, **data)
        trained = bool(points and card.training.get("steps"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"expected a model card in {path}; got {error}.") from error
    if not trained:
        raise FormatError(f"{path} is the card of a model that nobody trained. Use another model.")
    return card
