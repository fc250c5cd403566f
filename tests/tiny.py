"""A tiny network, tables and data: everything that tests of the learned part share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from safetensors.numpy import save_file
from torch import Tensor

from hpcodec.entropy import LARGEST, TABLE_SHAPE, TOTAL, Tables
from hpcodec.fields import CompressedField
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count
from hpcodec.networks.field_space import Architecture, FieldSpaceAutoencoder, Setting
from hpcodec.stages.transform import Coder, static_pyramid
from tests.synthetic import axes, waves

Floats = npt.NDArray[np.float32]


def architecture(level: int = 5, variables: tuple[str, ...] = ()) -> Architecture:
    return Architecture(
        level=level,
        width=32,
        heads=2,
        expansion=1,
        blocks=1,
        encoder_width=16,
        encoder_blocks=1,
        features=2,
        variables=variables,
    )


def network(level: int = 5, seed: int = 0) -> FieldSpaceAutoencoder:
    """Untrained: predicts no residuals."""
    torch.manual_seed(seed)
    return FieldSpaceAutoencoder(architecture(level)).eval()


def awake(level: int = 5, seed: int = 0) -> FieldSpaceAutoencoder:
    """With all parameters random, so that every part has a say."""
    built = network(level, seed)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0, 0.1)
    return built


def statics(level: int = 5) -> dict[int, Tensor]:
    rng = np.random.default_rng(1)
    cells = cell_count(level)
    orography = rng.integers(0, 4000, cells).astype(np.int16)
    return static_pyramid(orography, rng.integers(0, 256, cells).astype(np.uint8))


def batch_of(pyramid: dict[int, Tensor], count: int) -> dict[int, Tensor]:
    return {level: field.expand(count, *field.shape) for level, field in pyramid.items()}


def setting(count: int = 1, step: float = 1.0, bottleneck: int = 4) -> Setting:
    return Setting(torch.zeros(count, dtype=torch.int64), torch.full((count,), step), bottleneck)


def coder(level: int = 5, seed: int = 0) -> Coder:
    return Coder(awake(level, seed).requires_grad_(False), statics(level))


def smooth_cells(level: int = 5, count: int = 1, seed: int = 0) -> Floats:
    """Fields with detail on every level, normalised to about one: ``(count, cells)``."""
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(count, cell_count(BASE_LEVEL)))
    for at in range(BASE_LEVEL + 1, level + 1):
        field = field.repeat(4, -1) + rng.normal(0, 0.5, (count, cell_count(at)))
    return np.asarray(field, np.float32)


def flat_tables() -> Tables:
    """Every symbol as likely as any other."""
    tables = np.full(TABLE_SHAPE, TOTAL // TABLE_SHAPE[-1], np.int64)
    tables[..., LARGEST] += TOTAL - tables.sum(-1)
    return tables


def compressed_field(bottleneck: int = 5, size: float = 3, seed: int = 0) -> CompressedField:
    """Random symbols, the bulk of them up to about ``size``."""
    rng = np.random.default_rng(seed)

    def symbols(*shape: int) -> npt.NDArray[np.int32]:
        drawn = np.rint(rng.laplace(0, size, shape))
        return np.asarray(np.clip(drawn, -(2**31), 2**31 - 1), np.int64).astype(np.int32)

    levels = range(BASE_LEVEL + 1, bottleneck + 1)
    return CompressedField(
        base=symbols(cell_count(BASE_LEVEL)),
        residuals=tuple(symbols(3, cell_count(level - 1)) for level in levels),
        offset=float(np.float32(273.15)),
        scale=float(np.float32(1.7)),
        step=0.25,
    )


def assert_same(left: CompressedField, right: CompressedField) -> None:
    np.testing.assert_array_equal(left.base, right.base)
    assert left.bottleneck == right.bottleneck
    for mine, theirs in zip(left.residuals, right.residuals, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (left.offset, left.scale, left.step) == (right.offset, right.scale, right.step)


def write_netcdf(path: Path, name: str, standard_name: str, *, steps: int, seed: int) -> None:
    """Fields on a 5-degree grid."""
    attributes = {"standard_name": standard_name, "units": "K"}
    field = (("time", "lat", "lon"), waves(steps, seed=seed), attributes)
    path.parent.mkdir(parents=True, exist_ok=True)
    xr.Dataset({name: field}, coords=axes()).to_netcdf(path)


def write_data(folder: Path) -> Path:
    """Two variables to train on, one file to validate on."""
    write_netcdf(folder / "train/tas.nc", "tas", "air_temperature", steps=3, seed=1)
    write_netcdf(folder / "train/ts.nc", "ts", "surface_temperature", steps=2, seed=2)
    write_netcdf(folder / "val/tas.nc", "tas", "air_temperature", steps=1, seed=3)
    return folder


def write_statics(path: Path) -> Path:
    rng = np.random.default_rng(4)
    cells = cell_count(FINEST_LEVEL)
    orography = rng.integers(0, 3000, cells).astype(np.int16)
    save_file({"orography": orography, "land": rng.integers(0, 256, cells).astype(np.uint8)}, path)
    return path
