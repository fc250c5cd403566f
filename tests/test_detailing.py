"""Fields as base field and detail, and the choice between that and the network."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from hpcodec.coding import coding_for
from hpcodec.decoding import decode_cells, decode_fields
from hpcodec.detail import Detailer, split_detail, unrestored
from hpcodec.errors import FormatError, ModelError
from hpcodec.fields import Coding, FieldSpec
from hpcodec.grid import LatLonGrid, cell_count
from hpcodec.models import load_model
from hpcodec.pipeline import Encoded, encode_cells, encode_fields
from hpcodec.relief import relief_on
from hpcodec.stages.dataset import find_fields
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.wavelets import to_bands
from hpcodec.stages.wire import HEADER_MOST, correction_in, prefix_size, read_header
from hpcodec.step_search import AS_EXPECTED, Hint
from tests.synthetic import MODEL, series, waves

Floats = npt.NDArray[np.float32]

DEGREES = 2.5
DETAIL = Hint(detailed=True)


@lru_cache(maxsize=1)
def spec() -> FieldSpec:
    (found,) = find_fields(series(1, DEGREES))
    return found


def grid() -> LatLonGrid:
    found = spec().grid
    assert isinstance(found, LatLonGrid)
    return found


def smooth(noise: float = 0.05) -> Floats:
    """Waves of :mod:`tests.synthetic`, with little of their noise."""
    calm = waves(40, DEGREES).mean(0, keepdims=True)
    return np.asarray(calm + noise * (waves(1, DEGREES) - calm), np.float32)


def coding(size: int = 3000, **asked: float) -> Coding:
    return coding_for(spec(), size, model=MODEL, **asked)  # type: ignore[arg-type]  # of errors


def rmse(field: Floats, decoded: Floats) -> float:
    error = decoded.astype(np.float64) - field
    return float(np.sqrt(np.mean(spec().grid.area_weights * error**2)))


@lru_cache(maxsize=1)
def encoded() -> Encoded:
    return encode_fields(smooth(), coding(), "cpu", DETAIL)


def test_comes_back_as_it_was_judged() -> None:
    found = encoded()
    (payload,) = found.payloads
    assert read_header(payload).bottleneck == 3
    assert 0.97 * 3000 < len(payload) <= 3000
    decoded = decode_fields([payload], coding(), "cpu")
    np.testing.assert_allclose(decoded, found.decoded, atol=2e-4)
    assert rmse(smooth(), decoded) < 0.1
    assert found.correction_bytes == 0
    assert found.hint.detailed is True


@pytest.mark.parametrize("wanted", [0.005, 0.02])
def test_an_error_is_met_closely(wanted: float) -> None:
    asked = coding(spec().grid.shape[0] * spec().grid.shape[1] * 4, rmse=wanted)
    found = encode_fields(smooth(), asked, "cpu", DETAIL)
    assert 0.95 * wanted < rmse(smooth(), found.decoded) <= wanted


@pytest.mark.parametrize("bound", [0.05, 0.5])
def test_a_bound_is_kept_at_every_point(bound: float) -> None:
    whole = 4 * smooth().size
    for size, hint in ((whole, DETAIL), (2000, DETAIL)):
        asked = coding(size, max_error=bound)
        found = encode_fields(smooth(1.0), asked, "cpu", hint)
        decoded = decode_fields(found.payloads, asked, "cpu")
        assert np.abs(decoded.astype(np.float64) - smooth(1.0)).max() <= bound
        assert split_detail(correction_in(found.payloads[0]))[0]


def test_fine_errors_go_to_details_and_coarse_ones_to_whichever_is_better() -> None:
    fine = encode_fields(smooth(), coding(8000), "cpu")
    assert fine.hint.detailed is True
    rough = coding(1500)
    both = {
        way: encode_fields(waves(1, DEGREES), rough, "cpu", Hint(detailed=way))
        for way in (True, False)
    }
    free = encode_fields(waves(1, DEGREES), rough, "cpu")
    errors = {way: rmse(waves(1, DEGREES), one.decoded) for way, one in both.items()}
    assert rmse(waves(1, DEGREES), free.decoded) <= 1.02 * min(errors.values())
    assert max(errors.values()) > 1.02 * min(errors.values())
    assert both[False].hint.detailed is False


def test_a_chosen_bottleneck_is_the_networks() -> None:
    chosen = coding_for(spec(), 8000, model=MODEL, bottleneck=5)
    assert not chosen.detail
    assert read_header(encode_fields(smooth(), chosen, "cpu").payloads[0]).bottleneck == 5


def test_cells_have_no_grid_for_details() -> None:
    cells = remap_for(spec().grid, 5).to_healpix(smooth())
    whole = replace(coding(8000), level=5, bottleneck=5)
    assert encode_cells(cells, whole, "cpu").hint.detailed is not True


def test_levels_of_a_detailed_field() -> None:
    (payload,) = encoded().payloads
    exact = remap_for(spec().grid, 6).to_healpix(smooth())[0]
    for level in (4, 5, 6):
        wanted = exact.reshape(cell_count(level), -1).mean(1)
        cells = decode_cells([payload], coding(), level, "cpu")
        assert cells.shape == (1, cell_count(level))
        assert np.sqrt(np.mean((cells[0] - wanted) ** 2)) < 0.1
    assert prefix_size(payload[:HEADER_MOST], 5) == len(payload)
    assert prefix_size(payload[:HEADER_MOST], 3) < 1200
    base = decode_cells([payload[: prefix_size(payload, 3)]], coding(), 3)
    assert np.abs(base - exact.reshape(768, -1).mean(1)).max() < 1


def test_fields_of_both_kinds_in_one_batch() -> None:
    (detailed,) = encoded().payloads
    (other,) = encode_fields(smooth(), coding(), "cpu", Hint(detailed=False)).payloads
    alone = [decode_fields([one], coding(), "cpu")[0] for one in (detailed, other)]
    together = decode_fields([detailed, other, detailed], coding(), "cpu")
    np.testing.assert_array_equal(together, np.stack([alone[0], alone[1], alone[0]]))
    cells = decode_cells([other, detailed], coding(), 5, "cpu")
    assert cells.shape == (2, cell_count(5))
    np.testing.assert_allclose(cells[0], decode_cells([other], coding(), 5, "cpu")[0], rtol=1e-6)


def test_missing_values_stay_missing() -> None:
    field = smooth()
    field[:, 20:40, 30:80] = np.nan
    found = encode_fields(field, coding(), "cpu", DETAIL)
    decoded = decode_fields(found.payloads, coding(), "cpu")
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(field))
    assert np.nanmax(np.abs(decoded - field)) < 1


def test_a_constant_field_needs_none() -> None:
    found = encode_fields(np.full_like(smooth(), 7.0), coding(), "cpu", AS_EXPECTED)
    np.testing.assert_array_equal(found.decoded, 7.0)


def test_relief_is_told_where_it_explains_a_field() -> None:
    detailer = Detailer(grid(), load_model(MODEL).folder)
    orography, land = relief_on(load_model(MODEL).folder, grid())
    assert orography.shape == land.shape == spec().grid.shape
    field = 280 - 6.5 * orography + 3 * land
    shares = detailer.shares(to_bands(field), 0.1, by_area=True)
    assert shares is not None
    np.testing.assert_allclose(shares[-1], (-6.5, 3), atol=0.05)
    code, detail = detailer.encode(to_bands(field), 0.1, shares, by_area=True)
    plain, _ = detailer.encode(to_bands(field), 0.1, None, by_area=True)
    assert len(code) < len(plain) / 2
    np.testing.assert_array_equal(detailer.decode(code).values, detail.values)
    random = np.random.default_rng(0).standard_normal(spec().grid.shape)
    assert detailer.shares(to_bands(random), 0.1, by_area=True) is None


def test_a_guess_is_taken_back_without_coding_anew() -> None:
    detailer = Detailer(grid(), load_model(MODEL).folder)
    bands = to_bands(smooth()[0].astype(np.float64))
    shares = np.full((len(bands) - 1, 2), 0.5)
    guessed, plain = (
        detailer.encode(bands, 0.1, shares, by_area=True, restorer=by) for by in (32 * b"r", b"")
    )
    code, detail = unrestored(*guessed)
    assert code == plain[0] != guessed[0]
    assert detail.restorer == b""
    np.testing.assert_array_equal(detailer.decode(code).values, guessed[1].values)


def test_damaged_details_are_refused() -> None:
    detailer = Detailer(grid(), load_model(MODEL).folder)
    code, _ = detailer.encode(to_bands(smooth()[0].astype(np.float64)), 0.1, None, by_area=True)
    assert split_detail(code + b"rest") == (code, b"rest")
    assert split_detail(b"\1rest") == (b"", b"\1rest")
    with pytest.raises(FormatError, match="expected a detail"):
        split_detail(code[:-1])
    for wrong in (
        b"\2\x10" + code[2:],
        b"\2\x08" + code[2:12],
        code[:2] + b"\0\0\xc0\x7f" + code[6:],
        b"\2\2" + code[2:20],
    ):
        with pytest.raises(FormatError):
            detailer.decode(wrong)
    with pytest.raises(ModelError, match="expected a network of bands with sha256"):
        detailer.decode(b"\2\x08" + code[2:])
