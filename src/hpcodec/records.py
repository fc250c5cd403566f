"""What the root of a store says of it.

Record <-> attribute of the root
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hpcodec.metadata import (
    FORMAT_VERSION,
    OPTIONAL,
    NotNegative,
    Positive,
    Version,
    check_version,
    plain_object,
    read_object,
)

__all__ = ["Record", "RecordedError"]


@dataclass(frozen=True)
class RecordedError:
    """What a compressed variable lost, in its unit, on the source grid, weighted by cos latitude.

    Parameters
    ----------
    rmse, max_error : float
        Of the decoded fields, as they were when the store was written.
    remap_rmse : float
        What of it the remap alone costs.
    bound, relative_bound : float
        ``max_error`` and ``max_rel_error`` of the coding; 0 for none.
    """

    rmse: NotNegative
    max_error: NotNegative
    remap_rmse: NotNegative
    bound: Positive = field(default=0.0, metadata=OPTIONAL)
    relative_bound: Positive = field(default=0.0, metadata=OPTIONAL)


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
    format : str
        Version of the format.
    """

    version: str
    command: str
    error: dict[str, RecordedError]
    format: Version = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the version of the format."""
        errors = {name: plain_object(error) for name, error in self.error.items()}
        return {"format": self.format, **plain_object(self), "error": errors}

    @classmethod
    def from_dict(cls, data: Any) -> Record:  # noqa: ANN401
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If the version is another, or a key is missing, unknown or of another type.
        """
        if isinstance(data, dict):
            check_version(data.get("format"), "a store's record")
        return read_object(cls, data, "a store's record")
