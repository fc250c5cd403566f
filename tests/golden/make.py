"""Write golden stores that are not there yet, and the list of all their digests::

    python -m tests.golden.make

What is there is left alone, for ever: a reader that no longer reads it has broken the format. Only
before a version of the format is released may a case be removed by hand and written anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import xarray as xr
import zarr
from safetensors.numpy import save_file

from hpcodec.band_networks import BANDS, BANDS_CARD
from hpcodec.cards import CARD
from hpcodec.codec import FieldSpace, FieldSpaceCodec
from hpcodec.compression import Options, compress
from hpcodec.decoding import decode_cells, decode_fields
from hpcodec.entropy.activity import known_features
from hpcodec.entropy.arrays import to_arrays
from hpcodec.entropy.tables import EntropyModel
from hpcodec.fields import Coding, Scaling
from hpcodec.model_folders import STATICS
from hpcodec.models import file_digest, load_model
from hpcodec.networks.architecture import RestorerShape
from hpcodec.restorers import RESTORER, WEIGHTS
from hpcodec.stages.wire import pack, split_payloads, unpack
from hpcodec.stages.zarr_store import open_store
from hpcodec.train.examples import make_examples
from hpcodec.train.restorer import RestorerConfig, RestorerRun, publish_restorer
from tests.synthetic import rich, series
from tests.tiny import architecture, coder, fitted_entropy, smooth_cells, static_fields, step_of

FOLDER = Path(__file__).parent / "v1.0"
MODELS, LIST = FOLDER / "models", "SHA256SUMS"
MODEL, RESTORING, LEVEL = "tiny-l5", "tiny-l5-restoring", 5

Values = npt.NDArray[np.float32]


@contextmanager
def golden_models() -> Iterator[None]:
    """No model but the golden one is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hpcodec.model_folders.search_path", lambda: [MODELS])
        load_model.cache_clear()
        yield
    load_model.cache_clear()


def gaussian() -> xr.Dataset:
    """South to north, uneven latitudes, longitudes from the date line."""
    data = series(2)
    latitude = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(37)[0]))
    longitude = np.arange(-180.0, 180, 5)
    return data.assign_coords(
        lat=("lat", latitude, data.lat.attrs), lon=("lon", longitude, data.lon.attrs)
    )


def holes() -> xr.Dataset:
    """Values are missing: in two steps the same, in one elsewhere too, in one nowhere."""
    data = series(4)
    data["t2m"].values[:3, 4:9, 5:20] = np.nan
    data["t2m"].values[1, 20:30, 60:70] = 9.969209968386869e36
    return data


def packed() -> xr.Dataset:
    """Integers of 16 bits, longitude before latitude, a static coast."""
    data = series(3)
    about = {"scale_factor": 0.01, "add_offset": 273.15, "_FillValue": np.int16(-32767)}
    values = np.rint((data["t2m"].values - 273.15) / 0.01).astype("i2")
    values[:, 10:20, 30:40] = -32767
    data["t2m"] = (("time", "lon", "lat"), values.transpose(0, 2, 1), {**data.t2m.attrs, **about})
    return data


def rain() -> xr.Dataset:
    """Never negative, and mostly nothing."""
    data = series(2)
    values = np.maximum(data["t2m"].values - 285, 0) * 1e-4
    about = {"standard_name": "precipitation_flux", "units": "kg m-2 s-1"}
    data["t2m"] = (data["t2m"].dims, values.astype("f4"), about)
    return data.rename(t2m="pr")


