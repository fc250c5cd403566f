"""All codecs of the bench, in the order of its tables."""

from __future__ import annotations

from functools import partial

from hpcodec.bench.case import Case
from hpcodec.bench.codecs import Codec, Recipe
from hpcodec.bench.ours import fsae_float32, product
from hpcodec.bench.peers import bit_round, ebcc, jpeg2000, sperr, sz3, zfp
from hpcodec.bench.terrain import jpeg2000_terrain
from hpcodec.bench.trivial import block_means, harmonics

__all__ = ["CNN", "PRODUCT", "recipes"]

PRODUCT = "hpcodec"
"""Name of our own codec."""

CNN = "cnn-float32"
"""Name of the convolutional autoencoder, which needs weights."""

_IMAGECODECS = {"imagecodecs": "imagecodecs"}


def recipes(device: str = "auto", cnn: str = "") -> tuple[Recipe, ...]:
    """Every codec; ours run on a torch device, that of ``CNN`` where there are weights for it."""
    return (
        Recipe(PRODUCT, "ours", "this package", partial(product, device=device)),
        Recipe(
            f"{PRODUCT}-sharp",
            "ours",
            "this package, decompressed with --sharp",
            partial(product, device=device, sharp=True),
        ),
        *(
            Recipe(
                f"{PRODUCT}-{name}",
                "ours",
                f"this package, {what} alone",
                partial(product, device=device, detailed=name == "detail"),
            )
            for name, what in (("network", "the network"), ("detail", "base field and detail"))
        ),
        Recipe(
            "fsae-float32",
            "paper",
            "Field-Space Autoencoder, numbers as float32",
            partial(fsae_float32, device=device),
        ),
        *([_cnn_recipe(cnn)] if cnn else ()),
        Recipe(
            "jpeg2000-terrain",
            "classical",
            "JPEG2000 less orography and land mask",
            jpeg2000_terrain,
            _IMAGECODECS,
        ),
        Recipe("jpeg2000", "classical", "JPEG2000, 16 bits", jpeg2000, _IMAGECODECS),
        Recipe("sperr", "classical", "SPERR, pointwise error", sperr, _IMAGECODECS),
        Recipe(
            "ebcc",
            "classical",
            "EBCC, pointwise error",
            ebcc,
            {"numcodecs_wasm_ebcc": "numcodecs-wasm-ebcc"},
        ),
        Recipe(
            "sz3",
            "classical",
            "SZ3, pointwise error",
            sz3,
            {"numcodecs_wasm_sz3": "numcodecs-wasm-sz3"},
        ),
        Recipe("zfp", "classical", "ZFP, tolerance", zfp, _IMAGECODECS),
        Recipe("bit-round", "classical", "bit rounding and zstd", bit_round),
        Recipe("block-means", "trivial", "block means, cubic interpolation", block_means),
        Recipe("harmonics", "trivial", "truncated harmonics", harmonics, {"ducc0": "ducc0"}),
    )


def _cnn_recipe(weights: str) -> Recipe:
    def build(case: Case) -> Codec:
        from hpcodec.bench.cnn import cnn_float32  # torch comes late

        return cnn_float32(case, weights)

    return Recipe(CNN, "paper", "convolutional autoencoder, numbers as float32", build)
