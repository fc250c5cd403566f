"""A tiny data folder, prepared once, and a tiny run on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from hpcodec.train.config import TrainConfig
from hpcodec.train.loop import Run
from hpcodec.train.prepare import prepare
from hpcodec.train.run import open_run
from tests.tiny import architecture, write_data, write_statics


@dataclass(frozen=True)
class Lab:
    """Folders that training reads."""

    data: Path
    prepared: Path
    statics: Path
    config: TrainConfig

    def open(self, folder: Path, *, resume: bool = False, start: Path | None = None) -> Run:
        return open_run(
            self.config, self.prepared, self.statics, folder, resume=resume, start=start
        )


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    config = TrainConfig(
        name="tiny",
        description="A model for tests.",
        train=("train/*.nc",),
        validation=("val/*.nc",),
        credits=("Made up.",),
        steps=6,
        batch=1,
        validate_every=3,
        levels=(4, 5),
        bottlenecks=(3, 4, 5),
        architecture=architecture(5, ("air_temperature",)),
    )
    data = write_data(folder / "data")
    prepare(data, (*config.train, *config.validation), folder / "prepared")
    return Lab(data, folder / "prepared", write_statics(folder / "statics.safetensors"), config)


@pytest.fixture(scope="session")
def finished(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """Folder of a run that went through, and its losses."""
    folder = tmp_path_factory.mktemp("finished")
    losses = [float(report.loss) for report in lab.open(folder)]
    return folder, losses
