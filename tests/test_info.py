"""What a store says of itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpcodec.errors import FormatError
from hpcodec.fields import FORMAT_VERSION
from hpcodec.info import describe
from hpcodec.stages.zarr_store import open_store
from tests.synthetic import MODEL, bytes_of


def test_figures_of_a_store(rich_store: str) -> None:
    about = describe(rich_store)
    assert json.loads(json.dumps(about)) == about
    assert about["format"] == FORMAT_VERSION
    assert about["bytes"] == bytes_of(Path(rich_store))
    source = 4 * 12 * 37 * 72
    assert about["ratio"] == pytest.approx(source / about["bytes"], abs=0.01)
    assert list(about["variables"]) == ["msl", "ta"]
    ta = about["variables"]["ta"]
    assert ta["dims"] == {"time": 3, "plev": 2, "lat": 37, "lon": 72}
    assert (ta["units"], ta["model"], ta["level"]) == ("K", MODEL, 4)
    assert ta["source_bytes"] == source // 2
    assert 0 <= ta["error"]["remap_rmse"] <= 1.05 * ta["error"]["rmse"] < ta["error"]["max_error"]


def test_bytes_by_level_are_those_of_the_first_payload(single_store: str) -> None:
    item = describe(single_store)["variables"]["t2m"]
    store = open_store(single_store)
    payload = store.read(store.variables["t2m"], 0)
    (base,) = item["first_field_bytes"].values()  # of a fine field all else is detail
    assert 0 < len(payload) - base - item["first_detail_bytes"] < 64
    assert item["first_correction_bytes"] == 0
    assert len(payload) <= item["field_bytes"]


def test_it_needs_no_torch(single_store: str) -> None:
    code = (
        "import sys; from hpcodec.info import describe; from hpcodec.validation import validate; "
        "describe(sys.argv[1]); assert not validate(sys.argv[1]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, single_store], check=True, timeout=60)


def test_what_is_no_store(tmp_path: Path, damaged: Path, chunk: Path) -> None:
    with pytest.raises(FormatError):
        describe(str(tmp_path))
    chunk.write_bytes(b"nothing of ours")
    with pytest.raises(FormatError):
        describe(str(damaged))
