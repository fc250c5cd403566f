"""The convolutional autoencoder that Meuer et al. (2026, section 4) compare with, on our data.

field --cells, faces--> Autoencoder.encode --> a sixteenth of the numbers, float32 --> decode

``tests/benchmarks/cnn_autoencoder.py`` trains it.
"""

from __future__ import annotations

import struct

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hpcodec.bench.case import Case, Floats
from hpcodec.bench.codecs import Codec
from hpcodec.errors import FormatError
from hpcodec.fields import Scaling
from hpcodec.networks.sphere import to_faces, to_nested
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import denormalise, measure_scaling, normalise

__all__ = ["CNN_LEVEL", "Autoencoder", "cnn_float32"]

CNN_LEVEL = 8
"""HEALPix level of the fields that it takes."""

_WIDTH = 48
_DEEPER = 2  # levels between a field and its numbers
_SCALING = struct.Struct("<2f")


class Autoencoder(nn.Module):
    """Two strided convolutions down to one channel, and back by pixel shuffling.

    One number for 4 x 4 cells of a face, to be added to their mean.
    """

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
            conv = nn.Conv2d(inputs, outputs, 3, stride, 1, padding_mode="replicate")
            return nn.Sequential(conv, nn.SiLU())

        self.down = nn.Sequential(
            block(1, _WIDTH),
            block(_WIDTH, _WIDTH, 2),
            block(_WIDTH, _WIDTH),
            block(_WIDTH, _WIDTH, 2),
            nn.Conv2d(_WIDTH, 1, 1),
        )
        self.up = nn.Sequential(
            block(1, _WIDTH),
            block(_WIDTH, 4 * _WIDTH),
            nn.PixelShuffle(2),
            block(_WIDTH, 4 * _WIDTH),
            nn.PixelShuffle(2),
            block(_WIDTH, _WIDTH),
            nn.Conv2d(_WIDTH, 1, 1),
        )

    def encode(self, field: Tensor) -> Tensor:
        """Numbers ``(n, 1, side / 4, side / 4)`` of normalised faces ``(n, 1, side, side)``."""
        coarse: Tensor = nn.functional.avg_pool2d(field, 2**_DEEPER) + self.down(field)
        return coarse

    def decode(self, numbers: Tensor) -> Tensor:
        """Inverse of :meth:`encode`, as far as it goes."""
        smooth = nn.functional.interpolate(numbers, scale_factor=2**_DEEPER, mode="bilinear")
        field: Tensor = smooth + self.up(numbers)
        return field

    def forward(self, field: Tensor) -> Tensor:
        """Faces after the bottleneck."""
        return self.decode(self.encode(field))


def cnn_float32(case: Case, weights: str) -> Codec:
    """Convolutional autoencoder of given weights, its numbers stored as float32.

    The parameter is the level of the numbers; there is one, 16 times fewer than cells.

    Raises
    ------
    FormatError
        If ``weights`` is no file with the weights of this network.
    """
    network = _load(weights)
    grid = case.grid
    level = min(grid.natural_level, CNN_LEVEL)
    remap = remap_for(grid, level)

    @torch.inference_mode()
    def encode(field: Floats, _: float) -> bytes:
        cells = remap.to_healpix(field[None])
        head = _SCALING.pack(*_parts(measure_scaling(cells[0])))
        faces = to_faces(torch.from_numpy(normalise(cells, [_scaling(head)])))[0]
        numbers = to_nested(network.encode(faces[:, None])[:, 0][None]).numpy()
        return head + numbers.astype("<f4").tobytes()

    @torch.inference_mode()
    def decode(code: bytes) -> Floats:
        numbers = np.frombuffer(code, "<f4", offset=_SCALING.size)[None].astype(np.float32)
        faces = network.decode(to_faces(torch.from_numpy(numbers))[0][:, None])
        cells = to_nested(faces[:, 0][None]).numpy()
        return np.asarray(remap.to_grid(denormalise(cells, [_scaling(code)]))[0])

    return Codec((float(level - _DEEPER),), encode, decode)


def _parts(scaling: Scaling) -> tuple[float, float]:
    return scaling.offset, scaling.scale


def _scaling(head: bytes) -> Scaling:
    return Scaling(*_SCALING.unpack_from(head))


def _load(path: str) -> Autoencoder:
    network = Autoencoder()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        first = " ".join(str(error).split())[:120]
        raise FormatError(
            f"expected weights of the convolutional autoencoder; got '{path}' ({first}). "
            "Train them: tests/benchmarks/cnn_autoencoder.py."
        ) from error
    return network.eval()
