"""A training run from its configuration: prepare, build, train, report.

TrainConfig, data folder --open_run--> Run
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from hpcodec.errors import UsageError
from hpcodec.networks.field_space import FieldSpaceAutoencoder
from hpcodec.stages.transform import static_pyramid
from hpcodec.train.config import TrainConfig
from hpcodec.train.evaluate import POINTS, load_validation
from hpcodec.train.fields import PreparedField, TrainingFields, read_index
from hpcodec.train.loop import Run, measure_spread

__all__ = ["matching", "open_run", "require_checkpoint"]


def matching(fields: tuple[PreparedField, ...], patterns: tuple[str, ...]) -> list[PreparedField]:
    """Prepared fields whose file matches one of ``patterns``.

    Raises
    ------
    UsageError
        If none does.
    """
    found = [f for f in fields if any(fnmatch(f.file, pattern) for pattern in patterns)]
    if not found:
        raise UsageError(f"expected prepared fields of files {list(patterns)}; got none of them.")
    return found


def open_run(
    config: TrainConfig,
    prepared: Path,
    statics: Path,
    folder: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    start: Path | None = None,
    points: Sequence[tuple[int, float]] = POINTS,
) -> Run:
    """A run that is ready to train.

    Parameters
    ----------
    config : TrainConfig
        What to train.
    prepared : Path
        Folder made by :func:`hpcodec.train.prepare.prepare`.
    statics : Path
        Safetensors file made by :func:`hpcodec.train.statics.make_statics`.
    folder : Path
        For checkpoints and metrics.
    device : str
        Torch device.
    resume : bool
        Go on from the checkpoint in ``folder``.
    start : Path, optional
        Safetensors file of the weights to start from: those whose name and shape agree.
    points : sequence of (int, float)
        Bottleneck levels and quantisation steps to validate at.

    Raises
    ------
    UsageError
        If the folder has a run and ``resume`` is off, or has none and it is on.
    """
    require_checkpoint(folder, resume=resume)
    torch.manual_seed(config.seed)
    known = config.architecture.variables
    target = torch.device(device)
    torch.set_float32_matmul_precision("high")
    static = load_file(statics)
    pyramid = static_pyramid(static["orography"], static["land"])
    index = read_index(prepared)
    fields = TrainingFields(
        prepared,
        matching(index, config.train),
        pyramid,
        levels=config.levels,
        variables=known,
        augment=config.augment,
        device=target,
    )
    network = FieldSpaceAutoencoder(config.architecture).to(target)
    if start is not None:
        network.load_state_dict(_agreeing(start, network))
    else:
        measure_spread(network, fields)
    validation = load_validation(prepared, matching(index, config.validation), known)
    on_device = {level: field.to(target) for level, field in pyramid.items()}
    run = Run(config, network, fields, validation, on_device, folder, points)
    if resume:
        run.resume()
    return run


def require_checkpoint(folder: Path, *, resume: bool) -> None:
    """Refuse to begin where a run is, and to resume where none is.

    Raises
    ------
    UsageError
        If the folder has a run and ``resume`` is off, or has none and it is on.
    """
    if resume != (folder / "checkpoint.pt").exists():
        state, advice = ("no", "Drop --resume") if resume else ("a", "Give --resume or another one")
        raise UsageError(f"{folder} has {state} checkpoint. {advice}.")


def _agreeing(path: Path, network: FieldSpaceAutoencoder) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = network.state_dict()
    for name, value in load_file(path).items():
        if name in state and tuple(state[name].shape) == value.shape:
            state[name] = torch.from_numpy(np.asarray(value))
    return state
