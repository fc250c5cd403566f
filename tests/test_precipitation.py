"""Rain, which is coded to a power: known by its name, undone by whoever decodes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

from hpcodec.codec import FieldSpaceCodec, coding_of
from hpcodec.coding import coding_for
from hpcodec.compression import Options, compress
from hpcodec.decoding import decode_cells, decode_fields
from hpcodec.decompression import decompress
from hpcodec.errors import UsageError
from hpcodec.fields import Coding, FieldSpec
from hpcodec.grid import LatLonGrid
from hpcodec.pipeline import Encoded, encode_cells, encode_fields
from tests.synthetic import MODEL, axes, raw, waves
from tests.tiny import smooth_cells

Floats = npt.NDArray[np.float32]

GRID = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))


def rain(steps: int = 1) -> Floats:
    """Millimetres: dry over half of the globe, heavy over some of it."""
    wet = np.maximum(waves(steps) - np.float32(280), 0)
    return np.asarray(wet**2 / 40, np.float32)


def dataset(steps: int = 1) -> xr.Dataset:
    attributes = {"standard_name": "precipitation_amount", "units": "kg m-2"}
    field = (("time", "lat", "lon"), rain(steps), attributes)
    return xr.Dataset({"tp": field}, coords={**axes(), "time": np.arange(float(steps))})


def coding(exponent: float | None = None, *, rmse: float = 0.0, size: int = 1500) -> Coding:
    spec = FieldSpec("tp", GRID, (), ("lat", "lon"), "precipitation_amount", "kg m-2")
    made = coding_for(spec, size, model=MODEL, exponent=exponent, rmse=rmse, level=5)
    return replace(made, detail=0)


@lru_cache
def encoded(exponent: float | None = None) -> Encoded:
    return encode_fields(rain(2), coding(exponent), "cpu")


@pytest.mark.parametrize(
    ("name", "standard_name", "exponent"),
    [
        ("tp", "", 0.85),
        ("PR", "", 0.85),
        ("x", "precipitation_flux", 0.85),
        ("x", "lwe_thickness_of_precipitation_amount", 0.85),
        ("x", "convective_rainfall_flux", 0.85),
        ("tp", "air_temperature", 1),
        ("t2m", "", 1),
        ("", "", 1),
    ],
)
def test_rain_is_known_by_its_name(name: str, standard_name: str, exponent: float) -> None:
    spec = FieldSpec(name, GRID, (), ("lat", "lon"), standard_name)
    assert coding_for(spec, 900, model=MODEL).exponent == exponent
    assert coding_for(spec, 900, model=MODEL, exponent=0.5).exponent == 0.5


@pytest.mark.parametrize("exponent", [0.85, 0.5])
def test_decoding_undoes_the_power(exponent: float) -> None:
    made = encoded(exponent)
    decoded = decode_fields(made.payloads, coding(exponent), "cpu")
    np.testing.assert_allclose(decoded, made.decoded, atol=2e-3)
    assert decoded.min() == 0
    assert np.std(decoded - rain(2)) < 0.15 * np.std(rain(2))
    # The remap alone is shown in the field's unit, too.
    assert np.std(made.floor - rain(2)) < np.std(decoded - rain(2))


def test_small_values_are_nearer_than_without() -> None:
    few = (rain(2) > 0) & (rain(2) < 1)
    errors = [float(np.std((encoded(e).decoded - rain(2))[few])) for e in (1, 0.5)]
    assert errors[1] < 0.8 * errors[0]


def test_coarser_levels_are_means_of_values_not_of_powers() -> None:
    made, told = encoded(0.5), coding(0.5)
    fine, coarse = (decode_cells(made.payloads, told, level, "cpu") for level in (5, 4))
    assert fine.shape == (2, 12288)
    np.testing.assert_allclose(coarse, fine.reshape(2, 3072, 4).mean(-1), rtol=1e-5)


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_an_error_is_asked_for_in_the_unit_of_the_field(exponent: float) -> None:
    told = coding(exponent, rmse=0.3, size=4 * 37 * 72)
    made = encode_fields(rain(), told, "cpu")
    error = np.mean(GRID.area_weights * (made.decoded - rain()).astype("f8") ** 2) ** 0.5
    assert 0.24 < error <= 0.3


def test_cells_to_a_power() -> None:
    cells = np.abs(smooth_cells(5))
    told = coding(0.5, size=6000)
    made = encode_cells(cells, told, "cpu")
    decoded = decode_cells(made.payloads, told, 5, "cpu")
    np.testing.assert_allclose(decoded, made.decoded, atol=2e-3)
    assert np.std(decoded - cells) < np.std(cells)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_store_of_rain(tmp_path: Path, suffix: str) -> None:
    source, store = str(tmp_path / "tp.nc"), str(tmp_path / "tp.zarr")
    dataset(2).to_netcdf(source)
    compress(source, store, Options(ratio=4, model=MODEL, device="cpu"))
    whole, coarse = (str(tmp_path / f"{name}{suffix}") for name in ("whole", "coarse"))
    decompress(store, whole, device="cpu")
    decompress(store, coarse, level=3, device="cpu")
    assert raw(whole).tp.values.min() == 0
    with xr.open_zarr(store, consolidated=False) as through_zarr:
        np.testing.assert_allclose(through_zarr.tp, raw(whole).tp, atol=2e-3)
    total = float((raw(whole).tp.values[0] * GRID.area_weights).mean())
    assert float(raw(coarse).tp.values[0].mean()) == pytest.approx(total, rel=0.05)


@pytest.mark.parametrize("exponent", [0, 0.19, 1.01, -1, float("nan")])
def test_exponents_that_are_refused(exponent: float) -> None:
    field = dataset().tp
    assert FieldSpaceCodec.for_field(field, 5, MODEL, exponent=0.5).coding.exponent == 0.5
    for call in (coding, lambda e: coding_of(field, 5, MODEL, exponent=e)):
        with pytest.raises(UsageError, match=r"expected an exponent from 0\.2 to 1; got"):
            call(exponent)
