"""Parts of a variable: every field in one of them, whole chunks, no more than asked for."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from hpcodec.parts import box_of, fields_of_part, parts_of, whole

leadings = some.lists(some.integers(1, 9), max_size=3).map(tuple)


@given(leading=leadings, every=some.integers(1, 5), fields=some.integers(1, 60))
def test_every_field_is_in_one_part(leading: tuple[int, ...], every: int, fields: int) -> None:
    box = box_of(leading, every, fields)
    parts = parts_of(leading, box)
    assert [part.number for part in parts] == list(range(len(parts)))
    steps = [part.step(own) for part in parts for own in range(part.steps)]
    assert sorted(steps) == list(range(prod(leading)))
    assert prod(box) <= max(fields, every)
    assert all(part.start[0] % every == 0 for part in parts if leading)


@given(leading=leadings, fields=some.integers(1, 60), data=some.data())
def test_slabs_are_of_the_fields_asked_for(
    leading: tuple[int, ...], fields: int, data: some.DataObject
) -> None:
    numbers = np.arange(prod(leading)).reshape(leading)
    part = data.draw(some.sampled_from(parts_of(leading, box_of(leading, 1, fields))))
    start = data.draw(some.integers(0, part.steps - 1))
    stop = data.draw(some.integers(start + 1, part.steps))
    found = [step for slab in part.slabs(start, stop) for step in numbers[slab].ravel().tolist()]
    assert found == [part.step(own) for own in range(start, stop)]


def test_the_whole_is_one_part() -> None:
    assert parts_of((3, 2), (3, 2)) == [whole((3, 2))]
    assert parts_of((), ()) == [whole(())]
    assert whole(()).steps == 1


@pytest.mark.parametrize(
    ("size", "fields"), [(65_000, 384), (1_000_000, 48), (4 * 721 * 1440, 24), (1, 384)]
)
def test_parts_of_whole_days_that_can_be_held(size: int, fields: int) -> None:
    assert fields_of_part(size) == fields
