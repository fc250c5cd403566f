"""The parts of all variables on a dask cluster: a worker writes each into the store.

variables and their parts, Job --spread--> states of all parts

A task is a part's number and a few words; the worker opens the source and the store, and loads the
model by its name, once. Any worker writes the same bytes, so a part may be written twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hpcodec.containment import local_folder, remote_place
from hpcodec.errors import OutputError, UsageError
from hpcodec.journal import Journal
from hpcodec.output_store import StoreOutput
from hpcodec.parts import Part, parts_of
from hpcodec.series import State
from hpcodec.stages.dataset import find_fields, open_source
from hpcodec.tasks import Task, Told, key_of
from hpcodec.writer import Writer

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "Job", "compress_part", "connected", "spread"]

Cluster: TypeAlias = Any
"""Address of a dask scheduler, path of its file, ``local`` or a ``distributed.Client``."""

_LOCAL = "local"

_PATIENCE = 30  # seconds that a scheduler has for its first answer
_NAP = 0.05  # seconds


@dataclass(frozen=True)
class Job:
    """What workers need to know of a run.

    Parameters
    ----------
    source : str
        As for :func:`hpcodec.compression.compress`; seen by all workers.
    target, where : str
        The store, and where it is while it is written; seen by all workers.
    variables : tuple of (str, tuple of int, int)
        Name, shape of a part, and fields read at a time, of each variable.
    device : str
        Torch device, or ``auto``.
    token : str
        Different for each run, so that no worker takes a store for another's.
    version : str
        Of hpcodec.
    """

    source: str
    target: str
    where: str
    variables: tuple[tuple[str, tuple[int, ...], int], ...]
    device: str
    token: str
    version: str

    @classmethod
    def of(cls, source: str, tasks: Sequence[Task], device: str) -> Job:
        """The job of compressing these variables of a source."""
        output = tasks[0].writer.output
        there = isinstance(output.where, Path)
        variables = tuple((task.name, task.shape, task.writer.batch) for task in tasks)
        where = str(output.where) if there else str(output.target)
        local = local_folder(source)
        return cls(
            source=source if local is None else os.path.abspath(local),
            target=str(output.target),
            where=where,
            variables=variables,
            device=device,
            token=os.urandom(8).hex(),
            version=version("hpcodec"),
        )


def spread(
    client: Client, source: str, tasks: Sequence[Task], journal: Journal, told: Told
) -> dict[str, list[State]]:
    """Compress all parts on a cluster, but for those that the journal has whole.

    Parameters
    ----------
    client : distributed.Client
        From :func:`connected`.
    source : str
        The source, as workers find it.
    tasks, journal, told
        As for :func:`hpcodec.tasks.do_all`.

    Raises
    ------
    OutputError
        If workers end before a part is done, too often.
    HpcodecError
        As :meth:`hpcodec.writer.Writer.write`.
    """
    job = Job.of(source, tasks, tasks[0].writer.device)
    states = {task.name: [_done(journal, task, part) for part in task.parts] for task in tasks}
    done = dict.fromkeys(states, 0)
    from distributed import KilledWorker, as_completed

    futures = {
        client.submit(compress_part, job, task.name, number, state, pure=False): (task, number)
        for task in tasks
        for number, state in enumerate(states[task.name])
    }
    try:
        for future in as_completed(list(futures), loop=client.loop):
            task, number = futures.pop(future)  # so that nobody does it again
            part, state = task.parts[number], future.result()
            future.release()
            journal.tell(key_of(task.name, part), state)
            states[task.name][number] = state
            done[task.name] += part.steps
            told(task.name, done[task.name], task.writer.spec.steps)
    except KilledWorker as error:
        raise OutputError(
            f"expected workers that live until a part is done; {error.last_worker} and others did "
            "not. Give them more memory, or set --memory, and go on with --resume."
        ) from error
    finally:
        client.cancel(list(futures), force=True)
        with contextlib.suppress(Exception):  # of workers that are gone
            client.run(_idle)
    tasks[0].writer.output.tidy()
    return states


def _done(journal: Journal, task: Task, part: Part) -> State:
    """State of a part that is whole; what is half done stays with the process that did it."""
    state = journal.state(key_of(task.name, part))
    return state if state.get("done") == part.steps else {}


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """A client of a cluster, or None for none; one that is given is not closed.

    ``local`` is a cluster of this machine, made for the time: a worker for each core.

    Raises
    ------
    UsageError
        If dask is not installed, or the scheduler does not answer.
    """
    if not isinstance(cluster, str) or not cluster:
        yield cluster or None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError(
            "expected dask.distributed, for a cluster; it is not installed. Install it: pip "
            "install 'hpcodec[dask]'."
        ) from error
    if cluster == _LOCAL:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        own = {"n_workers": cores, "threads_per_worker": 1, "memory_limit": 0}
        with (
            LocalCluster(**own, dashboard_address="127.0.0.1:0") as workers,
            Client(workers, set_as_default=False) as client,
        ):
            yield client
        return
    how = {"scheduler_file": cluster} if cluster.endswith(".json") else {"address": cluster}
    try:
        if cluster.endswith(".json"):
            os.stat(cluster)  # which the client would wait for, for ever
        client = Client(**how, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"expected a dask scheduler at '{cluster}'; got {type(error).__name__}: "
            f"{' '.join(str(error).split())[:120]}. Start one: dask scheduler."
        ) from error
    with client:
        yield client


# A worker


_ONE = threading.Lock()  # the network of one part takes all that a process has


def compress_part(job: Job, name: str, number: int, state: State) -> State:
    """Compress a part into the store, or check that it is there; called on a worker.

    Parameters
    ----------
    job : Job
        The run.
    name : str
        Of the variable.
    number : int
        Of the part.
    state : dict
        What an earlier run left of it; empty for nothing.

    Returns
    -------
    dict
        State of the part when it is done.

    Raises
    ------
    HpcodecError
        As :meth:`hpcodec.writer.Writer.write`.
    """
    with _ONE:
        if (here := version("hpcodec")) != job.version:
            raise OutputError(
                f"expected hpcodec {job.version} on every worker; got {here}. Install the same."
            )
        writer, parts = _opened(job)[name]
        return writer.write(parts[number], state, _nobody, _nobody)


@lru_cache(maxsize=1)
def _opened(job: Job) -> dict[str, tuple[Writer, list[Part]]]:
    """Writer and parts of each variable, in this process."""
    names = [name for name, _, _ in job.variables]
    dataset = open_source(job.source)
    specs = find_fields(dataset, names)
    folder = local_folder(job.where)
    output = StoreOutput(folder or remote_place(job.where, read_only=False), job.target)
    output.attach()
    return {
        spec.name: (
            Writer(output, dataset, spec, job.device, batch),
            parts_of(spec.leading_shape, box),
        )
        for spec, (_, box, batch) in zip(specs, job.variables, strict=True)
    }


async def _idle() -> None:
    """Wait until no part is being written: what a run leaves, nobody changes any more."""
    while _ONE.locked():
        await asyncio.sleep(_NAP)


def _nobody(told: object) -> None:
    """Tell nobody: the process that has the journal hears of it when the part is done."""
