"""What the fuzzer calls with bytes of its making: the first says which reader gets the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from hpcodec.cards import ModelCard
from hpcodec.entropy.tables import EntropyModel
from hpcodec.errors import HpcodecError
from hpcodec.fields import Coding
from hpcodec.metadata import read_object
from hpcodec.models import load_model
from hpcodec.records import Record
from hpcodec.stages.wire import split_payloads
from tests.golden.make import FOLDER, MODEL, golden_models
from tests.hostile import read_payload, sealed

CORPUS = Path(__file__).parent / "corpus"


@lru_cache(maxsize=1)
def known() -> tuple[Coding, EntropyModel]:
    array = json.loads((FOLDER / "ratio/store.zarr/t2m/zarr.json").read_text("utf-8"))
    with golden_models():
        return Coding.from_dict(array["codecs"][0]["configuration"]), load_model(MODEL).entropy


def payload(data: bytes) -> None:
    read_payload(data, *known())


def sealed_payload(data: bytes) -> None:
    read_payload(sealed(data), *known())


def chunk(data: bytes) -> None:
    for part in split_payloads(data)[:4]:
        read_payload(part, *known())


def document(data: bytes) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    for read in (Coding.from_dict, Record.from_dict, card):
        try:
            read(value)
        except HpcodecError:
            continue


def card(value: object) -> None:
    read_object(ModelCard, value, "a card")


TARGETS: tuple[Callable[[bytes], None], ...] = (payload, sealed_payload, chunk, document)


def try_one(data: bytes) -> None:
    """Raises only what no reader of ours may raise."""
    if data:
        try:
            TARGETS[data[0] % len(TARGETS)](data[1:])
        except HpcodecError:
            return
