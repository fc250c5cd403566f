"""Model cards: everything that is known of a model besides its numbers.

card.json --read_card--> ModelCard
"""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from hpcodec.containment import damaged
from hpcodec.errors import FormatError
from hpcodec.fields import FieldSpec
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count
from hpcodec.metadata import OPTIONAL, Digest, Limits, Name, Positive, read_object

__all__ = ["CARD", "ModelCard", "OperatingPoint", "read_card", "summary"]

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

    bottleneck: Annotated[int, Limits(BASE_LEVEL, 29)]
    step: Positive
    size: Positive
    rmse: Positive


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
    shifts : tuple of float
        Octaves by which the steps of a variable's training fields are larger, for as many bytes,
        than those of the operating points; in the order of the embeddings. None if not measured.
    restorer : str
        Sha256 of the weights of the network that guesses what details lack; empty for none.
    """

    name: Name
    description: str
    architecture: dict[str, Any]
    operating_points: tuple[OperatingPoint, ...]
    weights: Digest
    statics: Digest
    training: dict[str, Any]
    serves: tuple[dict[str, Any], ...] = field(default=(), metadata=OPTIONAL)
    validation: tuple[dict[str, Any], ...] = field(default=(), metadata=OPTIONAL)
    shifts: tuple[float, ...] = field(default=(), metadata=OPTIONAL)
    restorer: Digest = field(default="", metadata=OPTIONAL)

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

    def expected_octave(
        self, quantity: Literal["size", "rmse"], bottleneck: int, level: int
    ) -> Callable[[float], float]:
        """Log2 of the step at which fields are expected to have a size, or an error.

        Parameters
        ----------
        quantity : str
            ``size`` in bytes, or ``rmse`` over the scale of the field.
        bottleneck : int
            Finest level coded.
        level : int
            Level of the source.
        """
        known = {p.bottleneck for p in self.operating_points}
        # Points are of sources of the finest level. Where all levels are coded, the error is that
        # of the steps, and a step of the finest level is half that of the next coarser one.
        coded = bottleneck == level and quantity == "rmse"
        like = max(known) if coded else min(known, key=lambda at: abs(at - bottleneck))
        points = sorted(
            (p for p in self.operating_points if p.bottleneck == like), key=lambda p: p.step
        )
        octaves = np.log2([p.step for p in points]) + (like - bottleneck if coded else 0)
        values = np.array([getattr(p, quantity) for p in points])
        octaves, values = _extended(octaves, values, quantity, cell_count(bottleneck) / 8)
        logs = np.log2(values if quantity == "rmse" else values[::-1])
        rising = np.maximum.accumulate(logs) + 1e-9 * np.arange(logs.size)
        places = octaves if quantity == "rmse" else octaves[::-1]
        curve = PchipInterpolator(rising, places)
        ends = rising[0], rising[-1]
        return lambda value: float(curve(np.clip(np.log2(max(value, 1e-300)), *ends)))

    def shift(self, variable: int) -> float:
        """Octaves by which steps of a variable, by its embedding, are larger than expected."""
        return self.shifts[variable] if self.shifts else 0.0

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


_MOST_SIZE = 2**16
Doubles = npt.NDArray[np.float64]

_BEYOND = 24


def _extended(
    octaves: Doubles, values: Doubles, quantity: str, octave_bytes: float
) -> tuple[Doubles, Doubles]:
    """Points ``_BEYOND`` octaves farther on both sides.

    Where steps are fine, each octave is one more bit for every number (``octave_bytes`` in all),
    and halves the error; the rate at which a size grows comes halfway there with each octave.
    Where they are coarse, sizes and errors change with the root of the step.
    """
    far = np.arange(1.0, _BEYOND + 1)
    fine, coarse = octaves[0] - far, octaves[-1] + far
    if quantity == "rmse":
        before, after = values[0] / 2**far, values[-1] * 2 ** (far / 2)
    else:
        run = octaves[1:2] - octaves[0]
        rate = (values[:1] - values[1:2]) / run if run.size else np.zeros(1)
        rates = octave_bytes + (rate - octave_bytes) * 0.5**far
        before, after = values[0] + np.cumsum(rates), values[-1] / 2 ** (far / 2)
    return (
        np.concatenate([fine[::-1], octaves, coarse]),
        np.concatenate([before[::-1], values, after]),
    )


def read_card(folder: Path) -> ModelCard:
    """Card of the model in ``folder``.

    Raises
    ------
    FormatError
        If it is no model card, or one with an unknown key.
    """
    path = folder / CARD
    with damaged(f"a model card in {path}"):
        data = json.loads(path.read_text("utf-8"))
    try:
        card = read_object(ModelCard, data, "a card")
    except FormatError as error:
        raise FormatError(f"expected a model card in {path}; {error}") from error
    if not card.operating_points or not card.training.get("steps"):
        raise FormatError(f"{path} is the card of a model that nobody trained. Use another model.")
    for key, value in card.architecture.items():
        sizes = type(value) is int and 0 <= value <= _MOST_SIZE
        names = isinstance(value, list) and all(isinstance(name, str) for name in value)
        if not (names if key == "variables" else sizes):
            raise FormatError(
                f"expected numbers up to {_MOST_SIZE} and a list of variables as architecture in "
                f"{path}; got {reprlib.repr(value)} as '{key[:60]}'. Use another model."
            )
    if not BASE_LEVEL < card.architecture.get("level", 0) <= FINEST_LEVEL:
        raise FormatError(
            f"expected a 'level' from {BASE_LEVEL + 1} to {FINEST_LEVEL} in the architecture of "
            f"{path}; got another or none. Use another model."
        )
    return card


def summary(card: ModelCard) -> str:
    """What ``hpcodec models`` says of a model, two lines."""
    finest = max(point.bottleneck for point in card.operating_points)
    points = [point for point in card.operating_points if point.bottleneck == finest]
    figures = ", ".join(f"{point.rmse:.2g} at {point.size:,.0f}" for point in points[::4])
    return (
        f"{card.name}: {card.description}\n"
        f"    levels 3 to {card.architecture['level']}, {card.training['steps']:,} steps, "
        f"weights {card.weights[:12]}; error (of a field's scale) at bytes: {figures}"
    )
