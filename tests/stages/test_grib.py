"""GRIB as users have it, written by ecCodes from its own samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpcodec.compression import Options, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError
from hpcodec.grids import GaussianGrid, LatLonGrid
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from tests.synthetic import MODEL, raw, waves

pytest.importorskip("cfgrib")
eccodes = pytest.importorskip("eccodes")

MISSING = 9999.0


def write(path: Path, sample: str, *messages: dict[str, Any]) -> str:
    """File of one message for each set of keys; ``values`` among them."""
    with path.open("wb") as file:
        for keys in messages:
            handle = eccodes.codes_grib_new_from_samples(sample)
            for key, value in keys.items():
                if key == "values":
                    eccodes.codes_set_values(handle, value.ravel())
                else:
                    eccodes.codes_set(handle, key, value)
            eccodes.codes_write(handle, file)
            eccodes.codes_release(handle)
    return str(path)


def regular(values: npt.NDArray[Any], **keys: Any) -> dict[str, Any]:
    return {
        **{
            "Ni": 72,
            "Nj": 37,
            "iDirectionIncrementInDegrees": 5,
            "jDirectionIncrementInDegrees": 5,
        },
        **{"latitudeOfFirstGridPointInDegrees": 90, "latitudeOfLastGridPointInDegrees": -90},
        **{"longitudeOfFirstGridPointInDegrees": 0, "longitudeOfLastGridPointInDegrees": 355},
        **{"shortName": "2t", "bitsPerValue": 16, "bitmapPresent": 1, "missingValue": MISSING},
        **keys,
        "values": values,
    }


@pytest.mark.parametrize("edition", [1, 2])
def test_regular_grid(tmp_path: Path, edition: int) -> None:
    field = waves(1)[0].astype(np.float64)
    field[20:23, 4:9] = MISSING
    path = write(tmp_path / "a.grib", f"regular_ll_sfc_grib{edition}", regular(field))
    with open_source(path) as ds:
        (spec,) = find_fields(ds)
        assert isinstance(spec.grid, LatLonGrid)
        assert (spec.name, spec.units, spec.grid.shape) == ("t2m", "K", (37, 72))
        (got,) = read_steps(ds, spec, 0, 1)
    np.testing.assert_array_equal(np.isnan(got), field == MISSING)
    np.testing.assert_allclose(got[~np.isnan(got)], field[field != MISSING], atol=0.01)
    assert [file.name for file in tmp_path.iterdir()] == ["a.grib"]


def test_reduced_grid(tmp_path: Path) -> None:
    path = write(tmp_path / "a.grb", "reduced_gg_pl_32_grib2", {"values": np.arange(6114.0)})
    with open_source(path) as ds:
        (spec,) = find_fields(ds)
        assert isinstance(spec.grid, GaussianGrid)
        assert (len(spec.grid.counts), spec.grid.shape) == (32, (6114,))
        np.testing.assert_allclose(read_steps(ds, spec, 0, 1)[0], np.arange(6114), atol=1)


def test_there_and_back(tmp_path: Path) -> None:
    messages = [regular(field, dataTime=600 * n) for n, field in enumerate(waves(2))]
    source = write(tmp_path / "series.grib2", "regular_ll_sfc_grib2", *messages)
    store, back = str(tmp_path / "series.zarr"), str(tmp_path / "series.nc")
    compress(source, store, Options(rmse={"": 0.6}, model=MODEL, device="cpu"))
    decompress(store, back, device="cpu")
    got = raw(back)["t2m"]
    assert got.dims == ("time", "latitude", "longitude")
    assert np.std(got.to_numpy() - waves(2)) < 0.1 * np.std(waves(2))


def test_messages_that_do_not_go_together(tmp_path: Path) -> None:
    field = waves(1)[0]
    other = regular(field, shortName="t", typeOfLevel="isobaricInhPa", level=500)
    more = regular(field, shortName="t", typeOfLevel="surface")
    path = write(tmp_path / "a.grib", "regular_ll_sfc_grib2", other, more)
    with pytest.raises(FormatError, match="grib_copy"):
        open_source(path)


def test_without_cfgrib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.grib", "regular_ll_sfc_grib2", regular(waves(1)[0]))
    monkeypatch.setattr("hpcodec.stages.recognise.find_spec", lambda name: None)
    with pytest.raises(FormatError, match=r"pip install 'hpcodec\[grib\]'"):
        open_source(path)
