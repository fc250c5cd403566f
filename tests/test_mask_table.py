"""Masks that fields share, and those that they bring along."""

from __future__ import annotations

import numpy as np
import pytest

from hpcodec.errors import FormatError
from hpcodec.grid import LatLonGrid
from hpcodec.mask_table import NONE, OWN, MaskTable, restored, without_missing
from hpcodec.masks import Mask
from hpcodec.packing import PLAIN
from tests.nasty import coast

SHAPE = (37, 72)
NAN = np.float32(np.nan).tobytes()
EMPTY = Mask(np.zeros(SHAPE, "u1"))


def mask(seed: int) -> Mask:
    return Mask(coast(seed).astype("u1"), (NAN,))


def test_shared_masks_have_numbers() -> None:
    table = MaskTable.of(
        SHAPE, [mask(1), mask(2), mask(3), mask(2), EMPTY, EMPTY, mask(2), mask(1)]
    )
    assert len(table.codes) == 2
    assert len(table.codes[1]) < len(table.codes[0])
    assert table.find(mask(2)) == (1, b"")
    assert table.find(mask(1)) == (2, b"")
    assert table.find(EMPTY) == (NONE, b"")
    number, code = table.find(mask(3))
    assert number == OWN
    for one in (mask(1), mask(2), mask(3), EMPTY):
        assert table.get(*table.find(one)).same(one)
    assert len(code) < len(MaskTable(SHAPE).find(mask(3))[1]), "like the first"


def test_numbers_of_none() -> None:
    with pytest.raises(FormatError, match="expected one of 0 masks; got number 3"):
        MaskTable(SHAPE).get(3)
    for code in ("", "no mask", '"', "é"):
        with pytest.raises(FormatError):
            MaskTable(SHAPE, (code,)).get(1)


def test_fields_get_back_what_they_lacked() -> None:
    values = np.ones((2, *SHAPE), "f4")
    got = restored(values, [mask(1), EMPTY], PLAIN)
    np.testing.assert_array_equal(np.isnan(got[0]), coast(1))
    assert (got[1] == 1).all()


@pytest.mark.parametrize("level", [3, 4, 5])
def test_cells_without_values(level: int) -> None:
    grid = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
    cells = np.ones((2, 12 * 4**level), "f4")
    half = Mask((np.arange(37)[:, None] < 18).repeat(72, 1).astype("u1"), (NAN,))
    got = without_missing(cells, [half, EMPTY], grid, 4)
    assert 0.4 < np.isnan(got[0]).mean() < 0.55
    assert (cells == 1).all()
    assert (got[1] == 1).all()
