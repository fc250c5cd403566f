"""Train the convolutional autoencoder that Meuer et al. (2026, section 4) compare with.

    python tests/benchmarks/cnn_autoencoder.py PREPARED WEIGHTS [--minutes 25]
    hpcodec bench FIELD.nc --ratio 21.12 --cnn WEIGHTS \\
        --codec hpcodec --codec fsae-float32 --codec cnn-float32

PREPARED is a folder of prepared fields (``hpcodec train`` makes it); the fields of its training
files are used alone. Minutes are those of one core at work, whatever else the machine does. A
checkpoint beside WEIGHTS is written every minute; a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from hpcodec.bench.cnn import CNN_LEVEL, Autoencoder
from hpcodec.train.fields import read_index

BATCH, RATE, EVERY = 4, 2e-3, 60.0


def train(prepared: Path, weights: Path, minutes: float) -> None:
    """Train on random faces of the training fields, with their symmetries, and write WEIGHTS."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    index = [item for item in read_index(prepared) if item.level >= CNN_LEVEL]
    fields = [
        (np.load(prepared / item.array, mmap_mode="r"), item.unit)
        for item in index
        if item.file.startswith("train/")
    ]
    network = Autoencoder().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    checkpoint, steps, before = weights.with_suffix(".checkpoint"), 0, 0.0
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        steps, before = kept["steps"], kept["seconds"]
    start = time.process_time() - before
    told, loss = before, torch.zeros(())
    while (seconds := time.process_time() - start) < 60 * minutes:
        if seconds - told > EVERY:
            told = seconds
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**state, "steps": steps, "seconds": seconds}, checkpoint)
            print(f"{seconds / 60:.1f} minutes, {steps} steps, loss {loss:.3f}", flush=True)  # noqa: T201
        optimiser.param_groups[0]["lr"] = RATE * (1.01 - seconds / 60 / minutes)
        loss = _step(network, optimiser, fields, np.random.default_rng(steps))
        steps += 1
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, weights, {"steps": str(steps), "minutes": f"{minutes:g}"})
    print(f"{steps} steps of {BATCH} faces, {len(fields)} fields, in {minutes:g} minutes")  # noqa: T201


def _step(
    network: Autoencoder,
    optimiser: torch.optim.Optimizer,
    fields: list[tuple[np.ndarray, float]],
    rng: np.random.Generator,
) -> torch.Tensor:
    chosen = [fields[rng.integers(len(fields))] for _ in range(BATCH)]
    field = torch.stack([_face(faces, unit, int(rng.integers(12))) for faces, unit in chosen])
    field = torch.rot90(field, int(rng.integers(4)), (2, 3))
    field = field.mT if rng.random() < 0.5 else field
    with torch.autocast("cpu", torch.bfloat16):
        decoded = network(field.contiguous(memory_format=torch.channels_last))
    missed = (decoded.float() - field).square().mean((1, 2, 3))
    # Of the logarithm: all variables count alike, however much of them a number can tell.
    loss = torch.log(missed + 1e-4).mean()
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch
    optimiser.step()
    return loss.detach()


def _face(faces: np.ndarray, unit: float, number: int) -> torch.Tensor:
    """A face, averaged to the level of the network: ``(1, side, side)``."""
    field = torch.from_numpy(faces[number].astype(np.float32) * np.float32(unit))[None]
    return torch.nn.functional.avg_pool2d(field, field.shape[-1] // 2**CNN_LEVEL)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("prepared", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--minutes", type=float, default=25.0)
    given = parser.parse_args()
    train(given.prepared, given.weights, given.minutes)


if __name__ == "__main__":
    main()
