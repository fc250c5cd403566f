"""``hpcodec train``: prepare the fields, train with a progress display, publish the model.

TOML, data folder --run_training--> model;   model, files --run_finetuning--> model
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hpcodec.errors import ModelError, UsageError
from hpcodec.model_folders import STATICS, find_models, search_path
from hpcodec.models import resolve_device
from hpcodec.restorers import WEIGHTS
from hpcodec.train.bands import bands_config, train_bands
from hpcodec.train.config import TrainConfig, read_config, read_toml
from hpcodec.train.examples import make_examples
from hpcodec.train.finetune import finetune
from hpcodec.train.loop import Run
from hpcodec.train.prepare import prepare
from hpcodec.train.publish import publish
from hpcodec.train.restorer import (
    RestorerConfig,
    RestorerRun,
    publish_restorer,
    restorer_config,
)
from hpcodec.train.run import open_run, require_checkpoint
from hpcodec.train.statics import make_statics

__all__ = ["run_training"]

# Losses are shown as means over the last this many steps.
_SHOWN = 20


def run_training(
    config_path: Path,
    data: Path,
    folder: Path,
    *,
    prepared: Path,
    resume: bool,
    publish_to: Path | None,
    device: str,
    quiet: bool,
) -> None:
    """Run one training from its configuration to the published model.

    Parameters
    ----------
    config_path : Path
        TOML file; see :class:`hpcodec.train.config.TrainConfig`.
    data : Path
        Folder that the configuration's patterns are below.
    folder, prepared : Path
        For checkpoints and metrics; for remapped fields.
    resume : bool
        Go on from the checkpoint in ``folder``.
    publish_to : Path, optional
        Folder of the model to write at the end.
    device : str
        Torch device, or ``auto``.
    quiet : bool
        No progress on stderr.
    """
    console = Console(stderr=True, quiet=quiet)
    if (told := read_toml(config_path)).get("kind") == "restorer":
        wanted = restorer_config(told, config_path)
        restored = _train_restorer(wanted, data, folder, prepared, device, console, resume=resume)
        if publish_to is not None:
            publish_restorer(restored, publish_to)
            print(publish_to)  # noqa: T201  (the result of the command)
        return
    if told.get("kind") == "bands":
        if publish_to is None:
            raise UsageError("expected a folder to write a network of bands to. Add --publish.")
        model = next(iter(find_models().values()))  # any: all have the same static fields
        for line in train_bands(bands_config(told, config_path), data, publish_to, model=model):
            console.print(line)
        print(publish_to)  # noqa: T201  (the result of the command)
        return
    config = read_config(config_path)
    if not (prepared / "index.json").exists():
        console.print(f"preparing the fields of {data} in {prepared}")
        prepare(data, (*config.train, *config.validation), prepared)
    statics = _statics(data, console)
    run = open_run(
        config,
        prepared,
        statics,
        folder,
        device=resolve_device(device),
        resume=resume,
        start=None if resume else _start(config),
    )
    _train(run, console)
    if publish_to is not None:
        publish(config, prepared, statics, folder, publish_to, console.print)
        print(publish_to)  # noqa: T201  (the result of the command)


def run_finetuning(
    files: Sequence[Path],
    model: str,
    target: Path,
    *,
    steps: int | None,
    variables: Sequence[str] | None,
    device: str,
    quiet: bool,
) -> None:
    """Fine-tune a model on one's own files, and say what it was worth.

    Parameters
    ----------
    files, model, target, variables
        See :func:`hpcodec.train.finetune.finetune`.
    steps : int, optional
        Optimiser steps at most; as many as that function has by default.
    device : str
        Torch device, or ``auto``.
    quiet : bool
        No progress on stderr.
    """
    console = Console(stderr=True, quiet=quiet)
    gain = finetune(
        files,
        model,
        target,
        variables=variables,
        device=resolve_device(device),
        tell=console.print,
        train=lambda run: _train(run, console),
        **({} if steps is None else {"steps": steps}),
    )
    print(f"{target}: {gain}")  # noqa: T201  (the result of the command)


def _statics(data: Path, console: Console) -> Path:
    """File of the static fields: the one shipped, or made from ``data`` where none is."""
    for folder in search_path():
        if (folder / STATICS).exists():
            return folder / STATICS
    target = Path(tempfile.mkdtemp()) / STATICS
    console.print(f"making static fields in {target}")
    found = {name: next((data / "static").glob(f"{name}*.nc")) for name in ("zs", "lsm")}
    make_statics(found["zs"], found["lsm"], target)
    return target


def _start(config: TrainConfig) -> Path | None:
    if not config.start:
        return None
    models = find_models()
    if config.start not in models:
        raise ModelError(f"expected model '{config.start}' to start from; it is not installed.")
    return models[config.start] / WEIGHTS


def _train(run: Run, console: Console) -> None:
    """Advance a run to its end, telling loss, validation errors and time left."""
    hidden = console.quiet or not sys.stderr.isatty()
    with _progress(console, hidden=hidden) as progress:
        task = progress.add_task("", total=run.config.steps, completed=run.step, loss="")
        for report in run:
            if report.step % _SHOWN == 0:
                loss = f"loss {float(report.loss):.3f}"
                progress.update(task, completed=report.step, loss=loss)
            if report.scores:
                finest = max(score.bottleneck for score in report.scores)
                lines = ", ".join(
                    f"{s.name.split()[0]} {s.rmse:.3g} in {s.size:,}"
                    for s in report.scores
                    if s.bottleneck == finest
                )
                console.print(f"step {report.step}: validation RMSE in bytes: {lines}")


def _train_restorer(
    config: RestorerConfig,
    data: Path,
    folder: Path,
    prepared: Path,
    device: str,
    console: Console,
    *,
    resume: bool,
) -> RestorerRun:
    """Make the examples, and advance a run to its end, telling loss and validation errors."""
    require_checkpoint(folder, resume=resume)
    if not (prepared / "index.json").exists():
        console.print(f"coding the fields of {data} in {prepared}")
        model = next(iter(find_models().values()))  # any: all have the same static fields
        make_examples(
            data, config.train, prepared, model=model, shares=config.shares, seed=config.seed
        )
        make_examples(
            data, config.validation, prepared, model=model, shares=config.validation_shares
        )
    run = RestorerRun(config, prepared, folder, resolve_device(device))
    if resume:
        run.resume()
    hidden = console.quiet or not sys.stderr.isatty()
    with _progress(console, hidden=hidden) as progress:
        task = progress.add_task("", total=config.steps, completed=run.step, loss="")
        for step, loss, scores in run:
            if step % _SHOWN == 0:
                progress.update(task, completed=step, loss=f"loss {loss:.3f}")
            if scores:
                told = ", ".join(f"{one['field'][:12]} {one['error']:.3f}" for one in scores)
                console.print(f"step {step}: error over that without: {told}")
    return run


def _progress(console: Console, *, hidden: bool) -> Progress:
    columns = (
        TextColumn("train {task.fields[loss]}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=hidden)
