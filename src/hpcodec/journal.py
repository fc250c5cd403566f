"""How far an unfinished store is, so that another run can go on with it.

what was asked for, state of each variable --tell--> journal.json --open_journal--> the same

The file stands beside the unfinished store and is replaced whole, after every field that is in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpcodec.errors import OutputError
from hpcodec.output_formats import written
from hpcodec.remote import RemoteFile

__all__ = ["Journal", "open_journal"]

State = dict[str, Any]
"""Of a variable: ``done``, fields in the store, and what the next one starts from."""


class Journal:
    """State of each variable of a store; made by :func:`open_journal`.

    Parameters
    ----------
    path : Path or RemoteFile
        Of the file, which is there once the first field is done.
    request : dict
        What the bytes of the store depend on, as JSON holds it.
    states : dict
        State of each variable that was begun.
    """

    def __init__(
        self, path: Path | RemoteFile, request: dict[str, Any], states: dict[str, State]
    ) -> None:
        self._path, self.request, self._states = path, request, states

    def state(self, name: str) -> State:
        """State of a variable; empty if it was not begun."""
        return self._states.get(name, {})

    def tell(self, name: str, state: State) -> None:
        """Record the state of a variable, all of whose fields up to there are in the store.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        self._states[name] = state
        text = json.dumps({"request": self.request, "states": self._states})
        if not isinstance(self._path, Path):
            with written(str(self._path)):
                self._path.write_text(text, "utf-8")
            return
        fresh = self._path.with_suffix(".new")  # a killed run leaves the old file or the new one
        with written(self._path):
            fresh.write_text(text, "utf-8")
            os.replace(fresh, self._path)


def open_journal(
    path: Path | RemoteFile, request: Mapping[str, Any], free: tuple[str, ...] = ()
) -> Journal:
    """Journal at ``path``, or a new one if there is none.

    Parameters
    ----------
    path : Path or RemoteFile
        Of the file.
    request : mapping
        What the bytes of the store depend on.
    free : tuple of str
        Keys of it that may differ from those of the run that was interrupted, which are kept.

    Raises
    ------
    OutputError
        If the journal is of another request, or cannot be read.
    """
    asked = json.loads(json.dumps(dict(request)))
    if not path.exists():
        return Journal(path, asked, {})
    begun, states = _read(path)
    for key in sorted(asked.keys() | begun.keys()):
        if key not in free and (old := begun.get(key)) != (new := asked.get(key)):
            raise OutputError(
                f"expected {key.replace('_', ' ')} {json.dumps(old)}, as '{_folder(path)}' was "
                f"begun with; got {json.dumps(new)}. Give the same options, or begin anew with "
                "--overwrite."
            )
    return Journal(path, begun, states)


def _folder(path: Path | RemoteFile) -> str:
    return str(path).rpartition("/")[0]


def _read(path: Path | RemoteFile) -> tuple[dict[str, Any], dict[str, State]]:
    try:
        data = json.loads(path.read_text("utf-8"))
        return dict(data["request"]), dict(data["states"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"expected the journal of an unfinished store; '{path}' is damaged "
            f"({type(error).__name__}). Begin anew with --overwrite."
        ) from error
