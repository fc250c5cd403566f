"""Integers on a grid: they come back, take few bytes, and their bytes do not change."""

from __future__ import annotations

import contextlib
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import FormatError
from hpcodec.integers import decode_integers, encode_integers

Integers = npt.NDArray[np.int32]


def sparse(rows: int = 60, columns: int = 90, part: float = 0.03, seed: int = 0) -> Integers:
    """Zeros, but for clusters of small numbers."""
    rng = np.random.default_rng(seed)
    busy = rng.random((rows // 10 + 1, columns // 10 + 1)) < 0.2
    chance = np.kron(busy, np.ones((10, 10)))[:rows, :columns] * part / 0.2
    signs = rng.choice([-1, 1], (rows, columns)) * (1 + (rng.random((rows, columns)) < 0.1))
    return np.asarray(np.where(rng.random((rows, columns)) < chance, signs, 0), np.int32)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    largest=st.sampled_from([0, 1, 5, 40, 3000, 2**28 - 1]),
    seed=st.integers(0, 99),
)
def test_they_come_back(rows: int, columns: int, largest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    integers = rng.integers(-largest, largest + 1, (rows, columns)).astype(np.int32)
    code = encode_integers(integers)
    np.testing.assert_array_equal(decode_integers(code, (rows, columns)), integers)


def test_few_in_clusters_take_few_bytes() -> None:
    integers = sparse(200, 300)
    code = encode_integers(integers)
    np.testing.assert_array_equal(decode_integers(code, (200, 300)), integers)
    assert len(code) < 0.8 * len(zlib.compress(integers.astype(np.int8).tobytes(), 9))
    assert len(encode_integers(np.zeros((200, 300), np.int32))) < 100


def test_smooth_ones_are_predicted() -> None:
    row, column = np.mgrid[:80, :120]
    integers = np.rint(300 * np.sin(row / 20) * np.cos(column / 25)).astype(np.int32)
    code = encode_integers(integers)
    np.testing.assert_array_equal(decode_integers(code, (80, 120)), integers)
    assert len(code) < 80 * 120 * 2.5 / 8


def test_the_bytes_are_those_of_format_1() -> None:
    integers = sparse(12, 16, 0.3, seed=3)
    assert integers.any()
    integers[5, 5], integers[6, 6] = 1000, -70000
    assert encode_integers(integers).hex() == GOLDEN
    np.testing.assert_array_equal(decode_integers(bytes.fromhex(GOLDEN), (12, 16)), integers)


@settings(deadline=None, max_examples=30)
@given(code=st.binary(max_size=80))
def test_any_bytes_end_well(code: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert decode_integers(code, (9, 7)).shape == (9, 7)


@pytest.mark.parametrize("code", [b"", b"12345", b"123456789"])
def test_what_is_no_code_is_refused(code: bytes) -> None:
    with pytest.raises(FormatError, match="expected"):
        decode_integers(code, (9, 7))


GOLDEN = (
    "00637fc704ff8ae09700745700665c408ddda25ac4fa5735664bc822cc22ea19327bb6638a5dd995"
    "3b12fc32374e8430dfb2f904ce9df0a820ccfef7f1121610ee534828c262566f15563353749e942a"
    "5d063ae175d04d9f5641a64870e836f3af666662e008c96174dadd7b046a1bdb2e6e4c259c74cd59"
    "14896a6bd89dfde00b634faada13a4b2061da84672555559b395"
)
