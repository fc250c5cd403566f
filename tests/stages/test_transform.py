from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

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
from tests.tiny import Floats, assert_same, coder, fitted_entropy, smooth_cells, step_of

LEVEL = 5
MODEL = fitted_entropy()
CODER = coder(LEVEL)
CHOOSY = coder(LEVEL, entropy=MODEL)


def encoded(
    cells: Floats, bottleneck: int, step: float = 0.25, used: Coder = CODER
) -> tuple[list[CompressedField], Floats]:
    """Compressed fields, ``step`` being that of level 5, and what they decode to."""
    scaling, steps = [Scaling(0, 1)] * len(cells), [step_of(step, LEVEL)] * len(cells)
    return used.encode(cells, scaling=scaling, bottleneck=bottleneck, steps=steps)


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
@given(seed=st.integers(0, 2**32), bottleneck=st.integers(3, 5), log2_step=st.floats(-7, 3))
def test_decode_gives_what_encode_told(seed: int, bottleneck: int, log2_step: float) -> None:
    cells = smooth_cells(LEVEL, 2, seed)
    kept = cells.copy()
    fields, told = encoded(cells, bottleneck, 2**log2_step)
    np.testing.assert_array_equal(cells, kept)
    np.testing.assert_allclose(
        CODER.decode(fields, LEVEL, bottleneck=bottleneck), told, atol=1e-4, rtol=1e-5
    )


@pytest.mark.parametrize("used", [CODER, CHOOSY], ids=["plain", "choosy"])
def test_payloads_decode_to_what_encode_told(used: Coder) -> None:
    fields, told = encoded(smooth_cells(LEVEL, 1), 5, used=used)
    payload = pack(fields[0], MODEL)
    assert_same(unpack(payload, MODEL), fields[0])
    again = used.decode([unpack(payload, MODEL)], LEVEL, bottleneck=5)
    np.testing.assert_allclose(again, told, atol=1e-5)
    # A prefix is enough for a coarse view.
    prefix = payload[: prefix_size(payload, 4)]
    coarse = used.decode([unpack(prefix, MODEL, 4)], 4, bottleneck=5)
    np.testing.assert_allclose(coarse, block_mean(told, 4), atol=2e-5)


# Exactness: what is decoded from a payload does not depend on who made it, how, or on what


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("batch", [1, 8])
def test_integers_are_the_same_wherever_they_are_decoded(
    batch: int, count: int, half: bool
) -> None:
    cells = smooth_cells(LEVEL, batch, seed=3)
    with threads(count), torch.autocast("cpu", torch.bfloat16, enabled=half):
        fields, _ = encoded(cells, 5, 0.125, CHOOSY)
        payloads = [pack(field, MODEL) for field in fields]
        decoded = [unpack(payload, MODEL) for payload in payloads]
    for payload, field, same in zip(payloads, fields, decoded, strict=True):
        assert len(field.codes) == 2
        assert_same(same, field)
        # Coded again from the symbols alone, where there is no network.
        assert pack(replace(field, codes=()), MODEL) == payload
    # Another machine: other threads, another precision, one field at a time.
    with threads(3 - count), torch.autocast("cpu", torch.bfloat16, enabled=not half):
        for payload, field in zip(payloads, fields, strict=True):
            elsewhere = unpack(payload, MODEL)
            assert_same(elsewhere, field)
        values = CHOOSY.decode([elsewhere], LEVEL, bottleneck=5)
        assert np.isfinite(values).all()


def test_another_precision_decodes_to_nearly_the_same_values() -> None:
    """Only the values differ, by what the rounding of the network's guesses does."""
    fields, told = encoded(smooth_cells(LEVEL, 2), 5, 0.125, CHOOSY)
    with torch.autocast("cpu", torch.bfloat16):
        half = CHOOSY.decode(fields, LEVEL, bottleneck=5)
    np.testing.assert_allclose(half, told, atol=0.1)
    assert not np.array_equal(half, told)


def test_choosing_by_worth_stays_within_a_step() -> None:
    """Other symbols than by the simple rule, but none farther from the field than a step."""
    cells = smooth_cells(LEVEL)
    (plain,), _ = encoded(cells, 5, 0.125)
    (chosen,), told = encoded(cells, 5, 0.125, CHOOSY)
    assert plain.codes == ()
    np.testing.assert_array_equal(plain.base, chosen.base)
    assert not np.array_equal(plain.residuals[0], chosen.residuals[0])
    # Of the level and, half as much each, of those before it.
    assert float(np.abs(told - cells).max()) < 2 * 3 * 1.01 * 0.125


