from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hpcodec.errors import GridError, UsageError
from hpcodec.train.fields import (
    Batch,
    PreparedField,
    TrainingFields,
    cells_from_faces,
    read_index,
)
from tests.tiny import statics
from tests.train.conftest import Lab

CPU = torch.device("cpu")
KNOWN = ("air_temperature",)
UNIT = 1 / 4096

Faces = npt.NDArray[np.int16]


@lru_cache(maxsize=1)
def known() -> dict[int, Tensor]:
    return statics(9)


def opened(
    folder: Path,
    fields: Sequence[PreparedField] | None = None,
    *,
    levels: Sequence[int] = (4, 5),
    augment: bool = False,
) -> TrainingFields:
    return TrainingFields(
        folder,
        read_index(folder) if fields is None else fields,
        known(),
        levels=levels,
        variables=KNOWN,
        augment=augment,
        device=CPU,
    )


def drawn(fields: TrainingFields, seed: int, count: int = 2) -> Batch:
    return fields.draw(np.random.default_rng(seed), count)


def prepared_of(folder: Path, *fields: Faces, unit: float = UNIT) -> Path:
    """Folder of fields of one variable, each at the level of its faces."""
    folder.mkdir(exist_ok=True)
    index = []
    for number, faces in enumerate(fields):
        level, array = faces.shape[-1].bit_length() - 1, f"{number}.npy"
        np.save(folder / array, faces)
        index.append(PreparedField("a.nc", "00", "a", "", "1", number, level, 0, 1, unit, array))
    (folder / "index.json").write_text(json.dumps([asdict(field) for field in index]))
    return folder


def even(level: int, value: float = 1.0) -> Faces:
    """A field that is the same everywhere."""
    return np.full((12, 2**level, 2**level), round(value / UNIT), np.int16)


