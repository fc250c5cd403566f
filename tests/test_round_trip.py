"""What comes back from a store differs from the original in the values of fields alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import numpy.typing as npt
import pytest

from hpcodec.comparison import compare
from hpcodec.compression import Options, VariableReport, compress
from hpcodec.decompression import decompress
from hpcodec.errors import FormatError
from hpcodec.packing import Packing
from hpcodec.stages.zarr_store import open_store
from hpcodec.validation import validate
from tests.nasty import FIELDS, coast, describe, values_of, write_nasty
from tests.synthetic import MODEL, raw, series

QUICK = Options(ratio=4, model=MODEL, device="cpu")

Folder = tuple[str, str, str, list[VariableReport]]


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A file, its store, what comes back, and what was reported."""
    folder = tmp_path_factory.mktemp("nasty")
    source = write_nasty(folder / "nasty.nc")
    store, back = str(folder / "nasty.zarr"), str(folder / "back.nc")
    reports, _ = compress(source, store, QUICK)
    decompress(store, back, device="cpu")
    return source, store, back, reports


def packing_of(path: str, name: str) -> Packing:
    variable = raw(path).variables[name]
    return Packing.of(variable.dtype, variable.attrs)


def bits(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def test_every_field_is_compressed(nasty: Folder) -> None:
    assert set(open_store(nasty[1]).variables) == set(FIELDS)
    assert validate(nasty[1]) == []


def test_names_dimensions_and_attributes(nasty: Folder) -> None:
    before, after = describe(nasty[0]), describe(nasty[2])
    kind, history = after["attributes"].pop("history")
    assert history.startswith(before["attributes"].pop("history")[1] + "\n")
    assert history.endswith("hpcodec decompress")
    assert kind == "text"
    for name in FIELDS:
        kind, told = after[name]["attributes"].pop("lossy_compression")
        assert told.startswith("hpcodec.field_space: hpcodec version ")
        for item in before, after:  # how fields are packed is not promised
            del item[name]["filters"]
        if before[name]["chunks"] == "contiguous":
            del before[name]["chunks"], after[name]["chunks"]
    assert set(after) == set(before)
    for name in before:
        assert after[name] == before[name], name


def test_what_is_no_field_is_the_same_bit_for_bit(nasty: Folder) -> None:
    for name in set(describe(nasty[0])) - {"attributes", "dims", *FIELDS}:
        before, after = values_of(nasty[0], name), values_of(nasty[2], name)
        assert after.dtype == before.dtype, name
        assert before.tolist() == after.tolist(), name


@pytest.mark.parametrize("name", FIELDS)
def test_missing_values_are_where_and_what_they_were(nasty: Folder, name: str) -> None:
    before, after = values_of(nasty[0], name), values_of(nasty[2], name)
    packing = packing_of(nasty[0], name)
    missing = packing.missing(before)
    np.testing.assert_array_equal(packing.missing(after), missing)
    np.testing.assert_array_equal(bits(after)[missing], bits(before)[missing])
    error = packing.unpack(after)[~missing] - packing.unpack(before)[~missing]
    assert np.abs(error).max(initial=0) < 8
    assert (name in ("constant", "lonely")) <= (not error.any())


def test_the_store_itself_is_such_a_dataset(nasty: Folder) -> None:
    stored, back = raw(nasty[1]), raw(nasty[2])
    for name in FIELDS:
        assert stored[name].dims == back[name].dims
        assert stored[name].dtype == back[name].dtype.newbyteorder("=")
        packing = packing_of(nasty[0], name)
        ours, theirs = stored[name].values, back[name].values
        missing = packing.missing(ours)
        np.testing.assert_array_equal(missing, packing.missing(theirs))
        np.testing.assert_array_equal(bits(ours)[missing], bits(theirs.astype(ours.dtype))[missing])


def test_errors_are_over_the_points_that_have_values(nasty: Folder) -> None:
    weights = np.cos(np.deg2rad(np.linspace(90, -90, 37))).clip(0)[:, None]
    packing = packing_of(nasty[0], "sst")
    truth, decoded = (packing.unpack(values_of(path, "sst")) for path in (nasty[0], nasty[2]))
    area = weights * np.isfinite(truth)
    rmse = np.sqrt((area * np.nan_to_num(decoded - truth) ** 2).sum() / area.sum())
    (report,) = [one for one in nasty[3] if one.name == "sst"]
    assert report.rmse == pytest.approx(rmse, rel=1e-3)
    (row,) = compare(nasty[0], nasty[1], variables=["sst"], levels=[], device="cpu")
    assert row.figures.rmse == pytest.approx(rmse, rel=1e-3)
    assert row.figures.count == np.isfinite(truth).sum()
    assert 0 < report.mask_bytes < report.payload_bytes
    assert next(one for one in nasty[3] if one.name == "constant").mask_bytes == 0


def test_on_cells_most_of_which_have_no_value(nasty: Folder, tmp_path: Path) -> None:
    for level in (3, 4, 5):
        target = str(tmp_path / f"{level}.nc")
        decompress(nasty[1], target, level=level, variables=["sst", "empty"], device="cpu")
        assert np.isnan(values_of(target, "empty")).all()
        cells = values_of(target, "sst")
        assert 0.05 < np.isnan(cells).mean() < 0.2
        assert cells.dtype == np.float32
        assert "lossy_compression" in describe(target)["sst"]["attributes"]


def test_a_part_of_the_times(nasty: Folder, tmp_path: Path) -> None:
    target = str(tmp_path / "part.nc")
    decompress(nasty[1], target, time="2000-03-01", device="cpu")
    part = describe(target)
    assert part["dims"]["time"] == (1, True)
    # The last bits depend on the batch.
    np.testing.assert_allclose(values_of(target, "t"), values_of(nasty[2], "t")[..., 1:], atol=2e-3)


def test_zarr_there_and_back(tmp_path: Path) -> None:
    source = series(2)
    half = source["t2m"].astype("f2") - np.float16(280)
    half[0, 3:9] = np.nan
    source["half"] = half.assign_attrs(units="K")
    source["yes"] = ("time", np.array([True, False]))
    source.to_zarr(tmp_path / "a.zarr", consolidated=False)
    compress(str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr"), QUICK)
    decompress(str(tmp_path / "b.zarr"), str(tmp_path / "c.zarr"), device="cpu")
    before, after = raw(tmp_path / "a.zarr"), raw(tmp_path / "c.zarr")
    assert set(before.variables) == set(after.variables)
    for name, variable in before.variables.items():
        assert after[name].dtype == variable.dtype
        assert after[name].dims == variable.dims
        kept = {k: v for k, v in after[name].attrs.items() if k != "lossy_compression"}
        np.testing.assert_equal(kept, variable.attrs)
    np.testing.assert_array_equal(np.isnan(after.half.values), np.isnan(before.half.values))


def test_changing_masks_come_with_their_fields(tmp_path: Path) -> None:
    source = series(6)
    source["t2m"][:, 10:20, 20:40] = np.nan
    for step in range(6):
        source["t2m"][step, : step + 1] = np.nan  # ice that grows
    source.to_netcdf(tmp_path / "a.nc")
    options = Options(ratio=4, model=MODEL, device="cpu", key_every=3)
    for name, chosen in (("single", QUICK), ("chained", options)):
        store, back = str(tmp_path / f"{name}.zarr"), str(tmp_path / f"{name}.nc")
        compress(str(tmp_path / "a.nc"), store, chosen)
        decompress(store, back, device="cpu")
        np.testing.assert_array_equal(
            np.isnan(values_of(back, "t2m")), np.isnan(source["t2m"].values)
        )


def test_a_mask_that_all_fields_have_is_stored_once(tmp_path: Path) -> None:
    source = series(6)
    source["t2m"].values[:, coast()] = np.nan
    source.to_netcdf(tmp_path / "a.nc")
    coarse = Options(rmse={"": 3}, model=MODEL, device="cpu")
    (report,), _ = compress(str(tmp_path / "a.nc"), str(tmp_path / "a.zarr"), coarse)
    source.isel(time=[0]).to_netcdf(tmp_path / "b.nc")
    (alone,), _ = compress(str(tmp_path / "b.nc"), str(tmp_path / "b.zarr"), coarse)
    assert 50 < alone.mask_bytes <= report.mask_bytes < 1.5 * alone.mask_bytes


def grouped(file: netCDF4.Dataset) -> None:
    file.createGroup("forecast")


def enumerated(file: netCDF4.Dataset) -> None:
    file.createEnumType(np.uint8, "cloud_t", {"clear": 0, "cloudy": 1})


@pytest.mark.parametrize(("spoil", "word"), [(grouped, "groups"), (enumerated, "types of its own")])
def test_what_would_be_lost_is_refused(tmp_path: Path, spoil: Any, word: str) -> None:
    path = tmp_path / "a.nc"
    series(1).to_netcdf(path)
    with netCDF4.Dataset(path, "a") as file:
        spoil(file)
    with pytest.raises(FormatError, match=f"without {word}.*would be lost"):
        compress(str(path), str(tmp_path / "b.zarr"), QUICK)
    assert [item.name for item in tmp_path.iterdir()] == ["a.nc"]


def test_zarr_groups_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    series(1).to_zarr(path, consolidated=False)
    series(1).to_zarr(path, group="inner", consolidated=False)
    with pytest.raises(FormatError, match=r"groups; got .* with inner"):
        compress(str(path), str(tmp_path / "b.zarr"), QUICK)
