from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import GridError, UsageError
from hpcodec.train.fields import (
    UNIT,
    Batch,
    PreparedField,
    TrainingFields,
    cells_from_faces,
    read_index,
)
from tests.tiny import statics
from tests.train.conftest import Lab

STATICS = statics(5)
CPU = torch.device("cpu")
KNOWN = ("air_temperature",)


def opened(lab: Lab, *, augment: bool = True) -> TrainingFields:
    return TrainingFields(
        lab.prepared,
        read_index(lab.prepared)[:5],
        STATICS,
        variables=KNOWN,
        augment=augment,
        device=CPU,
    )


def drawn(fields: TrainingFields, seed: int, count: int = 8) -> Batch:
    return fields.draw(np.random.default_rng(seed), count)


def test_shapes(lab: Lab) -> None:
    batch = drawn(opened(lab), 0)
    assert batch.level == 4
    assert batch.field.shape == (8, 1, 16, 16)
    assert batch.statics.shape == (8, 3, 1, 16, 16)
    assert batch.variable.shape == (8,)
    assert batch.field.dtype == batch.statics.dtype == torch.float32
    assert batch.variable.dtype == torch.int64


@pytest.mark.parametrize("augment", [True, False])
def test_a_draw_is_all_in_its_seed(lab: Lab, augment: bool) -> None:
    first = drawn(opened(lab, augment=augment), 3)
    np.random.default_rng(9).random()
    torch.manual_seed(9)
    again, other = (drawn(opened(lab, augment=augment), seed) for seed in (3, 4))
    for name in ("field", "statics", "variable"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    assert not torch.equal(first.field, other.field)


def test_variables_are_told_sometimes(lab: Lab) -> None:
    told = drawn(opened(lab), 0, 200).variable
    assert set(told.tolist()) == {0, 1}
    stranger = TrainingFields(
        lab.prepared,
        read_index(lab.prepared)[3:5],
        STATICS,
        variables=KNOWN,
        augment=True,
        device=CPU,
    )
    assert set(drawn(stranger, 0, 50).variable.tolist()) == {0}


def prepared_of(folder: Path, faces: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
    folder.mkdir(exist_ok=True)
    np.save(folder / "one.npy", faces)
    field = PreparedField("a.nc", "00", "a", "", "1", 0, 4, 0, 1, "one.npy")
    (folder / "index.json").write_text(json.dumps([asdict(field)]))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_statics_turn_with_the_field(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "turned"
    relief = STATICS[4][0].numpy()
    prepared_of(folder, np.rint(relief / UNIT).astype(np.int16))
    fields = TrainingFields(
        folder, read_index(folder), STATICS, variables=(), augment=False, device=CPU
    )
    batch = drawn(fields, seed)
    torch.testing.assert_close(batch.field, batch.statics[:, 0], rtol=0, atol=0.51 * UNIT)


def test_augmenting_changes_sign_and_size(tmp_path: Path) -> None:
    prepared_of(tmp_path, np.full((12, 16, 16), 128, np.int16))
    index = read_index(tmp_path)
    plain, varied = (
        drawn(
            TrainingFields(tmp_path, index, STATICS, variables=(), augment=augment, device=CPU),
            0,
            40,
        ).field[:, 0, 0, 0]
        for augment in (False, True)
    )
    torch.testing.assert_close(plain, torch.ones(40))
    assert (varied < 0).any()
    assert (varied > 0).any()
    assert len(set(varied.abs().tolist())) == 40


def test_index_round_trip_and_damage(tmp_path: Path) -> None:
    prepared_of(tmp_path, np.zeros((12, 16, 16), np.int16))
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


def test_cells_from_faces() -> None:
    faces = np.arange(-24, 24, dtype=np.int16).reshape(12, 2, 2)
    cells = cells_from_faces(faces)
    assert cells.dtype == np.float32
    np.testing.assert_array_equal(cells, faces / np.float32(128))
    with pytest.raises(GridError):
        cells_from_faces(np.zeros((12, 3, 3), np.int16))
