"""All parts of all variables, one after the other, with a journal of what is done.

variables and their parts --do_all--> states of all parts
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hpcodec.journal import Journal
from hpcodec.parts import Part, parts_of
from hpcodec.series import State
from hpcodec.writer import Writer

__all__ = ["Task", "Told", "do_all", "key_of"]

Told = Callable[[str, int, int], None]
"""Called with a variable's name, fields done, and fields in all."""


@dataclass(frozen=True, eq=False)
class Task:
    """A variable and its parts.

    Parameters
    ----------
    writer : Writer
        Of the variable.
    shape : tuple of int
        Fields of a part along each leading axis.
    """

    writer: Writer
    shape: tuple[int, ...]

    @cached_property
    def parts(self) -> list[Part]:
        """All of them, in order."""
        return parts_of(self.writer.spec.leading_shape, self.shape)

    @property
    def name(self) -> str:
        """Of the variable."""
        return self.writer.spec.name


def key_of(name: str, part: Part) -> str:
    """Name of a part in the journal."""
    return f"{name}/{part.number}"


def do_all(tasks: Sequence[Task], journal: Journal, told: Told) -> dict[str, list[State]]:
    """Compress all parts here, from where the journal has them.

    Parameters
    ----------
    tasks : sequence of Task
        The variables.
    journal : Journal
        Of the store. In an object store it is told of whole parts only.
    told : callable
        Called after every batch.

    Returns
    -------
    dict of str to list of dict
        States of the parts of each variable, in order.

    Raises
    ------
    HpcodecError
        As :meth:`hpcodec.writer.Writer.write`.
    """
    states: dict[str, list[State]] = {}
    for task in tasks:
        done, steps = 0, task.writer.spec.steps
        here = isinstance(task.writer.output.where, Path)
        states[task.name] = []
        for part in task.parts:
            key = key_of(task.name, part)

            def tell(state: State, key: str = key, part: Part = part, here: bool = here) -> None:
                if here or state["done"] == part.steps:
                    journal.tell(key, state)

            def show(own: int, done: int = done, name: str = task.name, steps: int = steps) -> None:
                told(name, done + own, steps)

            states[task.name].append(task.writer.write(part, journal.state(key), tell, show))
            done += part.steps
    return states
