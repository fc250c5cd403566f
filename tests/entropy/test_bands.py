"""Code of bands: symbols come back, cost near what they tell, and damage is found."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.band_networks import latest_bands
from hpcodec.entropy.band_network import BandNetwork
from hpcodec.entropy.bands import decode_bands, encode_bands
from hpcodec.errors import FormatError
from hpcodec.stages.wavelets import band_shapes, to_bands
from tests.tiny import band_network

Doubles = npt.NDArray[np.float64]


def bands_of(shape: tuple[int, int], spread: float, seed: int) -> list[Doubles]:
    random = np.random.default_rng(seed)
    return [spread * random.laplace(size=one) for one in band_shapes(shape)]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(8, 70),
    columns=st.integers(8, 70),
    octave=st.floats(-6, 20),
    worth=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 99),
    network=st.sampled_from([None, band_network(0), latest_bands()]),
)
def test_symbols_come_back(
    rows: int, columns: int, octave: float, worth: float, seed: int, network: BandNetwork | None
) -> None:
    bands = bands_of((rows, columns), 2.0**octave, seed)
    symbols, code = encode_bands(bands, worth, network)
    shapes = band_shapes((rows, columns))
    for found, wanted, band in zip(
        decode_bands(code, shapes, network), symbols, bands, strict=True
    ):
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, wanted)
        assert np.abs(found - band).max() <= (1.5 if worth else 0.5) + 1e-6 * np.abs(band).max()


def test_few_symbols_cost_few_bits() -> None:
    shape = (181, 360)
    _, nothing = encode_bands([np.zeros(one) for one in band_shapes(shape)], 0.1)
    assert len(nothing) < 120
    noisy, code = encode_bands(bands_of(shape, 1.0, 0), 0.0)
    counts = [np.unique(one, return_counts=True)[1] / one.size for one in noisy]
    bits = sum(
        float(-(p * np.log2(p)).sum()) * one.size for p, one in zip(counts, noisy, strict=True)
    )
    assert 8 * len(code) < 1.02 * bits


def test_what_is_around_is_used() -> None:
    """Details that are large in one place cost less than the same ones anywhere."""
    shape, random = (181, 360), np.random.default_rng(1)
    bands = bands_of(shape, 0.05, 1)
    for band in bands[1:]:
        rows, columns = band.shape
        band[: rows // 3, : columns // 3] *= 60
    shuffled = [
        bands[0],
        *(random.permuted(band.reshape(-1)).reshape(band.shape) for band in bands[1:]),
    ]
    assert len(encode_bands(bands, 0.0)[1]) < 0.7 * len(encode_bands(shuffled, 0.0)[1])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    cut=st.floats(0, 1),
    flips=st.integers(0, 3),
    network=st.sampled_from([None, latest_bands()]),
)
def test_damage_is_refused_or_harmless(
    seed: int, cut: float, flips: int, network: BandNetwork | None
) -> None:
    shape = (33, 64)
    random = np.random.default_rng(seed)
    _, code = encode_bands(bands_of(shape, 1.0, seed % 5), 0.1, network)
    damaged = bytearray(code[: round(cut * len(code))] if seed % 2 else code)
    for _ in range(flips if damaged else 0):
        damaged[random.integers(len(damaged))] ^= 1 << int(random.integers(8))
    try:
        symbols = decode_bands(bytes(damaged), band_shapes(shape), network)
    except FormatError:
        return
    assert [one.shape for one in symbols] == band_shapes(shape)


def test_more_than_the_code_is_refused() -> None:
    _, code = encode_bands(bands_of((33, 64), 1.0, 0), 0.1)
    with pytest.raises(FormatError, match="more"):
        decode_bands(code + b"\1\2\3\4" * 40, band_shapes((33, 64)))
    with pytest.raises(FormatError, match="got 3 bytes"):
        decode_bands(code[:3], band_shapes((33, 64)))


def test_a_network_spares_bytes_of_what_goes_on() -> None:
    """Waves through all bands: signs and sizes follow from those around."""
    polar, east = np.meshgrid(np.linspace(-1, 1, 181), np.linspace(0, 6.28, 360), indexing="ij")
    field = 300 * np.tanh(4 * np.sin(5 * east + 3 * np.sin(4 * polar)))
    bands = to_bands(field)
    plain, told = (len(encode_bands(bands, 0.1, one)[1]) for one in (None, latest_bands()))
    assert told < 0.95 * plain
