from __future__ import annotations

import subprocess
import sys
from inspect import isfunction

import hpcodec


def test_public_names_are_what_they_say_in_any_order() -> None:
    # In a fresh process: a module of the same name would hide a function once it is imported.
    names = ", ".join(sorted(hpcodec.__all__))
    code = f"from hpcodec import {names}; import hpcodec.cli; assert callable(compress)"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in ("compare", "compress", "decompress", "describe", "validate"):
        assert isfunction(getattr(hpcodec, name)), name
