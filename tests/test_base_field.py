"""The base field is coded by tables of the format, and decoded without a model."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from hpcodec.base_field import (
    base_cells,
    base_tables,
    decode_base_symbols,
    encode_base_symbols,
    predicted_base,
)
from hpcodec.entropy.tables import TABLE_SHAPE, TOTAL
from hpcodec.errors import FormatError
from tests.tiny import coder, compressed_field


def test_the_tables_of_the_format() -> None:
    tables = base_tables()
    assert tables.shape == (1, *TABLE_SHAPE[1:])
    assert tables.min() >= 1
    assert (tables.sum(-1) == TOTAL).all()
    np.testing.assert_array_equal(tables, tables[..., ::-1])
    # As the specification has them: no release may have others.
    assert hashlib.sha256(tables.astype("<u4").tobytes()).hexdigest() == DIGEST


DIGEST = "032546023988fb95c375dbc2bd5fc60cf78473e79d151f0089de1e51f8324890"


@pytest.mark.parametrize("size", [0.1, 1, 5, 40, 1e4, 1e9])
@pytest.mark.parametrize("follows", [False, True])
def test_round_trip(size: float, follows: bool) -> None:
    base = compressed_field(3, size).base
    code = encode_base_symbols(base, follows)
    np.testing.assert_array_equal(decode_base_symbols(code, follows), base)


def test_a_table_suits_its_size_class() -> None:
    """Close to what the numbers themselves tell: within a twentieth of their entropy."""
    for size in (0.5, 2, 10, 200):
        base = compressed_field(3, size, seed=3).base
        _, counts = np.unique(base, return_counts=True)
        entropy = -(counts * np.log2(counts / base.size)).sum() / 8
        assert len(encode_base_symbols(base, True)) < 1.3 * entropy + 24


def test_it_is_what_the_network_gives() -> None:
    field = replace(compressed_field(5), step=0.37)
    other = replace(compressed_field(5, seed=1), carry=(64, 10, 20), step=0.73)
    made = coder(5)
    alone = made.decode([field], 3, bottleneck=5)
    np.testing.assert_array_equal(base_cells([field]), alone[0])
    after = made.decode([other], 3, bottleneck=5, after=made.trail(field))
    np.testing.assert_array_equal(base_cells([field, other]), after[0])


def test_chains_that_are_none() -> None:
    follows = replace(compressed_field(4), carry=(64, 1))
    for chain in ([follows], [compressed_field(4)] * 2):
        with pytest.raises(FormatError, match="another follows"):
            base_cells(chain)


@pytest.mark.parametrize("reach", [0, 1, 40, 2**31 - 1])
def test_predicted_base_is_small_where_the_field_is_smooth(reach: int) -> None:
    smooth = np.full(768, reach, np.int32)
    assert np.count_nonzero(predicted_base(smooth)) <= 1
