"""Where the time of a program goes: timers put round the functions of each stage, from outside.

stages, a program --timed--> Span, ...      --seconds--> own seconds of each stage

A second counts once: the time of a stage that another one calls is not that other's.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["ELSE", "HERE", "STAGES", "WAITING", "Span", "Timers", "found_in", "seconds", "timed"]

HERE = "MainThread"
ELSE, WAITING = "else", "waiting"

STAGES: Mapping[str, Sequence[str]] = {
    "reading": (
        "hpcodec.stages.dataset:open_source",
        "hpcodec.stages.dataset:read_steps",
        "hpcodec.stages.dataset:read_stored",
        "hpcodec.stages.zarr_store:open_store",
        "hpcodec.stages.zarr_store:Store.read",
    ),
    "gaps": (
        "hpcodec.missing:fill_smoothly",
        "hpcodec.masks:Mask.of",
        "hpcodec.mask_table:restored",
    ),
    "remap": (
        "hpcodec.stages.healpix:Remap.to_grid",
        "hpcodec.stages.healpix:Remap.to_healpix",
    ),
    "wavelets": (
        "hpcodec.stages.wavelets:from_bands",
        "hpcodec.stages.wavelets:to_bands",
        "hpcodec.detail:Detailer.decode",
        "hpcodec.detail:Detailer.encode",
        "hpcodec.detail:Detailer.shares",
    ),
    "restorer": ("hpcodec.restoring:Restoring.restore",),
    "network": (
        "hpcodec.stages.nudge:nudge",
        "hpcodec.stages.transform:Coder.decode",
        "hpcodec.stages.transform:Coder.encode",
        "hpcodec.stages.transform:Coder.trail",
    ),
    "activity": (
        "hpcodec.entropy.integer_network:ActivityNetwork.__call__",
        "hpcodec.entropy.activity:Surroundings.__init__",
        "hpcodec.entropy.activity:Surroundings.features",
        "hpcodec.entropy.band_activity:BandActivity.plan",
        "hpcodec.entropy.band_network:BandPlans.plan",
    ),
    "entropy code": (
        "hpcodec.base_field:decode_base_symbols",
        "hpcodec.base_field:encode_base_symbols",
        "hpcodec.entropy.bands:decode_bands",
        "hpcodec.entropy.bands:encode_bands",
        "hpcodec.entropy.coding:LevelEncoder.__init__",
        "hpcodec.entropy.coding:LevelEncoder.code",
        "hpcodec.entropy.coding:LevelEncoder.symbols",
        "hpcodec.entropy.coding:LevelEncoder.take",
        "hpcodec.entropy.coding:decode_level",
        "hpcodec.entropy.coding:encode_level",
    ),
    "correction": (
        "hpcodec.correction:corrected",
        "hpcodec.correction:correction_for",
    ),
    "errors": (
        "hpcodec.figures:ErrorSum.add",
        "hpcodec.judge:Judge.rmse_of",
    ),
    "writing": (
        "hpcodec.base_group:fill_base",
        "hpcodec.journal:Journal.tell",
        "hpcodec.output_formats:NetcdfOutput.close",
        "hpcodec.output_formats:Output.write",
        "hpcodec.output_store:StoreOutput.finish",
        "hpcodec.output_store:StoreOutput.put",
        "hpcodec.output_store:StoreOutput.put_shard",
        "hpcodec.sinks:Files.add",
        "hpcodec.sinks:Shard.add",
    ),
    WAITING: ("concurrent.futures:Future.result",),
}
"""Functions of each stage; one that a checkout does not have is left out."""

FIELDS = ("hpcodec.pipeline:encode_fields", "hpcodec.decoding:decode_fields")
"""Each call of these is a field, or some that are decoded together; what no stage has is else."""


@dataclass(frozen=True)
class Span:
    """Time that one thread spent in one stage, and in none that this calls.

    Parameters
    ----------
    thread, stage : str
        Their names.
    field : int
        Number of the call of ``FIELDS``, from 1; 0 outside of them.
    start, stop : float
        Seconds of the clock of ``Timers``.
    """

    thread: str
    stage: str
    field: int
    start: float
    stop: float


class Timers:
    """Spans of all threads, as they end.

    Parameters
    ----------
    clock : callable
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.spans: list[Span] = []
        self._clock, self._own, self._fields = clock, threading.local(), 0

    @contextmanager
    def stage(self, name: str, *, field: bool = False) -> Iterator[None]:
        """A stage, which interrupts the one that it is called in; with ``field`` a field's else."""
        own = self._own
        if not hasattr(own, "stack"):
            own.stack, own.since, own.field = [], 0.0, 0
        if name == WAITING and own.stack:  # a stage that waits is itself what takes so long
            yield
            return
        self._end()
        own.stack.append(name)
        if field:
            self._fields += 1
            own.field = self._fields
        try:
            yield
        finally:
            self._end()
            own.stack.pop()
            own.field = 0 if field else own.field

    def _end(self) -> None:
        """End the span of the innermost stage, and begin another one."""
        own, now = self._own, self._clock()
        if own.stack:
            name = threading.current_thread().name
            self.spans.append(Span(name, own.stack[-1], own.field, own.since, now))
        own.since = now

    def around(self, call: Any, stage: str, *, field: bool = False) -> Any:
        """``call``, or a property, timed."""
        if isinstance(call, property):
            assert call.fget is not None
            return property(self.around(call.fget, stage))
        if isinstance(call, staticmethod | classmethod):
            return type(call)(self.around(call.__func__, stage))

        @functools.wraps(call)
        def timed_call(*arguments: Any, **options: Any) -> Any:
            with self.stage(stage, field=field):
                return call(*arguments, **options)

        return timed_call


@contextmanager
def timed(timers: Timers, stages: Mapping[str, Sequence[str]] = STAGES) -> Iterator[None]:
    """Time the functions of the stages, under all names that modules of hpcodec have for them."""
    targets = [(stage, target, False) for stage, names in stages.items() for target in names]
    targets += [(ELSE, target, True) for target in FIELDS]
    with ExitStack() as after:
        for stage, target, field in targets:
            for owner, name, call in found_in(target):
                setattr(owner, name, timers.around(call, stage, field=field))
                after.callback(setattr, owner, name, call)
        yield


def found_in(target: str) -> list[tuple[Any, str, Any]]:
    """Where ``module:name`` or ``module:Class.name`` is to be replaced; nowhere if there is none.

    Each place is a module or a class, the name there, and what it has now.
    """
    place, _, path = target.partition(":")
    try:
        owner: Any = importlib.import_module(place)
    except ModuleNotFoundError:
        return []
    *classes, name = path.split(".")
    for one in classes:
        owner = vars(owner).get(one)
    if owner is None or name not in vars(owner):
        return []
    call = vars(owner)[name]
    if inspect.isclass(owner):
        return [(owner, name, call)]
    modules = [one for key, one in list(sys.modules.items()) if key.startswith("hpcodec")]
    return [
        (one, as_, call) for one in modules for as_, it in list(vars(one).items()) if it is call
    ]


def seconds(spans: Iterable[Span], fields: float = 1) -> dict[str, float]:
    """Own seconds of each stage, of so many fields for one of them; 0 of any other stage."""
    total = defaultdict[str, float](float)
    for span in spans:
        total[span.stage] += (span.stop - span.start) / fields
    return total
