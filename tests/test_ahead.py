"""Threads that read ahead and write behind: the same in the same order, errors in their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from hpcodec.ahead import Behind, read_ahead


def test_the_next_is_fetched_while_one_is_used() -> None:
    fetched = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        fetched.set()
        yield 2

    with closing(read_ahead(items())) as coming:
        assert next(coming) == 1
        assert fetched.wait(10)
        assert list(coming) == [2]


def test_an_error_of_reading_has_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    with closing(read_ahead(items())) as coming:
        assert [next(coming), next(coming)] == [1, 2]
        with pytest.raises(OSError, match="gone"):
            next(coming)


def test_no_more_than_the_next_is_fetched() -> None:
    fetched = list[int]()

    def items() -> Iterator[int]:
        for item in range(9):
            fetched.append(item)
            yield item

    with closing(read_ahead(items())) as coming:
        next(coming)
    assert fetched in ([0], [0, 1])


def test_what_is_written_behind_is_done_in_order() -> None:
    done = list[int]()
    gate = threading.Event()

    def first() -> None:
        assert gate.wait(10)
        done.append(0)

    with Behind() as behind:
        behind.do(first)
        assert done == []  # it goes on without us
        gate.set()
        for number in range(1, 5):
            behind.do(done.append, number)
    assert done == [0, 1, 2, 3, 4]


def fail() -> None:
    raise OSError("disk is full")


def test_an_error_of_writing_is_raised_by_the_next_or_at_the_end() -> None:
    with Behind() as behind:
        behind.do(fail)
        with pytest.raises(OSError, match="full"):
            behind.do(fail)
    with pytest.raises(OSError, match="full"), Behind() as behind:
        behind.do(fail)


def test_the_first_error_is_the_one_to_report() -> None:
    def both() -> None:
        with Behind() as behind:
            behind.do(fail)
            raise KeyError

    with pytest.raises(KeyError):
        both()
