"""What the root of a store says of it.

JSON object of the root's attribute <-> Record
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

from hpcodec.metadata import (
    FORMAT_VERSION,
    OPTIONAL,
    Limits,
    NotNegative,
    Positive,
    Version,
    plain_object,
    read_versioned,
)

__all__ = ["Record", "RecordedError"]


@dataclass(frozen=True)
class RecordedError:
    """What a compressed variable lost, in its unit, on the source grid, weighted by cos latitude.

    Parameters
    ----------
    rmse, max_error : float
        Of the decoded fields, as they were when the store was written; NaN where there is none, as
        of a variable without values.
    remap_rmse : float
        What of it the remap alone costs, likewise.
    bound, relative_bound : float
        ``max_error`` and ``max_rel_error`` of the coding; 0 for none.
    """

    rmse: NotNegative = field(default=math.nan, metadata=OPTIONAL)
    max_error: NotNegative = field(default=math.nan, metadata=OPTIONAL)
    remap_rmse: NotNegative = field(default=math.nan, metadata=OPTIONAL)
    bound: Positive = field(default=0.0, metadata=OPTIONAL)
    relative_bound: Positive = field(default=0.0, metadata=OPTIONAL)

    def to_dict(self) -> dict[str, float]:
        """JSON form, without the figures that there are none of."""
        return plain_object(self)


@dataclass(frozen=True)
class Record:
    """What the root of a store says of it.

    Parameters
    ----------
    version : str
        Of the package that wrote it.
    command : str
        Command line, or empty.
    error : dict of str to RecordedError
        Of each compressed variable.
    masks : dict of str to int
        Bytes of its payloads that tell where values are missing, of each that has such.
    source : dict
        Of the source: a :class:`hpcodec.layout.Layout`.
    format : str
        Version of the format.
    """

    version: str
    command: str
    error: dict[str, RecordedError]
    masks: dict[str, Annotated[int, Limits(1)]] = field(default_factory=dict, metadata=OPTIONAL)
    source: dict[str, Any] = field(default_factory=dict, metadata=OPTIONAL)
    format: Version = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the version of the format."""
        errors = {name: error.to_dict() for name, error in self.error.items()}
        return {"format": self.format, **plain_object(self), "error": errors}

    @classmethod
    def from_dict(cls, data: Any) -> Record:  # noqa: ANN401
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If the version is another, or a key is missing, unknown or of another type.
        """
        return read_versioned(cls, data, "a store's record")
