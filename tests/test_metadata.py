"""JSON objects are read strictly, and the published schema says the same of them."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcodec.cards import ModelCard
from hpcodec.errors import FormatError
from hpcodec.fields import Coding
from hpcodec.grid import LatLonGrid
from hpcodec.metadata import FORMAT_VERSION, OPTIONAL, Limits, check_version, read_object
from hpcodec.records import Record, RecordedError
from hpcodec.schema import schema
from hpcodec.stored import ATTRIBUTE, CODEC
from tests.golden.make import MODEL, MODELS
from tests.hostile import damage_json

GRID = LatLonGrid.regular((90.0, -5.0, 37), (0.0, 5.0, 72))
CODING = Coding("any-l9", "0f" * 32, GRID, 4, 900, 4, "tos", "idw", 0.5, 8)
RECORD = Record("0.1.0", "hpcodec compress", {"t2m": RecordedError(0.5, 2, 0)})
PUBLISHED = Path(__file__).parents[1] / "docs" / "format" / "v1.schema.json"


@dataclass(frozen=True)
class Part:
    count: Annotated[int, Limits(1, 9)]
    names: tuple[str, ...] = ()
    inner: dict[str, float] = field(default_factory=dict, metadata=OPTIONAL)


def test_the_published_schema_is_that_of_the_reader() -> None:
    made = json.dumps(schema(), indent=1) + "\n"
    assert PUBLISHED.read_text("utf-8") == made, (
        "python -m hpcodec.schema > docs/format/v1.schema.json"
    )
    jsonschema.Draft202012Validator.check_schema(schema())


# JSON schema has one kind of number, knows no NaN, and nothing of what two values say together.
def strict(checker: Any, value: Any) -> bool:
    return type(value) is int and abs(value) <= 2**53


def finite(checker: Any, value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300


CHECKER = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
    {"integer": strict, "number": finite}
)
Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=CHECKER)


def card() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((MODELS / MODEL / "card.json").read_text("utf-8"))
    return data


@given(kind=st.sampled_from((Coding, Record, ModelCard)), seed=st.integers(0, 2**32))
def test_reader_and_schema_agree(kind: Any, seed: int) -> None:
    """What the reader takes, the schema takes; what the schema refuses, the reader refuses."""
    valid = {Coding: CODING.to_dict(), Record: RECORD.to_dict(), ModelCard: card()}[kind]
    key = {Coding: CODEC, Record: ATTRIBUTE, ModelCard: "card.json"}[kind]
    data = json.loads(damage_json(json.dumps(valid), random.Random(seed)).lstrip("["))
    allowed = Validator(schema()).is_valid({key: data})
    try:
        getattr(kind, "from_dict", lambda plain: read_object(ModelCard, plain, "a card"))(data)
    except FormatError:
        together = kind is Coding and allowed  # levels in order, a grid that is one
        assert not allowed or together
    else:
        assert allowed


@pytest.mark.parametrize("one", [CODING, RECORD], ids=["coding", "record"])
def test_round_trip(one: Coding | Record) -> None:
    plain = json.loads(json.dumps(one.to_dict()))
    before = copy.deepcopy(plain)
    assert type(one).from_dict(plain) == one
    assert plain == before
    assert Validator(schema()).is_valid({CODEC if isinstance(one, Coding) else ATTRIBUTE: plain})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "as a JSON object"),
        ({"count": 1}, "key 'names'"),
        ({"count": 1, "names": [], "iner": {}}, "Did you mean 'inner'"),
        ({"count": 0, "names": []}, "from 1 to 9 as 'count'; got 0"),
        ({"count": True, "names": []}, "whole number"),
        ({"count": 1.0, "names": []}, "whole number"),
        ({"count": 1, "names": "ab"}, "JSON array"),
        ({"count": 1, "names": [1]}, "text"),
        ({"count": 1, "names": [], "inner": []}, "JSON object"),
        ({"count": 1, "names": [], "inner": {"a": float("nan")}}, "number as 'a'"),
    ],
)
def test_refusals(data: Any, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read_object(Part, data, "a part")


def test_what_may_be_left_out() -> None:
    assert read_object(Part, {"count": 3, "names": ["a"]}, "a part") == Part(3, ("a",))


@pytest.mark.parametrize(
    "version", ["2.0", "0.9", "1.1", "1.99", "", "1", "01.0.0", None, 1.0, "٢.0"]
)
def test_other_versions_are_named(version: Any) -> None:
    with pytest.raises(FormatError, match=rf"expected format {FORMAT_VERSION}; got") as caught:
        check_version(version, "a store")
    assert str(version) in str(caught.value)


def test_long_values_are_cut() -> None:
    with pytest.raises(FormatError) as caught:
        Coding.from_dict({**CODING.to_dict(), "model": "x" * 10**6, "remap": [0] * 10**6})
    assert len(str(caught.value)) < 400
