"""What a field leaves for the next: who begins with a state goes on as if there had been no end."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.fields import Coding, Scaling
from hpcodec.grid import LatLonGrid
from hpcodec.packing import Packing
from hpcodec.pipeline import Encoded, Followed
from hpcodec.series import Series
from hpcodec.step_search import AS_EXPECTED, Hint
from tests.synthetic import waves

GRID = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
FIELDS = waves(24)


def series_of(leading: tuple[int, ...], every: int) -> Series:
    coding = Coding("any", "00" * 32, GRID, level=4, size=900, bottleneck=4, key_every=every)
    return Series(leading, coding, Packing())


def encoded(step: int) -> Encoded:
    field = FIELDS[step : step + 1]
    decoded = np.asarray(field + np.float32(0.1 * step + 0.01), np.float32)
    last = Followed(Scaling(float(step), 1.0), None)  # type: ignore[arg-type]
    return Encoded([f"<{step}>".encode()], decoded, field, Hint(step / 7, 1 + step / 9), last)


def taken(series: Series, first: int, last: int) -> list[tuple[int, bytes]]:
    """Chunks of the fields from ``first`` on."""
    chunks = [(step, series.take(step, FIELDS[step], encoded(step))) for step in range(first, last)]
    return [(step, chunk) for step, chunk in chunks if chunk]


@pytest.mark.parametrize(
    ("leading", "every", "chunks"),
    [
        ((), 1, {0: b"<0>"}),
        ((3,), 1, {0: b"<0>", 1: b"<1>", 2: b"<2>"}),
        ((3,), 2, {1: b"<0><1>", 2: b"<2>"}),
        ((3, 2), 2, {2: b"<0><2>", 3: b"<1><3>", 4: b"<4>", 5: b"<5>"}),
    ],
)
def test_chunks(leading: tuple[int, ...], every: int, chunks: dict[int, bytes]) -> None:
    series = series_of(leading, every)
    assert dict(taken(series, 0, int(np.prod(leading)))) == chunks
    assert series.settled
    assert series.size == sum(map(len, chunks.values()))


def test_a_field_starts_from_its_own_level_a_time_before() -> None:
    series = series_of((4, 2), 2)
    assert series.before(0) == (AS_EXPECTED, None)
    taken(series, 0, 1)
    assert series.before(1) == (encoded(0).hint, None)  # a key field, from the last of its kind
    hint, last = series.before(2)
    assert hint == encoded(0).hint  # nothing is known of fields that follow
    assert last is not None
    assert last.scaling.offset == 0
    taken(series, 1, 4)
    assert series.before(4) == (encoded(0).hint, None)
    taken(series, 4, 6)
    assert series.before(6)[0] == encoded(2).hint


@given(times=st.integers(1, 6), levels=st.integers(1, 4), every=st.integers(1, 7), data=st.data())
def test_who_begins_with_a_state_goes_on_as_if_there_had_been_no_end(
    times: int, levels: int, every: int, data: st.DataObject
) -> None:
    count, leading = times * levels, (times, levels)
    whole = series_of(leading, every)
    first = series_of(leading, every)
    chunks = taken(whole, 0, count)
    ends = [step + 1 for step in range(count) if taken(first, step, step + 1) and first.settled]
    end = data.draw(st.sampled_from(ends))
    before, after = series_of(leading, every), series_of(leading, every)
    written = taken(before, 0, end)
    after.go_on(json.loads(json.dumps(before.state)))
    assert after.done == end
    if end < count:
        assert after.before(end) == before.before(end)
    written += taken(after, end, count)
    assert written == chunks
    assert after.state == whole.state
    assert after.errors.figures() == whole.errors.figures()
