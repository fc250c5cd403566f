"""Climate-data compressor: a pretrained Field-Space Autoencoder on the HEALPix sphere.

The names below are loaded when they are first used; importing the package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcodec.codec import FieldSpace, FieldSpaceCodec
    from hpcodec.comparison import compare
    from hpcodec.compression import Options, compress
    from hpcodec.decompression import decompress
    from hpcodec.info import describe
    from hpcodec.validation import validate
    from hpcodec.xarray_backend import open_pyramid

__all__ = [
    "FieldSpace",
    "FieldSpaceCodec",
    "Options",
    "compare",
    "compress",
    "decompress",
    "describe",
    "open_pyramid",
    "validate",
]

_HOME = {
    "FieldSpace": "codec",
    "FieldSpaceCodec": "codec",
    "Options": "compression",
    "compare": "comparison",
    "compress": "compression",
    "decompress": "decompression",
    "describe": "info",
    "open_pyramid": "xarray_backend",
    "validate": "validation",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (any public name)
    if name not in _HOME:
        raise AttributeError(f"module 'hpcodec' has no attribute '{name}'")
    value = getattr(import_module(f"hpcodec.{_HOME[name]}"), name)
    globals()[name] = value
    return value
