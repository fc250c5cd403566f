"""The JSON schema of the format, from the dataclasses that readers check metadata with.

python -m hpcodec.schema > docs/format/v1.schema.json
"""

from __future__ import annotations

import json
from typing import Any

from hpcodec.cards import ModelCard
from hpcodec.fields import Coding
from hpcodec.layout import Layout
from hpcodec.metadata import schema_of
from hpcodec.records import Record
from hpcodec.shards import CODEC as SHARDS
from hpcodec.shards import shard_schema
from hpcodec.stored import ATTRIBUTE, CODEC

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """Schema of an object with the metadata of ours, each under its name; all may be left out."""
    parts = {ATTRIBUTE: Record, CODEC: Coding, "card.json": ModelCard}
    found = {name: schema_of(kind) for name, kind in parts.items()}
    found[ATTRIBUTE]["properties"]["source"] = Layout.schema()
    found[SHARDS] = shard_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Metadata of hpcodec format 1",
        "type": "object",
        "properties": found,
        "additionalProperties": False,
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))  # noqa: T201
