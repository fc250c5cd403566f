"""Climate-data compressor: a pretrained Field-Space Autoencoder on the HEALPix sphere.

The names below are loaded when they are first used; importing the package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcodec.codec import FieldSpace, FieldSpaceCodec
    from hpcodec.compare import compare
    from hpcodec.compress import Options, compress
    from hpcodec.decompress import decompress
    from hpcodec.info import describe
    from hpcodec.validate import validate

__all__ = [
    "FieldSpace",
    "FieldSpaceCodec",
    "Options",
    "compare",
    "compress",
    "decompress",
    "describe",
    "validate",
]

_HOME = {
    "FieldSpace": "codec",
    "FieldSpaceCodec": "codec",
    "Options": "compress",
    "compare": "compare",
    "compress": "compress",
    "decompress": "decompress",
    "describe": "info",
    "validate": "validate",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (any public name)
    if name not in _HOME:
        raise AttributeError(f"module 'hpcodec' has no attribute '{name}'")
    value = getattr(import_module(f"hpcodec.{_HOME[name]}"), name)
    globals()[name] = value  # a submodule of the same name must not hide it
    return value
