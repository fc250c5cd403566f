from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec import errors
from hpcodec.errors import HpcodecError, nearest

KINDS = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]


@pytest.mark.parametrize("kind", KINDS)
def test_one_tree(kind: type[Exception]) -> None:
    assert issubclass(kind, HpcodecError)


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.FormatError, ValueError),
        (errors.GridError, ValueError),
        (errors.LevelError, ValueError),
        (errors.MissingValueError, ValueError),
        (errors.UsageError, ValueError),
        (errors.ModelError, LookupError),
        (errors.OutputError, OSError),
    ],
)
def test_standard_kinds(kind: type[Exception], standard: type[Exception]) -> None:
    assert issubclass(kind, standard)


@pytest.mark.parametrize("kind", KINDS)
def test_messages_are_printed_plainly(kind: type[Exception]) -> None:
    assert str(kind("expected 'a'; got 'b'.")) == "expected 'a'; got 'b'."


def test_nearest_without_a_near_one() -> None:
    assert nearest("zzz", ["tas", "psl"]) == "Known: psl, tas."
    assert nearest("zzz", []) == "Known: none."


@given(st.text(), st.lists(st.text(min_size=1), min_size=1))
def test_nearest_lists_every_known(got: str, known: list[str]) -> None:
    sentence = nearest(got, known)
    assert all(name in sentence for name in known)
    assert sentence.endswith(".")
    if got in known:
        assert f"Did you mean '{got}'?" in sentence
