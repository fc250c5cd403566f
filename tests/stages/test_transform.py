from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.errors import LevelError
from hpcodec.fields import CompressedField, Scaling
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.stages.transform import Coder, static_pyramid
from hpcodec.stages.wire import pack, prefix_size, unpack
from tests.tiny import Floats, assert_same, coder, flat_tables, smooth_cells

LEVEL = 5
CODER = coder(LEVEL)


def encoded(
    cells: Floats, bottleneck: int, step: float = 0.5, used: Coder = CODER
) -> tuple[list[CompressedField], Floats]:
    count = len(cells)
    return used.encode(
        cells, scaling=[Scaling(0, 1)] * count, bottleneck=bottleneck, steps=[step] * count
    )


def block_mean(cells: Floats, level: int) -> Floats:
    return np.asarray(cells.reshape(len(cells), cell_count(level), -1).mean(-1), np.float32)


@pytest.mark.parametrize("bottleneck", [3, 4, 5])
@pytest.mark.parametrize("level", [3, 4, 5])
def test_decoding_conserves_scales(level: int, bottleneck: int) -> None:
    fields, _ = encoded(smooth_cells(LEVEL, 2), bottleneck)
    coarse = CODER.decode(fields, level, bottleneck=bottleneck)
    finest = CODER.decode(fields, LEVEL, bottleneck=bottleneck)
    assert coarse.shape == (2, cell_count(level))
    assert coarse.dtype == np.float32
    np.testing.assert_allclose(coarse, block_mean(finest, level), atol=2e-5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), bottleneck=st.integers(3, 5), log2_step=st.floats(-6, 4))
def test_decode_gives_what_encode_told(seed: int, bottleneck: int, log2_step: float) -> None:
    cells = smooth_cells(LEVEL, 2, seed)
    kept = cells.copy()
    fields, told = encoded(cells, bottleneck, 2**log2_step)
    np.testing.assert_array_equal(cells, kept)
    np.testing.assert_allclose(
        CODER.decode(fields, LEVEL, bottleneck=bottleneck), told, atol=1e-4, rtol=1e-5
    )


def test_payloads_decode_to_what_encode_told() -> None:
    fields, told = encoded(smooth_cells(LEVEL, 1), 5)
    tables = flat_tables()
    payload = pack(fields[0], tables)
    assert_same(unpack(payload, tables), fields[0])
    again = CODER.decode([unpack(payload, tables)], LEVEL, bottleneck=5)
    np.testing.assert_allclose(again, told, atol=1e-5)
    # A prefix is enough for a coarse view.
    prefix = payload[: prefix_size(payload, 4)]
    coarse = CODER.decode([unpack(prefix, tables, 4)], 4, bottleneck=5)
    np.testing.assert_allclose(coarse, block_mean(told, 4), atol=2e-5)


def test_a_batch_is_its_fields_one_by_one() -> None:
    cells = smooth_cells(LEVEL, 3)
    steps = [0.25, 1.0, 4.0]
    scaling = [Scaling(k, 1 + k) for k in range(3)]
    fields, told = CODER.encode(cells, scaling=scaling, bottleneck=4, steps=steps)
    decoded = CODER.decode(fields, LEVEL, bottleneck=4)
    for row in range(3):
        (alone,), one = CODER.encode(
            cells[row : row + 1], scaling=[scaling[row]], bottleneck=4, steps=[steps[row]]
        )
        assert (alone.offset, alone.scale, alone.step) == (row, 1 + row, steps[row])
        np.testing.assert_array_equal(alone.base, fields[row].base)
        np.testing.assert_allclose(one[0], told[row], atol=1e-4)
        np.testing.assert_allclose(
            CODER.decode([fields[row]], LEVEL, bottleneck=4)[0], decoded[row], atol=1e-4
        )


@pytest.mark.parametrize("bottleneck", [3, 4, 5])
def test_base_cells_keep_their_means(bottleneck: int) -> None:
    cells = smooth_cells(LEVEL)
    step = 0.5
    _, told = encoded(cells, bottleneck, step)
    base_step = step * 2.0 ** (BASE_LEVEL - LEVEL)
    gap = np.abs(block_mean(told, BASE_LEVEL) - block_mean(cells, BASE_LEVEL)).max()
    assert gap <= base_step / 2 + 1e-4


def test_finer_steps_come_nearer() -> None:
    cells = smooth_cells(LEVEL)
    errors = [float(np.abs(encoded(cells, 5, step)[1] - cells).max()) for step in (4, 1, 0.25)]
    assert errors[0] > errors[1] > errors[2]
    # Each of three components strays by the dead zone of its level's step at most.
    assert errors[2] < 3 * 0.62 * 0.25


def test_a_trial_may_stop_at_the_bottleneck() -> None:
    cells = smooth_cells(LEVEL)
    (whole,), told = encoded(cells, 4)
    (tried,), coarse = CODER.encode(
        cells, scaling=[Scaling(0, 1)], bottleneck=4, steps=[0.5], level=4
    )
    assert_same(tried, whole)
    np.testing.assert_allclose(coarse, block_mean(told, 4), atol=2e-5)


def test_coarse_fields_are_coded_by_a_finer_network() -> None:
    cells = smooth_cells(4)
    fields, told = encoded(cells, 4)
    assert told.shape == cells.shape
    finer = CODER.decode(fields, LEVEL, bottleneck=4)
    np.testing.assert_allclose(block_mean(finer, 4), told, atol=2e-5)


def test_bottleneck_beyond_the_field() -> None:
    with pytest.raises(LevelError, match="from 3 to 4, the field's own; got 5"):
        encoded(smooth_cells(4), 5)
    with pytest.raises(LevelError, match="got 2"):
        encoded(smooth_cells(4), 2)


@pytest.mark.parametrize("level", [-1, 2, 6, 8])
def test_levels_that_the_network_does_not_give(level: int) -> None:
    fields, _ = encoded(smooth_cells(LEVEL), 4)
    with pytest.raises(LevelError, match=rf"level {level} .*\(3 to 5\)"):
        CODER.decode(fields, level, bottleneck=4)


def test_static_pyramid_averages() -> None:
    orography = np.arange(cell_count(5)).astype(np.int16)
    land = np.full(cell_count(5), 255, np.uint8)
    pyramid = static_pyramid(orography, land)
    assert sorted(pyramid) == [3, 4, 5]
    for level, fields in pyramid.items():
        assert fields.shape == (3, 12, 2**level, 2**level)
        assert fields.dtype == torch.float32
        assert float(fields[0].mean()) == pytest.approx(orography.mean() / 1000, rel=1e-4)
        assert torch.equal(fields[1], torch.ones_like(fields[1]))
        assert abs(float(fields[2].mean())) < 1e-6
        assert float(fields[2].abs().max()) < 1
