"""A tiny network, entropy model and data: everything that tests of the learned part share."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import healpy
import numpy as np
import numpy.typing as npt
import pytest
import torch
import xarray as xr
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from torch import Tensor

from hpcodec.cards import CARD
from hpcodec.entropy.activity import COMPONENTS, FEATURES, Known, known_features
from hpcodec.entropy.arrays import to_arrays
from hpcodec.entropy.band_features import SIGNED, SIZES
from hpcodec.entropy.band_network import ACTIVITIES, LEANS, OUTPUTS, BandNetwork
from hpcodec.entropy.band_network import HIDDEN as STATES
from hpcodec.entropy.band_places import BANDS, PASSES
from hpcodec.entropy.integer_network import HIDDEN, ActivityNetwork
from hpcodec.entropy.tables import LARGEST, TABLE_SHAPE, TOTAL, EntropyModel, Tables
from hpcodec.fields import CompressedField, Scaling
from hpcodec.grid import BASE_LEVEL, FINEST_LEVEL, cell_count
from hpcodec.models import file_digest
from hpcodec.networks.architecture import Architecture
from hpcodec.networks.field_space import FieldSpaceAutoencoder, Setting
from hpcodec.networks.sphere import to_faces
from hpcodec.restorers import WEIGHTS
from hpcodec.stages.transform import Coder, static_pyramid
from hpcodec.stages.wire import pack
from hpcodec.train import entropy as training
from tests.synthetic import axes, waves

Floats = npt.NDArray[np.float32]
Statics = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]


def architecture(level: int = 5, variables: tuple[str, ...] = ()) -> Architecture:
    return Architecture(
        level=level,
        width=32,
        heads=2,
        expansion=1,
        blocks=1,
        attend=4,
        attended=3,
        local_width=8,
        local_blocks=2,
        fine_width=4,
        fine_blocks=2,
        encoder_width=16,
        encoder_blocks=1,
        features=2,
        variables=variables,
    )


def network(level: int = 5, seed: int = 0) -> FieldSpaceAutoencoder:
    """Untrained: expects no residuals. Level 4 attends, 5 does without, finer ones are thin."""
    torch.manual_seed(seed)
    return FieldSpaceAutoencoder(architecture(level)).eval()


def awake(level: int = 5, seed: int = 0) -> FieldSpaceAutoencoder:
    """With all parameters random, so that every part has a say."""
    built = network(level, seed)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0, 0.1)
    return built


def static_fields(level: int, seed: int = 1) -> Statics:
    """Orography in metres, land in parts of 255: ``(12 * 4**level,)`` each."""
    rng = np.random.default_rng(seed)
    cells = cell_count(level)
    orography = rng.integers(0, 4000, cells).astype(np.int16)
    return orography, rng.integers(0, 256, cells).astype(np.uint8)


def statics(level: int = 5) -> dict[int, Tensor]:
    return static_pyramid(*static_fields(level))


def batch_of(pyramid: dict[int, Tensor], count: int) -> dict[int, Tensor]:
    return {level: field.expand(count, *field.shape) for level, field in pyramid.items()}


def setting(count: int = 1, step: float = 1.0, bottleneck: int = 4) -> Setting:
    return Setting(torch.zeros(count, dtype=torch.int64), torch.full((count,), step), bottleneck)


def coder(level: int = 5, seed: int = 0, entropy: EntropyModel | None = None) -> Coder:
    return Coder(awake(level, seed).requires_grad_(False), statics(level), entropy)


def step_of(step: float, level: int = 5) -> float:
    """Step of level 9, which is the one that is told, for one of ``step`` at ``level``."""
    return step * 2.0 ** (FINEST_LEVEL - level)


def directions(nside: int) -> npt.NDArray[np.float64]:
    """Unit vectors of all cells in the order of the flattened faces: ``(12 * nside**2, 3)``."""
    cells = to_faces(torch.arange(12 * nside**2)).flatten().numpy()
    return np.stack(healpy.pix2vec(nside, cells, nest=True), -1)


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


@lru_cache(maxsize=1)
def known() -> Known:
    """What an entropy model knows of an Earth with relief and coasts everywhere, all levels."""
    return known_features(*static_fields(FINEST_LEVEL))


def activity_network(seed: int = 0) -> ActivityNetwork:
    """Random weights, of which activities come out all over the tables and beyond."""
    rng = np.random.default_rng(seed)
    shapes = [(COMPONENTS, FEATURES, HIDDEN), (COMPONENTS, HIDDEN, HIDDEN), (COMPONENTS, HIDDEN, 1)]
    ranges = ((12, 4000, 2000), (12, 2000, 1000), (60, 1, 40 << 8))
    weights, biases = [], []
    for shape, (most, reach, middle) in zip(shapes, ranges, strict=True):
        weights.append(rng.integers(-most, most + 1, shape).astype(np.int8))
        drawn = middle + rng.integers(-reach, reach + 1, (COMPONENTS, shape[-1]))
        biases.append(drawn.astype(np.int32))
    return ActivityNetwork(tuple(weights), tuple(biases))


@lru_cache(maxsize=4)
def flat_entropy(seed: int = 0) -> EntropyModel:
    """Chooses among tables at random, all of them flat."""
    return EntropyModel(flat_tables(), activity_network(seed), known())


@lru_cache(maxsize=1)
def fitted_entropy() -> EntropyModel:
    """Learned, if not for long, from fields of small, middling and large symbols."""
    fields = [compressed_field(5, size, seed) for seed, size in enumerate((0.3, 2, 9))]
    with pytest.MonkeyPatch.context() as patch:
        shorten_fit(patch)
        return training.fit_entropy(fields, known())


def shorten_fit(patch: pytest.MonkeyPatch) -> None:
    """Learning of an entropy model in a second, not in a minute."""
    patch.setattr(training, "_STEPS", 120)
    patch.setattr(training, "_BATCH", 1024)


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
    assert (left.limits, left.carry) == (right.limits, right.carry)
    nothing = (0,) * len(left.residuals)  # what a payload has where nobody measured
    assert (left.power or nothing) == (right.power or nothing)


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
    orography, land = static_fields(FINEST_LEVEL, 4)
    save_file({"orography": orography, "land": land}, path)
    return path


def write_model(folder: Path, level: int = 5) -> None:
    """A model that guesses nothing, named as its folder, but codes what is small in few bytes."""
    folder.mkdir(parents=True)
    shared = write_statics(folder / "statics.safetensors")
    built, entropy = network(level).requires_grad_(False), fitted_entropy()
    arrays = {name: torch.from_numpy(array) for name, array in to_arrays(entropy).items()}
    save_tensors(built.state_dict() | arrays, folder / WEIGHTS)
    card = {
        "name": folder.name,
        "description": "A model for tests.",
        "architecture": asdict(built.architecture),
        "operating_points": points(Coder(built, statics(level), entropy), level),
        "weights": file_digest(folder / WEIGHTS),
        "statics": file_digest(shared),
        "training": {"steps": 1},
    }
    (folder / CARD).write_text(json.dumps(card), "utf-8")


def points(coder: Coder, level: int) -> list[dict[str, float]]:
    """What the model does at some steps, on a field that is none of those below."""
    cells, found = smooth_cells(level), []
    for bottleneck in range(3, level + 1):
        for step in (step_of(2.0**octave, level) for octave in (-5, -3, -1, 1, 3)):
            (field,), told = coder.encode(
                cells, scaling=[Scaling(0, 1)], bottleneck=bottleneck, steps=[step]
            )
            size = len(pack(field, fitted_entropy()))
            rmse = float(np.sqrt(np.mean((told - cells) ** 2)))
            found.append({"bottleneck": bottleneck, "step": step, "size": size, "rmse": rmse})
    return found


def band_network(seed: int) -> BandNetwork:
    """A network of bands with random weights, as large as they may be, and even tables."""
    random = np.random.default_rng(seed)
    both = (len(PASSES), BANDS)
    shapes: list[tuple[int, ...]] = [(BANDS, signed + SIZES, STATES) for signed in SIGNED]
    shapes += [(*both, STATES, STATES), (*both, STATES, OUTPUTS)]
    biases = [(*both, STATES), (*both, STATES), (*both, OUTPUTS)]
    return BandNetwork(
        tuple(random.integers(-127, 128, one).astype(np.int8) for one in shapes),
        tuple(random.integers(-(1 << 14), 1 << 14, one).astype(np.int32) for one in biases),
        np.full((ACTIVITIES * LEANS, 2 * LARGEST + 1), TOTAL // 64, np.int32),
    )
