from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcodec.bench.case import one_field, read_cases
from hpcodec.errors import GridError, UsageError
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from tests.bench.fields import case, holed, write
from tests.synthetic import rich, waves


def test_the_first_field_of_every_variable_is_read(rich_source: str) -> None:
    cases = {item.spec.name: item for item in read_cases([rich_source])}
    assert {name: item.pressure for name, item in cases.items()} == {"ta": 850.0, "msl": None}
    np.testing.assert_array_equal(cases["ta"].truth, rich().ta.values[0, 0])
    assert cases["ta"].raw_bytes == 4 * 37 * 72
    assert cases["ta"].label.startswith("ta 850 hPa, ")
    assert [item.spec.name for item in read_cases([rich_source], "msl")] == ["msl"]
    with pytest.raises(UsageError, match="msl"):
        list(read_cases([rich_source], "mls"))


def test_a_scalar_level_is_found(tmp_path: Path) -> None:
    source = rich().isel(plev=0)
    source["plev"].attrs["units"] = "Pa"
    source["plev"] = source.plev * 100
    source["plev"].attrs = {"standard_name": "air_pressure", "units": "Pa"}
    source.to_netcdf(tmp_path / "level.nc")
    cases = {item.spec.name: item for item in read_cases([str(tmp_path / "level.nc")])}
    assert cases["ta"].pressure == 850


def test_missing_points_are_filled_smoothly() -> None:
    whole, broken = waves(1)[0], case(truth=holed())
    assert broken.missing.sum() == 25
    filled = broken.filled
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~broken.missing], whole[~broken.missing])
    inside = filled[10:14, 20:26]
    assert whole[9:15, 19:27].min() <= inside.min() <= inside.max() <= whole[9:15, 19:27].max()
    np.testing.assert_array_equal(case().filled, whole)


def test_a_field_alone(tmp_path: Path) -> None:
    (found,) = read_cases([write(tmp_path)])
    one_field(found, found.truth + 1).to_netcdf(tmp_path / "alone.nc")
    source = open_source(str(tmp_path / "alone.nc"))
    (spec,) = find_fields(source)
    assert spec.leading == (("time", 1),)
    assert (spec.units, spec.standard_name) == ("K", "air_temperature")
    np.testing.assert_array_equal(read_steps(source, spec, 0, 1)[0], found.truth + 1)
    source.close()


def test_a_field_without_values_is_refused(tmp_path: Path) -> None:
    rich()[["co2"]].to_netcdf(tmp_path / "none.nc")
    with pytest.raises(GridError):
        list(read_cases([str(tmp_path / "none.nc")]))
