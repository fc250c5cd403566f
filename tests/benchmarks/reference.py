"""Seconds, memory and arithmetic of the network: ours, and the one its authors published.

    python tests/benchmarks/reference.py FIELDSPACENN [--level 8] [--threads 2] \\
        [--bottlenecks 6 5 4]

FIELDSPACENN is a clone of https://github.com/FREVA-CLINT/FieldSpaceNN; it wants einops, hydra-core
and omegaconf. Its autoencoder is made of the blocks of its own default configuration, for one
variable and with random weights, a stage to each level as Meuer et al. (2026) have it; and once
more with two blocks of attention to a stage, as they have, 256 wide as in the authors'
FieldSpace-compression. Its grids take minutes to make, and are kept for another run.

One field on HEALPix cells to the bottleneck and back, each network in a process of its own: the
median of three after a first. "alone" is our network with no symbols to choose or to code.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from hpcodec.fields import Scaling
from hpcodec.grid import BASE_LEVEL, cell_count
from hpcodec.models import load_model
from hpcodec.networks.field_space import Setting
from hpcodec.networks.scales import merge
from hpcodec.networks.sphere import to_faces
from hpcodec.stages.wire import pack, unpack

Ways = tuple[torch.nn.Module, Callable[[], Any], Callable[[Any], Any]]
"""A network, what encodes the field with it, and what decodes that."""

_AXES = (1, 1, 1, -1, 1, 1)


def field(level: int) -> torch.Tensor:
    """Cells of a field with less of finer things, ``(cells,)``, nested order, of unit size."""
    cells, random = torch.zeros(cell_count(BASE_LEVEL)), np.random.default_rng(0)
    for at in range(BASE_LEVEL, level + 1):
        noise = torch.from_numpy(random.standard_normal(cell_count(at), np.float32))
        cells = cells.repeat_interleave(len(noise) // len(cells)) + 3.0 ** (BASE_LEVEL - at) * noise
    return cells / cells.std()


def ours(coding: bool, level: int, bottleneck: int) -> Ways:
    """Our general model, with or without its symbols."""
    model = load_model("any-l9")
    coder, entropy, cells = model.coder("cpu"), model.entropy, field(level)[None]
    points = [one for one in model.card.operating_points if one.bottleneck == bottleneck]
    step = min(one.step for one in points)
    setting = Setting(torch.zeros(1, dtype=torch.int64), torch.tensor([step]), bottleneck)
    statics = {at: one[None] for at, one in coder.statics.items()}
    network, faces = coder.network, to_faces(cells)
    told: dict[str, Any] = {"scaling": [Scaling(0, 1)], "steps": [step], "level": bottleneck}

    def encode() -> bytes:
        return pack(coder.encode(cells.numpy(), bottleneck=bottleneck, **told)[0][0], entropy)

    def decode(payload: bytes) -> Any:
        return coder.decode([unpack(payload, entropy)], level, bottleneck=bottleneck)

    def synthesise(coded: torch.Tensor) -> torch.Tensor:
        decoded = torch.nn.functional.avg_pool2d(coded, 2 ** (bottleneck - BASE_LEVEL))
        for at in range(BASE_LEVEL + 1, level + 1):
            code = (lambda _, guess: (guess * 0, guess * 0)) if at <= bottleneck else None
            decoded = merge(decoded, network.residual(at, decoded, statics, setting, code))
        return decoded

    alone = partial(network.analyse, faces, statics, setting), synthesise
    return (network, encode, decode) if coding else (network, *alone)


def theirs(folder: Path, blocks: int, width: int, level: int, bottleneck: int) -> Ways:
    """The authors' autoencoder; the fields in it have axes (b, variable, time, cell, depth, 1)."""
    sys.path.insert(0, str(folder))
    kept, omega = folder / "fieldspacenn" / "configs", importlib.import_module("omegaconf")
    load, merged = omega.OmegaConf.load, omega.OmegaConf.merge
    time_embedder = load(kept / "embedding" / "default.yaml").TimeEmbedder
    whole = load(kept / "model" / "mg_autoencoder.yaml")
    whole.embedding, model = {"TimeEmbedder": time_embedder}, whole.model
    attention, down = model.encoder_block_configs.att_0, model.encoder_block_configs.down_0
    up = model.decoder_block_configs.up_0
    attention.att_dim = width or attention.att_dim

    def levels(at: int) -> list[int]:
        return [BASE_LEVEL, *range(bottleneck, at + 1)]

    def attend(at: int) -> dict[str, Any]:
        block = merged(attention, {"q_zooms": levels(at), "kv_zooms": levels(at)})
        return {f"att_{at}_{number}": block for number in range(blocks)}

    def fold(block: Any, inputs: list[int], at: int, out: list[int]) -> Any:
        patch = at + block.field_zoom - block.target_zooms[0]
        zooms = {"in_zooms": inputs, "target_zooms": [at], "out_zooms": out}
        return merged(block, {**zooms, "field_zoom": patch})

    encoder: dict[str, Any] = {}
    decoder = attend(bottleneck)
    for at in range(level, bottleneck, -1):
        folded = fold(down, [at - 1, at], at - 1, levels(at - 1))
        encoder |= {**attend(at), f"down_{at}": folded}
    for at in range(bottleneck + 1, level + 1):
        decoder |= {f"up_{at}": fold(up, [at - 1], at, levels(at)), **attend(at)}
    model.encoder_block_configs = {**encoder, **attend(bottleneck)}
    model.decoder_block_configs = decoder
    model.in_zooms, model.n_groups_variables, model.mgrids = levels(level), [1], None
    make = importlib.import_module("hydra.utils").instantiate(model, _partial_=True)
    network = make(mgrids=torch.load(grids_file(level)))

    fields, rest = {}, field(level)
    for below, at in reversed(list(pairwise(levels(level)))):
        means = rest.view(cell_count(below), -1).mean(1)
        fields[at] = (rest - means.repeat_interleave(len(rest) // len(means))).view(_AXES)
        fields[below], rest = means.view(_AXES), means
    sampling = {"n_past_ts": 0, "n_future_ts": 0, "zoom_patch_sample": -1}
    configs = dict.fromkeys(range(level + 1), sampling)

    def run(way: Any, parts: Any, **options: Any) -> Any:
        when = {"TimeEmbedder": dict.fromkeys(range(level + 1), torch.zeros(1, 1))}
        return way([dict(parts)], configs, None, [when], **options)[0]

    encode = partial(run, network.ae_encode, fields)
    return network, encode, partial(run, network.ae_decode, out_zoom=level)


def grids_file(level: int) -> Path:
    """Where their grids are kept."""
    return Path(tempfile.gettempdir()) / f"fieldspacenn-grids-{level}.pt"


def make_grids(folder: Path, level: int) -> None:
    """Their grids up to ``level``, as their networks leave them: these are quick to take again."""
    sys.path.insert(0, str(folder))
    modules: Any = importlib.import_module("fieldspacenn.src.modules.grids.grid_utils")
    grids = modules.healpix_grid_to_mgrid(level)
    modules = importlib.import_module("fieldspacenn.src.models.mg_transformer.mg_base_model")
    modules.MG_base_model(grids)
    torch.save(grids, grids_file(level))


def attention(query: Any, key: Any, *_: Any, **__: Any) -> int:
    """Arithmetic of an attention, from shapes: torch counts it on a GPU only."""
    return int(4 * np.prod(query) * key[-2])


def measure(ways: Callable[[], Ways], threads: int, told: Any) -> None:
    """Tell parameters, arithmetic and seconds of both ways, and the most bytes it has held."""
    torch.set_num_threads(threads)
    network, encode, decode = ways()
    network.eval()
    counts, seconds = [], []
    on_cpu: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    way: Callable[[], Any] = encode
    for _ in range(2):
        counter = FlopCounterMode(display=False, custom_mapping={on_cpu: attention})
        with torch.no_grad(), counter:
            coded = way()
        spent = []
        with torch.inference_mode():
            for _ in range(3):
                start = time.perf_counter()
                way()
                spent.append(time.perf_counter() - start)
        counts.append(counter.get_total_flops() / 1e9)
        seconds.append(statistics.median(spent))
        way = partial(decode, coded)
    size = sum(one.numel() for one in network.parameters()) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    told.send((size, *counts, *seconds, peak))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("fieldspacenn", type=Path)
    parser.add_argument("--level", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bottlenecks", type=int, nargs="+", default=[6, 5, 4])
    asked = parser.parse_args()
    for package in ("einops", "hydra", "omegaconf"):
        if not importlib.util.find_spec(package):
            sys.exit(f"expected the packages of FieldSpaceNN; got no {package}. Install them.")
    if not grids_file(asked.level).exists():
        make_grids(asked.fieldspacenn, asked.level)
    rows: dict[str, Callable[[int, int], Ways]] = {
        "FieldSpaceNN": partial(theirs, asked.fieldspacenn, 1, 0),
        "FieldSpaceNN, 2 x 256": partial(theirs, asked.fieldspacenn, 2, 256),
        "hpcodec, alone": partial(ours, False),
        "hpcodec": partial(ours, True),
    }
    print("bottleneck, network      | M params |  Gflop in,  out |   s in,    out | peak GB")  # noqa: T201
    context = multiprocessing.get_context("forkserver")
    for bottleneck, (name, ways) in product(asked.bottlenecks, rows.items()):
        here, there = context.Pipe()
        made = partial(ways, asked.level, bottleneck)
        process = context.Process(target=measure, args=(made, asked.threads, there))
        process.start()
        there.close()
        size, *both, peak = here.recv()
        process.join()
        told = "{:7.2f} {:7.2f} | {:6.3f} {:7.3f}".format(*both)
        print(f"{bottleneck} {name:22} | {size:8.2f} | {told} | {peak:7.2f}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
