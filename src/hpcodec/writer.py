"""Parts of a variable into its array: read ahead, compressed, written behind, verified.

fields of a part --Writer.write--> chunks, and what the journal keeps of it
states of all parts --total--> VariableReport
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy.typing as npt
import xarray as xr

from hpcodec.ahead import Behind, read_ahead
from hpcodec.base_group import unfinished_store
from hpcodec.bounds import verify
from hpcodec.errors import MissingValueError, OutputError, UsageError
from hpcodec.fields import Coding, FieldSpec
from hpcodec.figures import ErrorSum
from hpcodec.grid import cell_count
from hpcodec.output_store import StoreOutput
from hpcodec.parts import Part
from hpcodec.pipeline import encode_fields
from hpcodec.report import VariableReport
from hpcodec.series import Series, State
from hpcodec.sinks import Sink, sink_for
from hpcodec.stages.dataset import read_stored

__all__ = ["Tell", "Writer", "total"]

Stored = npt.NDArray[Any]

Tell = Callable[[State], None]
"""Called with the state of a part, all of whose fields up to there are kept."""


@dataclass(frozen=True, eq=False)
class Writer:
    """Compresses the parts of a variable into its array.

    Parameters
    ----------
    output : StoreOutput
        Of the store, with the array.
    dataset, spec : xr.Dataset, FieldSpec
        The source, raw, and the variable.
    device : str
        Torch device, or ``auto``.
    batch : int
        Fields read at a time.
    """

    output: StoreOutput
    dataset: xr.Dataset
    spec: FieldSpec
    device: str
    batch: int

    @property
    def coding(self) -> Coding:
        """How the variable is coded."""
        return self.output.codings[self.spec.name]

    def write(self, part: Part, state: State, tell: Tell, told: Callable[[int], None]) -> State:
        """Compress the fields of a part, from where an earlier run left it.

        Parameters
        ----------
        part : Part
            Of the variable.
        state : dict
            What the earlier run told last; empty where there is nothing to go on with.
        tell : callable
            Called with what another run would go on with, whenever there is more in the store.
        told : callable
            Called after every batch with the part's fields that are done.

        Returns
        -------
        dict
            State of the part when it is done.

        Raises
        ------
        UsageError
            If a field cannot be had as asked.
        BoundError
            If one does not keep its bound.
        OutputError
            If the store cannot be written, or is not what ``state`` says, nor the source.
        """
        series = Series(part.shape, self.coding, self.spec.packing)
        sink = sink_for(self.output, self.spec.name)
        if state:
            self._check_done(part, state, series, sink)
            series.go_on(state)
        if series.done == part.steps:
            return state
        with Behind() as behind, closing(read_ahead(self._read(part, series.done))) as coming:
            for start, values in coming:
                for own, field in enumerate(values, start):
                    with _named(self.spec.name):
                        encoded = encode_fields(
                            field[None], self.coding, self.device, *series.before(own)
                        )
                    if chunk := series.take(own, field, encoded):
                        behind.do(sink.add, part.step(own), chunk)
                    if series.settled and series.done < part.steps:
                        behind.do(tell, series.state)
                told(series.done)
        sink.finish()
        self._verify(part)
        tell(series.state)
        return series.state

    def _read(self, part: Part, done: int, stop: int | None = None) -> Iterator[tuple[int, Stored]]:
        """First index and fields, as they are stored, of each batch of a part."""
        end = part.steps if stop is None else stop
        for start in range(done, end, self.batch):
            last = min(start + self.batch, end)
            yield start, read_stored(self.dataset, self.spec, start, last, part)

    def _check_done(self, part: Part, state: State, series: Series, sink: Sink) -> None:
        """Refuse to go on with another source, or with chunks that are not those written."""
        fields, done = 0, state["done"]
        for _, values in self._read(part, 0, done):
            fields = zlib.crc32(values.tobytes(), fields)
        steps = [part.step(own) for own in filter(series.closes, range(done))]
        chunks = 0
        for chunk in sink.go_on(steps, whole=done == part.steps):
            chunks = zlib.crc32(chunk, chunks)
        if fields != state["sums"][0]:
            raise OutputError(
                f"expected the fields of '{self.spec.name}' that the unfinished store was begun "
                "with; got others. The source has changed: begin anew with --overwrite."
            )
        if chunks != state["sums"][1]:
            raise OutputError(
                f"expected the chunks of '{self.spec.name}' as they were written; got others. The "
                "unfinished store is damaged: begin anew with --overwrite."
            )

    def _verify(self, part: Part) -> None:
        """Decode what was just written: a bound that does not hold is none."""
        if self.coding.bounded:
            store = unfinished_store(self.output)
            item = store.variables[self.spec.name]
            verify(store, item, self.dataset, self.spec, part, self.device, self.batch)


def total(parts: Iterable[State], spec: FieldSpec, coding: Coding) -> VariableReport:
    """Report of a variable from the states of all its parts, in their order."""
    weights, states = coding.grid.area_weights, list(parts)
    errors, floors = ErrorSum(weights), ErrorSum(weights)
    for state in states:
        errors.include(state["errors"])
        floors.include(state["floors"])
    masks = sum(map(len, coding.masks))
    sizes = {key: sum(state[key] for state in states) for key in ("size", "masks", "corrections")}
    figures = errors.figures()
    return VariableReport(
        name=spec.name,
        units=spec.units,
        model=coding.model,
        steps=spec.steps,
        bottleneck=coding.bottleneck,
        level=coding.level,
        source_bytes=4 * prod(spec.grid.shape) * spec.steps,
        payload_bytes=sizes["size"] + masks,
        mask_bytes=sizes["masks"] + masks,
        numbers=cell_count(coding.level) / cell_count(coding.bottleneck),
        rmse=figures.rmse,
        max_error=figures.max_error,
        remap_rmse=floors.figures().rmse,
        correction_bytes=sizes["corrections"],
        bound=coding.max_error,
        relative_bound=coding.max_rel_error,
        detailed=states[-1]["detailed"],
    )


@contextmanager
def _named(variable: str) -> Iterator[None]:
    """Name the variable in what is said of a field that cannot be had as asked."""
    try:
        yield
    except (UsageError, MissingValueError) as error:
        raise type(error)(f"'{variable}': {error}") from error
