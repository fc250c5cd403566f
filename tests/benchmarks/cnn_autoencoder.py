"""The convolutional autoencoder that Meuer et al. (2026, section 4) compare with, on our data.

    python tests/benchmarks/cnn_autoencoder.py PREPARED MINUTES FIELD.nc [FIELD.nc ...]

PREPARED is a folder of prepared fields (``hpcodec train`` makes it); the fields of its training
files are used alone. The network maps 4 x 4 cells to one number, 16 times fewer, on single faces;
the numbers are stored as float32, as the paper counts them. Prints bytes and RMSE on the source
grid: to be read beside ``hpcodec bench --codec fsae-float32``, our network stored the same way.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hpcodec.grid import cell_count
from hpcodec.networks.sphere import to_faces, to_nested
from hpcodec.stages.dataset import find_fields, open_source, read_steps
from hpcodec.stages.healpix import remap_for
from hpcodec.stages.normalise import denormalise, measure_scaling, normalise
from hpcodec.train.fields import PreparedField, read_index

LEVEL, BATCH, RATE, WIDTH = 8, 8, 1e-3, 48


class Autoencoder(nn.Module):
    """Two strided convolutions down to one channel, and back by pixel shuffling."""

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
            conv = nn.Conv2d(inputs, outputs, 3, stride, 1, padding_mode="replicate")
            return nn.Sequential(conv, nn.SiLU())

        self.encode = nn.Sequential(
            block(1, WIDTH),
            block(WIDTH, WIDTH, 2),
            block(WIDTH, WIDTH),
            block(WIDTH, WIDTH, 2),
            nn.Conv2d(WIDTH, 1, 1),
        )
        self.decode = nn.Sequential(
            block(1, WIDTH),
            block(WIDTH, 4 * WIDTH),
            nn.PixelShuffle(2),
            block(WIDTH, 4 * WIDTH),
            nn.PixelShuffle(2),
            block(WIDTH, WIDTH),
            nn.Conv2d(WIDTH, 1, 1),
        )

    def forward(self, field: Tensor) -> Tensor:
        """Field ``(n, 1, side, side)`` after the bottleneck."""
        coarse = nn.functional.avg_pool2d(field, 4)
        smooth = nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
        decoded: Tensor = self.decode(coarse + self.encode(field))
        return smooth + decoded


def train(prepared: Path, minutes: float) -> Autoencoder:
    """Autoencoder trained on random faces of the training fields, with their symmetries."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    index = [item for item in read_index(prepared) if item.level >= LEVEL]
    index = [item for item in index if item.file.startswith("train/")]
    network = Autoencoder()
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    start, steps = time.monotonic(), 0
    while (done := (time.monotonic() - start) / 60 / minutes) < 1:
        optimiser.param_groups[0]["lr"] = RATE * (1.01 - done)
        chosen = [index[rng.integers(len(index))] for _ in range(BATCH)]
        field = torch.stack([face_of(prepared, item, int(rng.integers(12))) for item in chosen])
        field = torch.rot90(field, int(rng.integers(4)), (2, 3))
        with torch.autocast("cpu", torch.bfloat16):
            decoded = network(field)
        missed = (decoded.float() - field).square().mean((1, 2, 3))
        optimiser.zero_grad()
        torch.log(missed + 1e-4).mean().backward()  # type: ignore[no-untyped-call]  # torch
        optimiser.step()
        steps += 1
    print(f"{steps} steps of {BATCH} faces in {minutes:g} minutes")  # noqa: T201
    return network.eval()


def face_of(prepared: Path, item: PreparedField, face: int) -> Tensor:
    """A face of a prepared field, averaged to level 8: ``(1, side, side)``."""
    stored = np.load(prepared / item.array, mmap_mode="r")[face]
    field = torch.from_numpy(np.asarray(stored, np.float32) * item.unit)[None]
    return nn.functional.avg_pool2d(field, 2 ** (item.level - LEVEL))


@torch.no_grad()
def main() -> None:
    """Train, then print a line for every field."""
    with torch.enable_grad():
        network = train(Path(sys.argv[1]), float(sys.argv[2]))
    size = 4 * cell_count(LEVEL - 2)
    for path in sys.argv[3:]:
        source = open_source(path)
        (spec,) = find_fields(source)
        values = read_steps(source, spec, 0, 1)
        remap = remap_for(spec.grid, LEVEL)
        cells = remap.to_healpix(values)
        scaling = [measure_scaling(cells[0])]
        faces = to_faces(torch.from_numpy(normalise(cells, scaling)))[0]
        decoded = to_nested(network(faces[:, None])[:, 0][None]).numpy()
        error = remap.to_latlon(denormalise(decoded, scaling)).astype(np.float64) - values
        rmse = float(np.sqrt(np.mean(spec.grid.area_weights * error**2)))
        ratio = 4 * error[0].size / size
        print(f"{spec.name}: {size:,} bytes, {ratio:.1f}x, RMSE {rmse:.4g} {spec.units}")  # noqa: T201


if __name__ == "__main__":
    main()
