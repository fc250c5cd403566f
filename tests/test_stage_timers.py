"""The timers of ``python -m tests.benchmarks.stages``."""

from __future__ import annotations

from concurrent.futures import Future
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.stages import healpix, wavelets
from tests.benchmarks.timers import FIELDS, STAGES, WAITING, Timers, found_in, seconds, timed

Tree = tuple[str, list[Any]]

trees: st.SearchStrategy[Tree] = st.recursive(
    st.tuples(st.sampled_from("abc"), st.just([])),
    lambda inner: st.tuples(st.sampled_from("abc"), st.lists(inner, max_size=4)),
    max_leaves=12,
)


@given(trees)
def test_a_second_counts_once_however_stages_call_each_other(tree: Tree) -> None:
    ticks = count()
    timers = Timers(lambda: float(next(ticks)))

    def call(stage: str, inner: list[Tree]) -> int:
        with timers.stage(stage):
            return 1 + sum(call(*one) for one in inner)

    calls = call(*tree)
    spans = sorted(timers.spans, key=lambda span: span.start)
    assert all(one.stop <= after.start for one, after in pairwise(spans))
    # The clock is read twice a call: what lies between two readings is of the innermost stage.
    assert sum(seconds(spans).values()) == 2 * calls - 1


def test_a_stage_that_waits_is_itself_what_takes_so_long() -> None:
    timers, done = Timers(), Future[int]()
    done.set_result(3)
    with timed(timers):
        assert done.result() == 3
        with timers.stage("writing"):
            assert done.result() == 3
    assert [span.stage for span in timers.spans] == [WAITING, "writing"]


@pytest.mark.parametrize("target", [*FIELDS, *(one for stage in STAGES.values() for one in stage)])
def test_functions_of_all_stages_are_there(target: str) -> None:
    assert found_in(target)


@pytest.mark.parametrize("target", ["hpcodec.gone:f", "hpcodec.grid:gone", "hpcodec.grid:Gone.f"])
def test_what_another_checkout_does_not_have_is_left_out(target: str) -> None:
    assert not found_in(target)
    with timed(Timers(), {"gone": [target]}):
        pass


def test_calls_are_timed_under_any_name_and_only_so_long() -> None:
    before = wavelets.to_bands, healpix.Remap.to_grid
    timers = Timers()
    with timed(timers):
        wavelets.from_bands(wavelets.to_bands(np.zeros((19, 36))))
    assert [span.stage for span in timers.spans] == ["wavelets"] * 2
    assert (wavelets.to_bands, healpix.Remap.to_grid) == before
