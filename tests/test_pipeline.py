"""The stages in order, and back, without files."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpcodec.coding import coding_for
from hpcodec.decoding import decode_cells, decode_fields
from hpcodec.errors import FormatError, LevelError, MissingValueError, ModelError, UsageError
from hpcodec.fields import Coding
from hpcodec.pipeline import Encoded, encode_cells, encode_fields
from hpcodec.stages.dataset import find_fields
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.transform import Coder
from hpcodec.stages.wire import prefix_size, split_payloads
from tests.synthetic import MODEL, coding_in, series, waves
from tests.tiny import smooth_cells

Floats = npt.NDArray[np.float32]

SIZE = 2200
FIELDS = waves(3)


@lru_cache
def coding(size: int = SIZE) -> Coding:
    return coding_in(series(1), size)


@lru_cache
def encoded(size: int = SIZE) -> Encoded:
    return encode_fields(FIELDS, coding(size), "cpu")


@pytest.mark.parametrize("size", [1800, SIZE, 4000])
def test_payloads_keep_the_size(size: int) -> None:
    lengths = [len(payload) for payload in encoded(size).payloads]
    assert len(lengths) == len(FIELDS)
    assert max(lengths) <= size
    assert min(lengths) >= 0.95 * size, "room is left that a finer step would use"


def test_more_bytes_mean_less_error() -> None:
    errors = [np.std(encoded(size).decoded - FIELDS) for size in (1800, 4000)]
    floor = np.std(encoded().floor - FIELDS)
    assert errors[1] < errors[0] < 0.1 * np.std(FIELDS)
    assert floor < errors[1] * 1.05


def test_encoding_tells_what_decoding_gives() -> None:
    decoded = decode_fields(encoded().payloads, coding(), "cpu")
    assert decoded.shape == FIELDS.shape
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, encoded().decoded, atol=2e-3)


@pytest.mark.parametrize("sharp", [False, True])
def test_no_decoded_value_lies_beyond_those_of_its_field(sharp: bool) -> None:
    plateaus = FIELDS.clip(*np.quantile(FIELDS, (0.3, 0.7))).astype("f4")
    low, high = plateaus.min(), plateaus.max()
    made = encode_fields(plateaus, coding(900), "cpu")
    cells = decode_cells(made.payloads, coding(900), coding(900).level, "cpu")
    free = remap_for(coding(900).grid, coding(900).level).to_grid(cells)
    assert free.min() < low < high < free.max(), "nothing to limit here"
    decoded = decode_fields(made.payloads, coding(900), "cpu", sharp=sharp)
    for shown in (made.decoded, made.floor, decoded):
        assert (shown.min(), shown.max()) == (low, high)


def test_fields_do_not_change_each_other() -> None:
    alone = decode_fields(encoded().payloads[1:2], coding(), "cpu")
    together = decode_fields(encoded().payloads, coding(), "cpu")[1:2]
    np.testing.assert_allclose(alone, together, atol=2e-3)


def test_input_is_not_touched() -> None:
    values = FIELDS[:1].copy()
    values.flags.writeable = False
    encode_fields(values, coding(), "cpu")
    np.testing.assert_array_equal(values, FIELDS[:1])


@pytest.mark.parametrize(("degrees", "finest", "size"), [(5.0, 4, SIZE), (2.5, 5, 5000)])
def test_coarser_levels_are_block_means_and_need_only_a_prefix(
    degrees: float, finest: int, size: int
) -> None:
    own = coding_in(series(1, degrees), size)
    assert own.level == finest
    assert own.bottleneck > 3
    (payload,) = encode_fields(waves(1, degrees), own, "cpu").payloads
    whole = decode_cells([payload], own, finest, "cpu")
    for level in range(3, own.bottleneck):
        prefix = payload[: prefix_size(payload, level)]
        assert len(prefix) < len(payload)
        coarse = decode_cells([prefix], own, level, "cpu")
        means = whole.reshape(1, coarse.shape[1], -1).mean(-1, dtype=np.float64)
        np.testing.assert_allclose(coarse, means, atol=2e-3)


def test_finer_than_the_source_is_predicted_and_keeps_the_means() -> None:
    finer = decode_cells(encoded().payloads[:1], coding(), 6, "cpu")
    own = decode_cells(encoded().payloads[:1], coding(), 5, "cpu")
    assert finer.shape == (1, 12 * 4**6)
    assert np.isfinite(finer).all()
    np.testing.assert_allclose(finer.reshape(1, -1, 4).mean(-1), own, atol=2e-3)


@pytest.mark.parametrize("level", [-1, 2, 10, 29])
def test_levels_that_the_model_does_not_give(level: int) -> None:
    with pytest.raises(LevelError, match="3"):
        decode_cells(encoded().payloads[:1], coding(), level, "cpu")


def weighted(decoded: Floats, truth: Floats, made: Coding) -> Floats:
    """RMSE of each field on the source grid."""
    error = made.grid.area_weights * (decoded.astype(np.float64) - truth) ** 2
    return np.asarray(np.sqrt(error.mean((1, 2))), np.float32)


def by_error(rmse: float, bottleneck: int | None = None) -> Coding:
    (spec,) = find_fields(series(1), ["t2m"])
    return coding_for(spec, 4 * 37 * 72, rmse=rmse, model=MODEL, bottleneck=bottleneck)


@pytest.mark.parametrize("rmse", [0.1, 0.4])
def test_an_error_asked_for(rmse: float, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    encode = Coder.encode

    def counted(self: Coder, cells: Floats, **options: Any) -> Any:
        tried.append(len(cells))
        return encode(self, cells, **options)

    monkeypatch.setattr(Coder, "encode", counted)
    made = encode_fields(FIELDS, by_error(rmse), "cpu")
    assert sum(tried) <= 4 * len(FIELDS)  # by the network at most three times, and the base field
    errors = weighted(made.decoded, FIELDS, by_error(rmse))
    assert (errors <= rmse).all()
    assert (errors >= 0.9 * rmse).all()
    decoded = decode_fields(made.payloads, by_error(rmse), "cpu")
    np.testing.assert_allclose(decoded, made.decoded, atol=2e-3)


def test_an_error_asked_for_on_cells() -> None:
    cells = smooth_cells(5)
    made = encode_cells(cells, replace(by_error(0.1), level=5, bottleneck=5), "cpu")
    rmse = float(np.sqrt(np.mean((made.decoded - cells) ** 2.0)))
    assert 0.6 * 0.1 <= rmse <= 0.1


def test_an_error_below_that_of_the_remap() -> None:
    """By the network alone; a detail has no such floor."""
    floor = float(weighted(encoded().floor, FIELDS, coding()).max())
    with pytest.raises(UsageError, match=r"expected an RMSE above .* remap .* got .* Ask for"):
        encode_fields(FIELDS, replace(by_error(0.9 * floor), detail=0), "cpu")
    made = encode_fields(FIELDS, replace(by_error(1.03 * floor), detail=0), "cpu")
    assert (weighted(made.decoded, FIELDS, coding()) <= 1.03 * floor).all()


def test_an_error_that_the_bottleneck_does_not_give() -> None:
    with pytest.raises(UsageError, match="bottleneck level 3"):
        encode_fields(FIELDS[:1], by_error(0.25, bottleneck=3), "cpu")


def test_too_few_bytes() -> None:
    with pytest.raises(UsageError, match="smaller ratio"):
        encode_fields(FIELDS[:1], coding_in(series(1), 60), "cpu")


@pytest.mark.parametrize("constant", [0.0, -3.5, 1e5])
def test_constant_fields(constant: float) -> None:
    values = np.full_like(FIELDS[:1], constant)
    made = encode_fields(values, coding(), "cpu")
    assert len(made.payloads[0]) <= SIZE
    np.testing.assert_allclose(made.decoded, values, rtol=0, atol=1e-37)
    by_rmse = encode_fields(values, by_error(0.1), "cpu")
    np.testing.assert_allclose(by_rmse.decoded, values, rtol=0, atol=1e-37)


def test_missing_values_come_back() -> None:
    values = FIELDS[:2].copy()
    values[0, 3, 4], values[0, 5, 6:9], values[1, :4] = np.nan, np.inf, -np.inf
    made = encode_fields(values, coding(), "cpu")
    decoded = decode_fields(made.payloads, coding(), "cpu")
    missing = ~np.isfinite(values)
    np.testing.assert_array_equal(decoded[missing], values[missing])
    np.testing.assert_array_equal(np.isfinite(decoded), ~missing)
    assert np.abs(decoded[~missing] - values[~missing]).max() < 6


def test_what_float32_cannot_hold_is_refused() -> None:
    values = FIELDS[:1].astype("f8")
    values[0, 3, 4] = 1e300
    with pytest.raises(MissingValueError, match=r"float32 can hold; got 1e\+300"):
        encode_fields(values, coding(), "cpu")


def test_another_bottleneck_than_the_coding_has() -> None:
    other = dataclasses.replace(coding(), bottleneck=3)
    with pytest.raises(FormatError, match="bottleneck"):
        decode_cells(encoded().payloads, other, 4, "cpu")


def test_other_weights() -> None:
    other = dataclasses.replace(coding(), weights="00" * 32)
    with pytest.raises(ModelError, match="weights"):
        decode_fields(encoded().payloads, other, "cpu")


def test_a_chunk_is_split_into_its_payloads() -> None:
    payloads = encoded().payloads
    assert split_payloads(b"".join(payloads)) == payloads
    with pytest.raises(FormatError):
        split_payloads(b"")


@pytest.mark.parametrize("rest", [b"HPC1", b"\0" * 40, b"x"])
def test_what_follows_the_payloads_must_be_one(rest: bytes) -> None:
    with pytest.raises(FormatError):
        split_payloads(encoded().payloads[0] + rest)


def test_a_chunk_that_ends_within_a_payload_is_refused() -> None:
    payloads = split_payloads(b"".join(encoded().payloads)[:-3])
    with pytest.raises(FormatError):
        decode_fields(payloads, coding(), "cpu")


def test_coding_of_a_variable() -> None:
    (spec,) = find_fields(series(1), ["t2m"])
    made = coding_for(spec, SIZE, model=MODEL, remap="idw")
    assert (made.level, made.size, made.remap) == (4, SIZE, "idw")
    assert made.variable in ("", "air_temperature")
    assert Coding.from_dict(made.to_dict()) == made
    assert made.level == spec.grid.natural_level
    assert coding_for(spec, SIZE, model=MODEL, level=5).level == 5
    for level in (3, 10):
        with pytest.raises(LevelError, match="level"):
            coding_for(spec, SIZE, model=MODEL, level=level)
