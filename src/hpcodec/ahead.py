"""Reading and writing while the network runs: one thread reads ahead, one writes behind.

    items --read_ahead--> the same, each fetched while the one before it is used
    call  --Behind.do-->  done while the caller goes on, one after the other

What is read, computed and written is the same as without, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["Behind", "read_ahead"]

Item = TypeVar("Item")

_END: Any = object()


def read_ahead(items: Iterator[Item]) -> Generator[Item]:
    """The same items; while one is used, the next is fetched in a thread.

    What fetching raises is raised when its turn comes. No more than two items are held.
    """
    with ThreadPoolExecutor(1, "hpcodec-read") as thread:
        coming = thread.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, items, _END)
            yield item


class Behind:
    """Does what it is told in a thread, in order: a context that ends when all is done.

    At most one call waits while another runs. What a call raises is raised by the next
    :meth:`do`, or at the end, unless the block itself fails.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "hpcodec-write")
        self._before: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def do(self, call: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        """Have ``call(*arguments)`` done, after all that was told before."""
        self._settle()
        self._before = self._thread.submit(call, *arguments)

    def _settle(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            before.result()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._settle()
        finally:
            self._thread.shutdown()
