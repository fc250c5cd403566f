from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from hpcodec.errors import MissingValueError, UsageError
from hpcodec.networks.sphere import to_nested
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from hpcodec.stages.healpix import remap_for
from hpcodec.train.fields import cells_from_faces, read_index
from hpcodec.train.prepare import prepare
from tests.train.conftest import Lab


def test_index(lab: Lab) -> None:
    fields = read_index(lab.prepared)
    assert [(field.file, field.variable, field.step) for field in fields] == [
        ("train/tas.nc", "tas", 0),
        ("train/tas.nc", "tas", 1),
        ("train/tas.nc", "tas", 2),
        ("train/ts.nc", "ts", 0),
        ("train/ts.nc", "ts", 1),
        ("val/tas.nc", "tas", 0),
    ]
    with open_source(str(lab.data / "val/tas.nc")) as source:
        (spec,) = find_fields(source)
    # One finer than the grid's own, as fields are compressed.
    assert {field.level for field in fields} == {spec.grid.natural_level + 1} == {5}
    assert {field.units for field in fields} == {"K"}
    assert len({field.array for field in fields}) == len(fields)


def test_faces_are_the_remapped_fields(lab: Lab) -> None:
    item = read_index(lab.prepared)[1]
    faces = np.load(lab.prepared / item.array)
    assert faces.shape == (12, 32, 32)
    assert faces.dtype == np.int16
    cells = to_nested(torch.from_numpy(cells_from_faces(faces, item.unit))).numpy()
    with open_source(str(lab.data / item.file)) as source:
        (spec,) = find_fields(source)
        (values,) = read_steps(source, spec, item.step, item.step + 1)
    wanted = remap_for(spec.grid, item.level).to_healpix(values)
    np.testing.assert_allclose(
        cells * item.scale + item.offset, wanted, atol=0.51 * item.unit * item.scale
    )


def test_units_take_all_of_what_16_bits_hold(lab: Lab) -> None:
    """Each field its own: however far its values reach, none is cut off."""
    fields = read_index(lab.prepared)
    for item in fields:
        assert np.abs(np.load(lab.prepared / item.array).astype(int)).max() == 32767
    assert len({item.unit for item in fields}) == len(fields)


def test_a_field_of_one_value(lab: Lab, tmp_path: Path) -> None:
    with xr.open_dataset(lab.data / "val/tas.nc") as source:
        flat = source.load()
    flat["tas"][:] = 280.0
    flat.to_netcdf(tmp_path / "flat.nc")
    (item,) = prepare(tmp_path, ("flat.nc",), tmp_path / "prepared")
    cells = cells_from_faces(np.load(tmp_path / "prepared" / item.array), item.unit)
    np.testing.assert_allclose(cells * item.scale + item.offset, 280, rtol=1e-6)


def test_no_field_is_prepared_finer_than_models_go(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpcodec.train.prepare.FINEST_LEVEL", 4)
    (item,) = prepare(lab.data, ("val/*.nc",), tmp_path)
    assert item.level == 4
    assert np.load(tmp_path / item.array).shape == (12, 16, 16)


def test_preparing_again_gives_the_same(lab: Lab, tmp_path: Path) -> None:
    first = prepare(lab.data, ("val/*.nc",), tmp_path)
    kept = (tmp_path / first[0].array).read_bytes()
    assert prepare(lab.data, ("val/*.nc", "val/t*.nc"), tmp_path) == first == read_index(tmp_path)
    assert (tmp_path / first[0].array).read_bytes() == kept


def test_missing_values_are_filled(lab: Lab, tmp_path: Path) -> None:
    with xr.open_dataset(lab.data / "val/tas.nc") as source:
        holed = source.load()
    holed["tas"][0, 10:14, 20:30] = np.nan
    holed.to_netcdf(tmp_path / "holed.nc")
    (item,) = prepare(tmp_path, ("holed.nc",), tmp_path / "prepared")
    assert np.isfinite([item.offset, item.scale]).all()
    holed["tas"][:] = np.nan
    holed.to_netcdf(tmp_path / "empty.nc")
    with pytest.raises(MissingValueError, match="Leave it out") as caught:
        prepare(tmp_path, ("empty.nc",), tmp_path / "prepared")
    assert "empty.nc" in caught.value.__notes__[0]


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected files in .* got none"):
        prepare(tmp_path, ("*.nc",), tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists()