# Fields that follow each other in time


def successive() -> Floats:
    """Two fields of which the second is the first with a little noise."""
    first, other = smooth_cells(LEVEL), smooth_cells(LEVEL, seed=9)
    return np.concatenate([first, first + 0.05 * other])


def followed(
    used: Coder, cells: Floats, bottleneck: int, step: float = 0.125
) -> tuple[list[CompressedField], list[Floats]]:
    """Fields coded one after the other, and what each decodes to."""
    trail, fields, told, steps = None, [], [], [step_of(step, LEVEL)]
    for one in cells:
        (field,), decoded = used.encode(
            one[None], scaling=[Scaling(0, 1)], bottleneck=bottleneck, steps=steps, after=trail
        )
        trail = used.trail(field, trail)
        fields.append(field)
        told.append(decoded)
    return fields, told


@pytest.mark.parametrize("used", [CODER, CHOOSY], ids=["plain", "choosy"])
@pytest.mark.parametrize("bottleneck", [3, 4, 5])
def test_followers_decode_to_what_encode_told(bottleneck: int, used: Coder) -> None:
    fields, told = followed(used, np.concatenate([successive(), successive()[:1]]), bottleneck)
    assert [len(field.carry) for field in fields] == [0, bottleneck - 2, bottleneck - 2]
    trail = None
    for field, expected in zip(fields, told, strict=True):
        payload = pack(field, MODEL)
        whole = unpack(payload, MODEL)
        assert_same(whole, field)
        decoded = used.decode([whole], LEVEL, bottleneck=bottleneck, after=trail)
        np.testing.assert_allclose(decoded, expected, atol=2e-4)
        # Coarser, a prefix of each of them is enough.
        coarse = unpack(payload[: prefix_size(payload, 4)], MODEL, 4)
        means = used.decode([coarse], 4, bottleneck=bottleneck, after=trail)
        np.testing.assert_allclose(means, block_mean(expected, 4), atol=2e-4)
        trail = used.trail(whole, trail)


def test_coarse_trails_serve_coarse_followers() -> None:
    fields, told = followed(CODER, successive(), 5)
    first, second = (unpack(pack(field, MODEL), MODEL, 4) for field in fields)
    means = CODER.decode([second], 4, bottleneck=5, after=CODER.trail(first))
    np.testing.assert_allclose(means, block_mean(told[1], 4), atol=2e-4)


def test_followers_take_fewer_bytes() -> None:
    cells = successive()
    fields, told = followed(CHOOSY, cells, 5)
    (alone,), _ = encoded(cells[1:], 5, 0.125, CHOOSY)
    assert len(pack(fields[1], MODEL)) < 0.9 * len(pack(alone, MODEL))
    assert float(np.abs(told[1] - cells[1]).max()) < 2 * 3 * 1.01 * 0.125


def test_a_batch_is_its_fields_one_by_one() -> None:
    cells = smooth_cells(LEVEL, 3)
    steps = [step_of(step, LEVEL) for step in (0.125, 0.5, 2.0)]
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
    step = 0.25
    _, told = encoded(cells, bottleneck, step)
    base_step = step * 2.0 ** (BASE_LEVEL + 1 - LEVEL)
    gap = np.abs(block_mean(told, BASE_LEVEL) - block_mean(cells, BASE_LEVEL)).max()
    assert gap <= base_step / 2 + 1e-4


def test_finer_steps_come_nearer() -> None:
    cells = smooth_cells(LEVEL)
    errors = [float(np.abs(encoded(cells, 5, step)[1] - cells).max()) for step in (2, 0.5, 0.125)]
    assert errors[0] > errors[1] > errors[2]
    # Each of three components strays by the dead zone of its level's step at most, and those of
    # the levels before by half as much each.
    assert errors[2] < 2 * 3 * 0.62 * 0.125


def test_a_trial_may_stop_at_the_bottleneck() -> None:
    cells = smooth_cells(LEVEL)
    (whole,), told = encoded(cells, 4)
    (tried,), coarse = CODER.encode(
        cells, scaling=[Scaling(0, 1)], bottleneck=4, steps=[step_of(0.25)], level=4
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
