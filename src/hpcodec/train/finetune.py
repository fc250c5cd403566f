"""``hpcodec train --from``: a model goes on with a user's own files, for some minutes.

files --parts_of, prepare_parts--> faces to learn from, to stop by, to measure on
model, faces --Run--> weights --publish--> model of one's own, its card with what was gained
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np

from hpcodec.cards import CARD
from hpcodec.errors import OutputError, UsageError
from hpcodec.fields import FieldSpec
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL
from hpcodec.metadata import Name
from hpcodec.model_folders import STATICS, statics_of
from hpcodec.models import Model, load_model, open_model
from hpcodec.networks.architecture import Architecture
from hpcodec.restorers import RESTORER, WEIGHTS, restorer_of
from hpcodec.train.config import TrainConfig
from hpcodec.train.evaluate import ValidationField, evaluate, load_validation
from hpcodec.train.fields import PreparedField
from hpcodec.train.loop import Run
from hpcodec.train.parts import parts_of, prepare_parts
from hpcodec.train.publish import publish
from hpcodec.train.run import matching, open_run

__all__ = ["Gain", "finetune", "tuning_config"]

# Less than half the rate that t2m-l9 was trained with: a few fields are soon known by heart.
_RATE = 3e-4
_STEPS, _BATCH = 300, 6
_VALIDATIONS, _PATIENCE = 6, 2
_FIELDS = 12  # that the entropy model is learned from

Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Gain:
    """What fine-tuning was worth on times that it has not seen.

    Parameters
    ----------
    before, after : float
        Mean of ``log2(bytes) + 2 log2(RMSE)`` of the fields, real payloads, normalised.
    steps : int
        After which the weights were best; 0 for those that it started from, with another entropy
        model.
    fields : int
        Measured on.
    """

    before: float
    after: float
    steps: int
    fields: int

    @property
    def bytes(self) -> float:
        """Part of the bytes that is saved at equal error; negative where it takes more."""
        return 1 - float(2 ** (self.after - self.before))

    def __str__(self) -> str:
        """One line for people."""
        more = "fewer" if self.bytes >= 0 else "MORE"
        told = (
            f"{abs(self.bytes):.1%} {more} bytes at equal error on {self.fields} fields of later "
            f"times (figure {self.before:.3f} before, {self.after:.3f} after {self.steps} steps)"
        )
        return told if self.bytes > 0 else f"no gain: {told}. Keep the model it started from."


def finetune(
    files: Sequence[Path],
    model: str,
    target: Path,
    *,
    steps: int = _STEPS,
    variables: Sequence[str] | None = None,
    device: str = "cpu",
    tell: Callable[[str], None] = lambda line: None,
    train: Callable[[Run], None] = lambda run: [*run].clear(),
) -> Gain:
    """Train a model further on one's own files, and write it to a folder.

    Parameters
    ----------
    files : sequence of Path
        NetCDF, zarr or GRIB in the order of their times. The earliest 70 % of the times are learned
        from, the next 15 % say when to stop, the last 15 % what was gained.
    model : str
        Name, digest or path of the model to start from.
    target : Path
        Folder of the new model, which is called as the folder is.
    steps : int
        Optimiser steps at most.
    variables : sequence of str, optional
        Only these.
    device : str
        Torch device to train on.
    tell : callable
        Called with a line about what is going on.
    train : callable
        Advances a run to its end.

    Returns
    -------
    Gain
        Also on the card, as ``training["gain"]``.

    Raises
    ------
    OutputError
        If ``target`` exists.
    UsageError
        If its name is none for a model, or there are too few times.
    """
    _check_target(target)
    base = load_model(model)
    parts = parts_of(files, variables)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as work:
        prepared, run, made = (Path(work) / name for name in ("fields", "run", target.name))
        prepared.mkdir()
        tell(f"preparing fields of {', '.join(spec.name for spec in parts.specs)}")
        fields = prepare_parts(parts, prepared, base.card.architecture["level"])
        level = max(field.level for field in fields)
        config = tuning_config(base, target.name, parts.specs, level, steps)
        statics = statics_of(base.folder)
        start, watched = base.folder / WEIGHTS, _watched(level)
        running = open_run(
            config, prepared, statics, run, device=device, start=start, points=watched
        )
        running.validate()
        train(running)
        publish(
            config,
            prepared,
            statics,
            run,
            made,
            tell,
            fields_at=(_FIELDS,),
            points=_card_points(level),
            entropy=base.entropy,
        )
        if statics_of(target).resolve() != statics.resolve():
            shutil.copyfile(statics, made / STATICS)
        _keep_restorer(base, made)
        learned = _tell_start(made, base, config, fields)
        tell("measuring on times that nothing was learned from")
        measured = matching(tuple(fields), ("test/*",))
        held = load_validation(prepared, measured, config.architecture.variables)
        before, after = (_figure(one, held, level) for one in (base, open_model(made)))
        gain = Gain(before, after, learned, len(held))
        _tell(made, gain=asdict(gain) | {"bytes": round(gain.bytes, 4)})
        made.rename(target)
    return gain


def _check_target(target: Path) -> None:
    if not get_args(Name)[1].keep(target.name):
        raise UsageError(
            f"expected a folder whose name is a model's (letters, digits, . _ -); got "
            f"'{target.name}'. Name another."
        )
    if target.exists():
        raise OutputError(f"expected a new folder; got '{target}', which exists. Name another.")


def tuning_config(
    base: Model, name: str, specs: Sequence[FieldSpec], level: int, steps: int
) -> TrainConfig:
    """Configuration of a fine-tuning: as a ``train.toml`` would have it.

    Parameters
    ----------
    base : Model
        To start from.
    name : str
        Of the new model.
    specs : sequence of FieldSpec
        Variables that it is for.
    level : int
        Finest level of their fields.
    steps : int
        Optimiser steps at most.
    """
    shape: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in base.card.architecture.items()
    }
    coarser = FINEST_LEVEL - level  # in octaves: steps are told as those of the finest level
    near = (max(level - 2, BASE_LEVEL + 1), max(level - 1, BASE_LEVEL + 1), level, level)
    return TrainConfig(
        name=name,
        description=f"{base.card.name}, fine-tuned on {', '.join(s.name for s in specs)}.",
        train=("train/*",),
        validation=("val/*",),
        credits=tuple(base.card.training.get("credits", ())),
        serves=tuple(
            {
                "standard_name": spec.standard_name,
                "units": [spec.units],
                "names": [spec.name],
                "long_names": [spec.long_name.lower()] if spec.long_name else [],
            }
            for spec in specs
        ),
        augment=False,
        start=base.card.name,
        steps=steps,
        batch=_BATCH,
        rate=_RATE,
        levels=near,
        log2_step=(-4.0 + coarser, 3.5 + coarser),
        bottlenecks=(max(level - 1, BASE_LEVEL), level, level, level),
        validate_every=max(1, steps // _VALIDATIONS),
        patience=_PATIENCE,
        architecture=Architecture(**shape),
    )


def _at(level: int, *points: tuple[int, float]) -> Points:
    """Points, of bottlenecks so far below the finest level, at steps of that level as told."""
    unit = 2.0 ** (FINEST_LEVEL - level)
    return tuple((max(BASE_LEVEL, level - below), step * unit) for below, step in points)


def _watched(level: int) -> Points:
    return _at(level, (0, 0.25), (0, 1.0), (0, 4.0), (1, 4.0))


def _card_points(level: int) -> Points:
    """Every other octave at the finest level; as many as it takes at the others."""
    finest = ((0, 2.0**octave) for octave in range(-5, 5, 2))
    usual = ((1, 2.0**octave) for octave in range(-2, 8, 3))
    coarse = ((level - at, 2.0**octave) for at in range(BASE_LEVEL, level - 1) for octave in (0, 4))
    return tuple(dict.fromkeys(_at(level, *finest, *usual, *coarse)))


def _keep_restorer(base: Model, made: Path) -> None:
    """Details have the same restorer as before, which was not trained here."""
    if base.card.restorer:
        shutil.copytree(restorer_of(base.folder), made / RESTORER)
        card = json.loads((made / CARD).read_text("utf-8"))
        card["restorer"] = base.card.restorer
        (made / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def _figure(model: Model, held: Sequence[ValidationField], level: int) -> float:
    """Mean figure of a model, payloads as they are stored."""
    coder = model.coder("cpu")
    scores = evaluate(coder.network, coder.statics, held, _watched(level), coder.entropy)
    return round(float(np.mean([score.figure for score in scores])), 4)


def _tell_start(
    made: Path, base: Model, config: TrainConfig, fields: Sequence[PreparedField]
) -> int:
    """Tell on the card what it started from and what was held back; the steps of its own."""
    told = json.loads((made / CARD).read_text("utf-8"))["training"]
    earlier = int(base.card.training["steps"])
    held = [field for field in fields if not field.file.startswith("train/")]
    _tell(
        made,
        steps=earlier + told["steps"],
        of=earlier + config.steps,
        start_weights=base.card.weights,
        hpcodec=version("hpcodec"),
        commit="",  # that of whatever repository one happens to be in
        held=[{"file": f.file, "sha256": f.sha256, "step": f.step} for f in held],
    )
    return int(told["steps"])


def _tell(made: Path, **more: Any) -> None:  # noqa: ANN401  (anything that JSON holds)
    """Add to what the card says of the training."""
    card = json.loads((made / CARD).read_text("utf-8"))
    card["training"] |= more
    (made / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