def store(source: xr.Dataset, **options: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / "source.nc"
        source.to_netcdf(path)
        how = Options(**{"ratio": 4, "level": LEVEL, "model": MODEL, "device": "cpu", **options})
        compress(str(path), str(folder / "store.zarr"), how)
        path.unlink()

    return write


def array(version: int) -> Callable[[Path], None]:
    """An array in a zarr pipeline; in zarr v3 of doubles, and with a chunk beyond its end."""

    def write(folder: Path) -> None:
        data = series(3)
        codec: Any = {2: FieldSpace, 3: FieldSpaceCodec}[version]
        made = codec.for_field(xr.decode_cf(data).t2m, 4, MODEL)
        own: dict[str, Any] = {"compressors": made, "chunks": (1, 37, 72)}
        if version == 3:
            own = {"serializer": made, "compressors": None, "chunks": (2, 37, 72)}
            data = data.assign(t2m=data.t2m.astype("f8"))
        options: Any = {"zarr_format": version, "consolidated": False, "encoding": {"t2m": own}}
        data.to_zarr(folder / "store.zarr", **options)

    return write


def calm() -> xr.Dataset:
    """Smooth enough for details to be better, with gaps in one step."""
    data = series(2)
    values = np.cos(np.deg2rad(data.lat.values))[:, None] ** 2 * np.sin(np.deg2rad(data.lon.values))
    data["t2m"].values[:] = 280 + 9 * values + np.arange(2)[:, None, None]
    data["t2m"].values[1, 4:9, 5:20] = np.nan
    return data


def fronts() -> xr.Dataset:
    """Edges that go on and on, so that a network can learn what of them is lost."""
    data = series(2)
    polar, east = np.meshgrid(np.deg2rad(data.lat), np.deg2rad(data.lon), indexing="ij")
    for step in range(2):
        wave = np.sin(3 * east + step + 2 * np.sin(2 * polar))
        data["t2m"].values[step] = 280 + 9 * np.cos(polar) * np.tanh(5 * wave)
    return data


CASES: dict[str, Callable[[Path], None]] = {
    "ratio": store(series(3)),
    "rmse": store(series(1), rmse={"t2m": 0.5}),
    "variables": store(rich(), bottleneck=4),
    "missing": store(holes()),
    "packed": store(packed()),
    "base-group": store(series(2), rmse={"t2m": 0.5}, base=True),
    "packed-bound": store(packed(), ratio=8, max_rel_error={"t2m": 0.01}),
    "rain": store(rain()),
    "key-every": store(series(6), key_every=4),
    "sharded": store(rich(), bottleneck=4, key_every=2, shard=4),
    "base-only": store(series(2), bottleneck=3),
    "idw": store(series(2), remap="idw"),
    "gaussian": store(gaussian()),
    "one-field": store(series(1).isel(time=0, drop=True), rmse={"t2m": 0.5}),
    "bound": store(series(3), ratio=None, max_error={"t2m": 0.5}, key_every=3),
    "relative-bound": store(series(2), max_rel_error={"t2m": 0.01}),
    "exponent": store(series(2), exponent=0.85, max_error={"t2m": 0.5}),
    "effort": store(series(1), effort=1),
    "detail": store(calm(), rmse={"t2m": 0.02}),
    "detail-bound": store(calm(), ratio=None, max_error={"t2m": 0.02}),
    "detail-restored": store(fronts(), rmse={"t2m": 0.8}, model=RESTORING),
    "detail-told": store(fronts(), rmse={"t2m": 0.4}, model=RESTORING),
    "zarr-v2": array(2),
    "zarr-v3": array(3),
}
"""Each feature of the format once."""

ARRAYS = ("zarr-v2", "zarr-v3")
"""Not stores, but arrays that any zarr reader opens with our codec."""


def chunks(case: Path) -> Iterator[tuple[str, Coding, list[bytes]]]:
    """Each compressed variable of a case with its coding and, for each field, its payloads."""
    if case.name not in ARRAYS:
        opened = open_store(str(case / "store.zarr"))
        for item in opened.variables.values():
            read = [opened.read(item, step) for step in range(item.steps)]
            yield item.name, item.coding, read
        return
    array = zarr.open_array(case / "store.zarr" / "t2m", mode="r")
    codec = array.compressors[0] if case.name == "zarr-v2" else array.serializer
    coding = Coding.from_dict(_configuration(codec))
    found = sorted(p for p in (case / "store.zarr" / "t2m").rglob("*") if p.name[0] not in "z.")
    payloads = b"".join(path.read_bytes() for path in found if path.is_file())
    yield "t2m", coding, split_payloads(payloads)


def _configuration(codec: Any) -> dict[str, Any]:
    """What the metadata of an array have of its codec, whatever the zarr version."""
    if isinstance(codec, FieldSpace):
        return {key: value for key, value in codec.get_config().items() if key != "id"}
    return dict(codec.to_dict()["configuration"])


def symbols(payloads: list[bytes], coding: Coding) -> str:
    """Sha256 of all whole numbers of a variable, little endian, coarse to fine, field by field."""
    entropy, total = load_model(MODEL).entropy, hashlib.sha256()
    for payload in payloads:
        own = split_payloads(payload)[-1] if coding.key_every > 1 else payload
        field = unpack(own, entropy)
        for part in (field.base, *field.residuals):
            total.update(part.astype("<i4").tobytes())
    return total.hexdigest()


def decoded(payloads: list[bytes], coding: Coding, name: str) -> dict[str, Values]:
    """Fields on the source grid, and cells of the base and of the model's finest level."""
    unpack = coding.packing.unpack
    found = {
        name: unpack(decode_fields(payloads, coding, "cpu")),
        f"{name}.3": decode_cells(payloads, coding, 3, "cpu"),
        f"{name}.{LEVEL}": decode_cells(payloads[:1], coding, LEVEL, "cpu"),
    }
    if not coding.bounded:
        found[f"{name}.sharp"] = unpack(decode_fields(payloads[:1], coding, "cpu", sharp=True))
    return found


def make_model(folder: Path) -> None:
    """The tiny network with random weights, which are frozen by being in the repository."""
    folder.mkdir(parents=True)
    orography, land = static_fields(LEVEL)
    entropy = fitted_entropy()
    entropy = EntropyModel(entropy.tables, entropy.network, known_features(orography, land))
    network = coder(LEVEL, entropy=entropy)
    weights = {name: value.numpy() for name, value in network.network.state_dict().items()}
    save_file({**weights, **to_arrays(entropy)}, folder / WEIGHTS)
    save_file({"orography": orography, "land": land}, folder / STATICS)
    points = []
    for bottleneck in (3, 4, 5):
        for step in map(step_of, (0.25, 0.5, 1.0, 2.0)):
            cells = smooth_cells(LEVEL)
            fields, back = network.encode(
                cells, scaling=[Scaling(0, 1)], bottleneck=bottleneck, steps=[step], level=LEVEL
            )
            size = len(pack(fields[0], entropy))
            rmse = float(np.sqrt(np.mean((back - cells) ** 2)))
            points.append({"bottleneck": bottleneck, "step": step, "size": size, "rmse": rmse})
    card = {
        "name": MODEL,
        "description": "Random weights, for tests of the format.",
        "architecture": {**vars(architecture(LEVEL)), "variables": []},
        "operating_points": points,
        "weights": file_digest(folder / WEIGHTS),
        "statics": file_digest(folder / STATICS),
        "training": {"steps": 1, "note": "Not trained: every parameter is random."},
    }
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def make_restoring_model(folder: Path, like: Path) -> None:
    """The same with a restorer that has learned a little of the fields of the golden stores."""
    shutil.copytree(like, folder)
    data, run = folder / "data", folder / "run"
    data.mkdir()
    fronts().to_netcdf(data / "fronts.nc")
    config = RestorerConfig(
        kind="restorer",
        description="Of one field, for tests of the format.",
        train=("*.nc",),
        validation=("*.nc",),
        shares=tuple(np.geomspace(0.02, 0.4, 24)),
        steps=600,
        side=10,
        validate_every=600,
        shape=RestorerShape(width=8, blocks=1, embedding=4, variables=("air_temperature",)),
    )
    make_examples(data, config.train, run, model=folder, shares=config.shares)
    trained = RestorerRun(config, run, run, "cpu")
    for _ in trained:
        pass
    publish_restorer(trained, folder / RESTORER)
    shutil.rmtree(run)
    shutil.rmtree(data)
    card = json.loads((folder / CARD).read_text("utf-8"))
    card |= {"name": folder.name, "restorer": file_digest(folder / RESTORER / WEIGHTS)}
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def make_bands(folder: Path) -> None:
    """What is shipped now: it stays here when another one is shipped."""
    shipped = Path(__file__).parents[2] / "weights" / BANDS
    folder.mkdir()
    for name in (WEIGHTS, BANDS_CARD):
        shutil.copy(shipped / name, folder)


def make(case: str) -> None:
    folder = FOLDER / case
    folder.mkdir(parents=True)
    CASES[case](folder)
    expected: dict[str, Values] = {}
    digests = {}
    for name, coding, payloads in chunks(folder):
        expected |= decoded(payloads, coding, name)
        digests[name] = symbols(payloads, coding)
    np.savez_compressed(folder / "decoded.npz", **expected)  # type: ignore[arg-type]
    (folder / "symbols.json").write_text(json.dumps(digests, indent=1) + "\n", "utf-8")


def listed() -> dict[str, str]:
    """Sha256 of every file, as the list has them."""
    lines = (FOLDER / LIST).read_text("utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def present() -> dict[str, str]:
    """Sha256 of every file that is there."""
    files = sorted(path for path in FOLDER.rglob("*") if path.is_file() and path.name != LIST)
    return {path.relative_to(FOLDER).as_posix(): file_digest(path) for path in files}


def main() -> None:
    torch.set_num_threads(1)
    known = listed() if (FOLDER / LIST).exists() else {}
    now = present()
    if changed := [name for name, digest in known.items() if now.get(name, digest) != digest]:
        sys.exit(
            f"changed, not by this command: {', '.join(changed)}. Take them from the repository."
        )
    if not (MODELS / MODEL).exists():
        make_model(MODELS / MODEL)
    if not (MODELS / RESTORING).exists():
        make_restoring_model(MODELS / RESTORING, MODELS / MODEL)
    if not (MODELS / BANDS).exists():
        make_bands(MODELS / BANDS)
    with golden_models():
        for case in CASES:
            if not (FOLDER / case).exists():
                make(case)
                print(f"written: {case}")  # noqa: T201
    lines = [f"{digest}  {name}\n" for name, digest in present().items()]
    (FOLDER / LIST).write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
