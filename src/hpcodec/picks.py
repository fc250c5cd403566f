"""The fields of a variable that are wanted, and on what grid.

Pick --needed, steps--> what to read --decode--> fields     Pick --output--> their variable
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any

import numpy.typing as npt

from hpcodec.conventions import healpix_attributes, lossy_attributes
from hpcodec.decoding import decode_cells, decode_fields
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.grids import Grid, LatLonGrid
from hpcodec.memory import fields_within
from hpcodec.named_grids import coordinates_of
from hpcodec.regridding import decode_on, level_for_grid
from hpcodec.report import bound_attributes
from hpcodec.stages.dataset import OutputVariable
from hpcodec.stages.zarr_store import Store, StoredVariable

__all__ = ["Pick"]


@dataclass(frozen=True, eq=False)
class Pick:
    """The fields of a variable that are wanted, and on what grid.

    Parameters
    ----------
    store, variable : Store, StoredVariable
        A store, and one of its variables.
    level : int, optional
        HEALPix level; the source grid without.
    grid : Grid, optional
        In place of a level, another grid.
    dimension : str
        Of time, where only some times are wanted.
    times : sequence of int, optional
        Which; all without.
    """

    store: Store
    variable: StoredVariable
    level: int | None
    grid: Grid | None = None
    dimension: str = ""
    times: Sequence[int] | None = None

    @property
    def _selection(self) -> list[Sequence[int]]:
        """Positions wanted along each leading dimension."""
        leading = zip(self.variable.dims, self.variable.leading_shape, strict=False)
        return [
            self.times if self.times is not None and dim == self.dimension else range(size)
            for dim, size in leading
        ]

    @property
    def needed(self) -> int | None:
        """Finest level to read; None for all of a field, whose means are not means of powers."""
        coding = self.variable.coding
        level = self.level if self.grid is None else level_for_grid(coding, self.grid)
        return level if level == BASE_LEVEL or coding.exponent == 1 else None

    @property
    def count(self) -> int:
        """How many fields."""
        return prod(map(len, self._selection))

    @property
    def steps(self) -> Iterator[int]:
        """Flattened leading indices in the store."""
        return _flattened(self._selection, self.variable.leading_shape)

    def payloads(self, count: int) -> Iterator[list[bytes]]:
        """What is to be read of the fields, so many at a time."""
        steps = self.steps
        while places := list(islice(steps, count)):
            yield [self.store.read(self.variable, step, self.needed) for step in places]

    def batch(self, memory: int | None, wanted: int) -> int:
        """Fields to decode at a time, ``wanted`` or as many as memory allows.

        Raises
        ------
        UsageError
            If there is not enough for one.
        """
        coding, shape = self.variable.coding, self.variable.coding.grid.shape
        level = coding.level
        if self.grid is not None:
            shape, level = self.grid.shape, level_for_grid(coding, self.grid)
        elif self.level is not None:
            shape, level = (cell_count(self.level),), self.level
        cells = cell_count(max(level, coding.level))
        return fields_within(memory, self.variable.name, cells, 4 * prod(shape), wanted)

    def output(self, kept: Sequence[str]) -> OutputVariable:
        """Variable of the result; ``kept`` are the names that it may refer to."""
        variable, leading = self.variable, len(self.variable.leading_shape)
        shape = tuple(len(where) for where in self._selection)
        elsewhere = self.level is not None or self.grid is not None
        told = bound_attributes(self.store.record, variable.name, on_cells=elsewhere)
        attributes = {**variable.attributes, **self._lossy, **told}
        if self.grid is not None:
            return self._on_grid(self.grid, shape, healpix_attributes(attributes, kept))
        if self.level is None:
            return OutputVariable(
                name=variable.name,
                dims=variable.dims,
                shape=(*shape, *variable.coding.grid.shape),
                dtype=variable.coding.packing.dtype,
                attributes=attributes,
                leading=leading,
                order=variable.order,
                encoding=self.store.layout.encoding(variable.name),
            )
        return OutputVariable(
            name=variable.name,
            dims=(*variable.dims[:leading], "cell"),
            shape=(*shape, cell_count(self.level)),
            attributes=healpix_attributes(attributes, kept),
            leading=leading,
        )

    def _on_grid(
        self, grid: Grid, shape: tuple[int, ...], attributes: dict[str, Any]
    ) -> OutputVariable:
        dims, _ = coordinates_of(grid)
        del attributes["grid_mapping"]
        if not isinstance(grid, LatLonGrid):
            attributes["coordinates"] = f"{attributes.get('coordinates', '')} lat lon".strip()
        return OutputVariable(
            name=self.variable.name,
            dims=(*self.variable.dims[: len(shape)], *dims),
            shape=(*shape, *grid.shape),
            attributes=attributes,
            leading=len(shape),
        )

    @property
    def _lossy(self) -> dict[str, str]:
        record, coding = self.store.record, self.variable.coding
        return lossy_attributes(
            version=record.version,
            model=coding.model,
            weights=coding.weights,
            error=error.to_dict() if (error := record.error.get(self.variable.name)) else {},
            units=str(self.variable.attributes.get("units", "")),
        )

    def decode(self, payloads: Sequence[bytes], device: str, sharp: bool) -> npt.NDArray[Any]:
        """Fields of payloads on the wanted grid."""
        coding = self.variable.coding
        if self.grid is not None:
            return decode_on(payloads, coding, self.grid, device, sharp=sharp)
        if self.level is None:
            return decode_fields(payloads, coding, device, sharp=sharp)
        return decode_cells(payloads, coding, self.level, device, sharp=sharp)


def _flattened(selection: Sequence[Sequence[int]], shape: Sequence[int]) -> Iterator[int]:
    """Flattened indices (C order) of a selection, one by one: a store may claim any shape."""
    if not selection:
        yield 0
        return
    inner = prod(shape[1:])
    for first in selection[0]:
        for rest in _flattened(selection[1:], shape[1:]):
            yield first * inner + rest