@pytest.fixture(scope="module")
def relief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One field of level 9 that is its own orography."""
    faces = np.rint(known()[9][0].numpy() / UNIT).astype(np.int16)
    return prepared_of(tmp_path_factory.mktemp("relief"), faces)


# Batches


@pytest.mark.parametrize(
    ("level", "count", "shape"),
    [
        (4, 1, (10, 12, 16, 16)),
        (5, 3, (8, 12, 32, 32)),
        (7, 1, (1, 12, 128, 128)),
        (8, 3, (3, 1, 256, 256)),
        (9, 2, (2, 1, 256, 256)),
    ],
)
def test_spheres_faces_and_parts_of_them(
    relief: Path, level: int, count: int, shape: tuple[int, ...]
) -> None:
    batch = drawn(opened(relief, levels=(level,)), 0, count)
    assert batch.level == level
    assert batch.field.shape == shape
    assert batch.statics.shape == (shape[0], 3, *shape[1:])
    assert batch.variable.shape == shape[:1]
    assert batch.field.dtype == batch.statics.dtype == torch.float32
    assert batch.variable.dtype == torch.int64


@pytest.mark.parametrize("level", [3, 5, 7, 8, 9])
@pytest.mark.parametrize("seed", range(3))
def test_statics_are_those_of_the_field(relief: Path, level: int, seed: int) -> None:
    """Whichever faces and parts are drawn, however they are turned, averaged where finer."""
    batch = drawn(opened(relief, levels=(level,)), seed)
    torch.testing.assert_close(batch.field, batch.statics[:, 0], rtol=0, atol=0.51 * UNIT)
    assert float(batch.field.std()) > 10 * UNIT  # they could not agree by being the same all over


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), level=st.sampled_from([4, 8]))
def test_statics_turn_with_the_field(relief: Path, seed: int, level: int) -> None:
    fields = opened(relief, levels=(level,))
    batch = drawn(fields, seed, 1)
    torch.testing.assert_close(batch.field, batch.statics[:, 0], rtol=0, atol=0.51 * UNIT)


@pytest.mark.parametrize("level", [4, 8])
def test_batches_are_turned(tmp_path: Path, level: int) -> None:
    """A field whose faces are all alike but which no symmetry leaves as it is."""
    face = np.arange(4**level).reshape(2**level, 2**level) % 30011
    folder = prepared_of(tmp_path, np.stack([face] * 12).astype(np.int16))
    batch = drawn(opened(folder, levels=(level,)), 0, 20)
    corners = {tuple(one[0, [0, -1], [0, -1]].tolist()) for one in batch.field}
    assert len(corners) > 1


def test_all_parts_of_all_faces_are_drawn(tmp_path: Path) -> None:
    """Faces of level 9 whose quarters have numbers; a part lies in one of them."""
    quarters = np.arange(48).reshape(12, 2, 2).repeat(256, 1).repeat(256, 2)
    fields = opened(prepared_of(tmp_path, quarters.astype(np.int16), unit=1.0), levels=(9,))
    seen = set()
    for seed in range(16):
        batch = drawn(fields, seed, 4)
        assert (batch.field == batch.field[..., :1, :1]).all()
        seen |= set(batch.field[:, 0, 0, 0].int().tolist())
    assert {number // 4 for number in seen} == set(range(12))
    assert {number % 4 for number in seen} == set(range(4))


# Levels


def test_finer_fields_are_averaged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(-3000, 3000, (12, 32, 32)).astype(np.int16)
    batch = drawn(opened(prepared_of(tmp_path, faces), levels=(4,)), 0, 1)
    means = faces.reshape(12, 16, 2, 16, 2).mean((2, 4)) * UNIT
    for sphere in batch.field.numpy():
        np.testing.assert_allclose(np.sort(sphere.ravel()), np.sort(means.ravel()), atol=1e-6)


def test_coarser_fields_are_never_drawn(tmp_path: Path) -> None:
    fields = opened(prepared_of(tmp_path, even(4, 1), even(5, 2)))
    found: dict[int, set[float]] = {4: set(), 5: set()}
    for seed in range(20):
        batch = drawn(fields, seed)
        found[batch.level] |= set(batch.field.flatten().tolist())
    assert found[5] == {2.0}
    assert {1.0, 2.0} < found[4]  # and mixtures


def test_levels_that_no_field_reaches_are_left_out(tmp_path: Path) -> None:
    folder = prepared_of(tmp_path, even(4))
    fields = opened(folder, levels=(4, 5, 9))
    assert {drawn(fields, seed).level for seed in range(20)} == {4}
    with pytest.raises(UsageError, match="fields of level 5 or finer; got none"):
        opened(folder, levels=(6, 5))


def test_levels_are_drawn_as_often_as_they_are_named(tmp_path: Path) -> None:
    fields = opened(prepared_of(tmp_path, even(5)), levels=(3, 4, 4, 4))
    levels = [drawn(fields, seed, 1).level for seed in range(80)]
    assert 45 < levels.count(4) < 75


# Chance


@pytest.mark.parametrize("augment", [True, False])
def test_a_draw_is_all_in_its_seed(lab: Lab, augment: bool) -> None:
    first = drawn(opened(lab.prepared, augment=augment), 3)
    np.random.default_rng(9).random()
    torch.manual_seed(9)
    again, other = (drawn(opened(lab.prepared, augment=augment), seed) for seed in (3, 4))
    assert again.level == first.level
    for name in ("field", "statics", "variable"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    assert not torch.equal(first.field, other.field)


def test_what_was_drawn_before_does_not_matter(lab: Lab) -> None:
    """Spheres are kept; a batch may not change those that are yet to come."""
    fields = opened(lab.prepared)
    for seed in (1, 2, 3):
        drawn(fields, seed).field.fill_(7)
    assert torch.equal(drawn(fields, 5).field, drawn(opened(lab.prepared), 5).field)


def test_variables_are_told_sometimes(lab: Lab) -> None:
    index = read_index(lab.prepared)
    told = drawn(opened(lab.prepared, index[:5], augment=True), 0, 8).variable
    assert set(told.tolist()) == {0, 1}
    stranger = opened(lab.prepared, index[3:5], augment=True)
    assert set(drawn(stranger, 0, 8).variable.tolist()) == {0}


@pytest.mark.parametrize("level", [4, 8])
def test_augmenting_changes_sign_and_size(tmp_path: Path, level: int) -> None:
    folder = prepared_of(tmp_path, even(level))
    plain, varied = (
        drawn(opened(folder, levels=(level,), augment=augment), 0, 10).field.flatten(1)
        for augment in (False, True)
    )
    torch.testing.assert_close(plain, torch.ones_like(plain))
    assert torch.equal(varied, varied[:, :1].expand_as(varied))
    sizes = varied[:, 0]
    assert (sizes < 0).any()
    assert (sizes > 0).any()
    assert len(set(sizes.abs().tolist())) == len(sizes)


# Files


def test_index_round_trip_and_damage(tmp_path: Path) -> None:
    prepared_of(tmp_path, even(4))
    (field,) = read_index(tmp_path)
    assert replace(field, step=0) == field
    index = tmp_path / "index.json"
    for text in ("", "{", "[1]", '[{"file": "a"}]', "null", '[{"unknown": 3}]'):
        index.write_text(text)
        with pytest.raises(UsageError, match="expected prepared fields in"):
            read_index(tmp_path)
    index.unlink()
    with pytest.raises(UsageError, match="expected prepared fields in"):
        read_index(tmp_path)


def test_numbers_are_in_the_unit_of_their_field(tmp_path: Path) -> None:
    index = read_index(prepared_of(tmp_path, even(4), even(4)))
    units = [replace(field, unit=unit) for field, unit in zip(index, (0.5, 0.125), strict=True)]
    found = [drawn(opened(tmp_path, [one], levels=(4,)), 0).field for one in units]
    assert set(found[0].flatten().tolist()) == {4096 * 0.5}
    assert set(found[1].flatten().tolist()) == {4096 * 0.125}


def test_cells_from_faces() -> None:
    faces = np.arange(-24, 24, dtype=np.int16).reshape(12, 2, 2)
    cells = cells_from_faces(faces, 1 / 128)
    assert cells.dtype == np.float32
    np.testing.assert_array_equal(cells, faces / np.float32(128))
    with pytest.raises(GridError):
        cells_from_faces(np.zeros((12, 3, 3), np.int16), 1.0)
