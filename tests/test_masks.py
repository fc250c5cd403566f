"""Masks come back bit for bit, from bytes that are the same everywhere, and from no others."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import FormatError, MissingValueError
from hpcodec.grid import LatLonGrid
from hpcodec.masks import Mask, decode_mask, encode_mask, missing_cells
from hpcodec.packing import PLAIN, Packing
from tests.nasty import coast

SHAPE = (9, 14)
GOLDEN = "550249ea3b0662c0630f9ae8c0d04ec29c56ec2ab2461cdd31d01589648df6de"
MAP = Mask(coast().astype("u1"), (b"\0\0\xc0\x7f",))


def drawn(seed: int, part: float, kinds: int) -> Mask:
    rng = np.random.default_rng(seed)
    missing = rng.random(SHAPE) < part
    chosen = np.where(missing, rng.integers(1, kinds + 1, SHAPE), 0)
    used = np.unique(chosen[chosen > 0])
    kinds_of = np.searchsorted(used, chosen) + 1
    patterns = tuple(int(one).to_bytes(4, "little") for one in used)
    return Mask(np.where(missing, kinds_of, 0).astype("u1"), patterns)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    part=st.sampled_from([0, 0.02, 0.5, 1]),
    kinds=st.sampled_from([1, 2, 255]),
    like=st.booleans(),
)
def test_there_and_back(seed: int, part: float, kinds: int, like: bool) -> None:
    mask, other = drawn(seed, part, kinds), drawn(seed + 1, 0.3, 1) if like else None
    assert decode_mask(encode_mask(mask, other), SHAPE, other).same(mask)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", ">i2", "<u1"])
def test_of_stored_numbers(dtype: str) -> None:
    packing = Packing.of(np.dtype(dtype), {"_FillValue": 7, "missing_value": [8, 9]})
    stored = np.arange(126).reshape(SHAPE).astype(packing.native)
    if stored.dtype.kind == "f":
        stored[3, :4] = np.nan, np.inf, -np.inf, -np.nan
    mask = Mask.of(stored, packing)
    assert mask.missing.sum() == (7 if stored.dtype.kind == "f" else 3)
    again = decode_mask(encode_mask(mask), SHAPE).restore(np.zeros_like(stored))
    bits = f"u{stored.dtype.itemsize}"
    assert again.dtype == stored.dtype
    np.testing.assert_array_equal(again.view(bits)[mask.missing], stored.view(bits)[mask.missing])
    assert not again[~mask.missing].any()


def test_every_nan_may_be_another_up_to_a_point() -> None:
    bits = 0x7FC00000 + np.arange(256, dtype="u4").reshape(16, 16)
    with pytest.raises(MissingValueError, match="at most 255 kinds"):
        Mask.of(bits.view("f4"), PLAIN)
    bits[0, 0] = 0
    assert len(Mask.of(bits.view("f4"), PLAIN).patterns) == 255


def test_bytes_are_few_and_the_same_everywhere() -> None:
    code = encode_mask(MAP)
    assert len(code) < 150
    assert hashlib.sha256(code).hexdigest() == GOLDEN
    assert len(encode_mask(MAP, MAP)) < 40
    assert len(encode_mask(Mask(np.zeros((721, 1440), "u1")))) == 10


def test_damaged_bytes() -> None:
    code = encode_mask(drawn(0, 0.5, 3))
    for at in range(len(code)):
        with pytest.raises(FormatError):
            decode_mask(code[:at], SHAPE)
        with pytest.raises(FormatError):
            decode_mask(code[:at] + bytes([code[at] ^ 1]) + code[at + 1 :], SHAPE)


def test_crafted_bytes() -> None:
    import struct
    import zlib

    def sealed(body: bytes) -> bytes:
        return body + struct.pack("<I", zlib.crc32(body))

    good = encode_mask(MAP)
    assert sealed(good[:-4]) == good
    for body in (
        b"",
        struct.pack("<BBI", 4, 1, 2**32 - 1),
        struct.pack("<BBI", 3, 1, 0) + bytes(3),
        struct.pack("<BBI", 4, 2, 0) + bytes(8) + zlib.compress(bytes(10**6)),
        struct.pack("<BBI", 4, 2, 0) + bytes(8) + b"no zlib",
    ):
        with pytest.raises(FormatError):
            decode_mask(sealed(body), SHAPE)
    with pytest.raises(FormatError, match="numbers of 8 bytes; got 4"):
        MAP.restore(np.zeros((37, 72)))


def cells(descending: bool, shift: float) -> npt.NDArray[np.bool_]:
    start, step = (90.0, -5.0) if descending else (-90.0, 5.0)
    grid = LatLonGrid.regular((start, step, 37), (shift, 5.0, 72))
    longitude, latitude = np.array(grid.longitude) % 360, np.array(grid.latitude)[:, None]
    missing = (longitude >= 88) & (longitude < 182) & (latitude > 8)
    return missing_cells(grid, 4, Mask(missing.astype("u1"), (bytes(4),)))


def test_cells_of_any_grid() -> None:
    north_east = cells(True, 0)
    assert 0.10 < north_east.mean() < 0.13
    for other in (cells(False, 0), cells(True, -180), cells(False, 20)):
        assert (other != north_east).mean() < 0.02
