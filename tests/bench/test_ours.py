from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcodec.bench.case import Case, read_cases
from hpcodec.bench.measure import measure_point
from hpcodec.bench.ours import fsae_float32, measure_store, product
from hpcodec.grid import cell_count
from tests.bench.fields import holed, write
from tests.synthetic import series


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Case:
    (found,) = read_cases([write(tmp_path_factory.mktemp("ours"))])
    return found


def test_the_product_keeps_the_ratio(one: Case) -> None:
    codec = product(one, "cpu")
    assert codec.by_ratio
    code = codec.encode(one.filled, 6.0)
    assert 0.7 * one.raw_bytes / 6 < len(code) <= one.raw_bytes / 6
    error = codec.decode(code) - one.truth
    assert np.sqrt(np.mean(error**2)) < 2


def test_numbers_of_the_paper_take_four_bytes(one: Case) -> None:
    codec = fsae_float32(one, "cpu")
    assert codec.sweep[-2:] == (4, 3)  # level 4 is what suits five degrees
    for level in codec.sweep:
        code = codec.encode(one.filled, level)
        assert len(code) == 4 * cell_count(int(level))
        assert codec.decode(code).shape == one.truth.shape
    fine, coarse = (measure_point(codec, one, level) for level in codec.sweep[-2:])
    assert fine.rmse < coarse.rmse


def test_a_whole_store_counts_every_byte(one: Case) -> None:
    found = measure_store(one, 4.0, "cpu")
    assert found.ratio >= 4
    assert found.payload < found.size
    assert found.ratio == pytest.approx(one.raw_bytes / found.size)
    assert 0 < found.figures.rmse < 2
    assert found.figures.count == one.truth.size


def test_a_store_of_a_field_with_holes(tmp_path: Path) -> None:
    source = series(1)
    source["t2m"].values[0] = holed()
    source.to_netcdf(tmp_path / "holed.nc")
    (broken,) = read_cases([str(tmp_path / "holed.nc")])
    found = measure_store(broken, 4.0, "cpu")
    assert found.figures.count == broken.truth.size - 25
    assert found.figures.rmse < 2
