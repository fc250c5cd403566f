"""A second look at the symbols of a field: what finer levels would have liked of coarser ones."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import xarray as xr

from hpcodec import fitting
from hpcodec.codec import coding_of
from hpcodec.compression import Options
from hpcodec.decoding import decode_fields
from hpcodec.errors import FormatError, UsageError
from hpcodec.fields import Coding, CompressedField, Scaling
from hpcodec.grid import FINEST_LEVEL, cell_count
from hpcodec.networks.residual import ResidualStage
from hpcodec.networks.scales import split
from hpcodec.networks.sphere import to_faces, to_nested
from hpcodec.pipeline import Encoded, encode_cells, encode_fields
from hpcodec.stages.nudge import nudge
from hpcodec.stages.transform import Coder
from hpcodec.stages.wire import pack
from tests.synthetic import MODEL, coding_in, series, waves
from tests.tiny import awake, fitted_entropy, flat_entropy, network, smooth_cells, statics, step_of

Floats = npt.NDArray[np.float32]

LEVEL, STEP = 5, 0.7


def coder(follows: float = 0.0) -> Coder:
    """Guesses each residual of level 5 as a part of the slope that the parents have."""
    built = network(LEVEL)
    if follows:
        finest = built.details[-1]
        assert isinstance(finest, ResidualStage)
        with torch.no_grad():
            finest.linear.weight[0, 0, 3] = follows * torch.tensor([0, 0, 1.0, 0, -1.0, 0, 0])
            finest.share.weight.zero_()
            finest.share.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
    return Coder(built, statics(LEVEL), flat_entropy())


def encode(
    made: Coder, cells: Floats, step: float = STEP, bottleneck: int = LEVEL
) -> tuple[CompressedField, Floats]:
    (field,), decoded = made.encode(
        cells, scaling=[Scaling(0, 1)], bottleneck=LEVEL, steps=[step_of(step / 2)]
    )
    return field, decoded


@lru_cache
def cells() -> Floats:
    return 8 * smooth_cells(LEVEL)


def test_where_finer_levels_do_not_care_nothing_is_nudged() -> None:
    """A network that guesses nothing has nothing to gain."""
    field, _ = encode(coder(), cells())
    np.testing.assert_allclose(nudge(coder(), cells(), field), 0, atol=1e-5)


@pytest.mark.parametrize("bottleneck", [3, 4, 5])
def test_a_nudge_is_small_and_leaves_the_base_field(bottleneck: int) -> None:
    made = Coder(awake(LEVEL), statics(LEVEL), flat_entropy())
    (field,), _ = made.encode(
        cells(), scaling=[Scaling(0, 1)], bottleneck=bottleneck, steps=[step_of(STEP / 2)]
    )
    added = nudge(made, cells(), field)
    assert added.shape == cells().shape
    assert added.dtype == np.float32
    assert bool(added.any()) == (bottleneck > 3)
    np.testing.assert_allclose(added.reshape(768, -1).mean(1), 0, atol=1e-6)
    # Three components, half a step each, of every level coded.
    most = sum(1.5 * 2.0 ** (level - FINEST_LEVEL) for level in range(4, bottleneck + 1))
    assert np.abs(added).max() <= most + 1e-6


def finest_error(made: Coder, field: CompressedField) -> float:
    """Squared error of the finest level's residual, over all cells, in steps."""

    def residual(level: Floats) -> Floats:
        parents = level.reshape(-1, 4).mean(1, keepdims=True, dtype=np.float64)
        return np.asarray(level.reshape(-1, 4) - parents)

    decoded = made.decode([field], LEVEL, bottleneck=LEVEL)
    return float(np.square((residual(decoded[0]) - residual(cells()[0])) / STEP).sum())


def test_it_follows_the_error_of_finer_levels() -> None:
    """Where these have no symbols their error is a parabola of a coarser one."""
    made = coder(follows=0.3)
    field, _ = encode(made, cells())
    coarse, finest = field.residuals
    none = np.zeros_like(finest)

    def error_with(symbols: npt.NDArray[np.int32]) -> float:
        return finest_error(made, dataclasses.replace(field, residuals=(symbols, none), codes=()))

    field_now = dataclasses.replace(field, residuals=(coarse, none), codes=())
    _, added = split(split(to_faces(torch.from_numpy(nudge(made, cells(), field_now))))[0])
    nudges = to_nested(added)[0].numpy() * 2.0 ** (FINEST_LEVEL - 4)
    told = []
    # Beyond one: where a symbol comes or goes, so does what all the others stand for.
    for component, cell in np.argwhere(np.abs(coarse) > 1)[::40]:
        errors = []
        for more in (-1, 1):
            changed = coarse.copy()
            changed[component, cell] += more
            errors.append(error_with(changed))
        half_way = -0.25 * (errors[1] - errors[0]) / 2
        told.append((nudges[component, cell], np.clip(half_way, -0.5, 0.5)))
    found, expected = np.array(told).T
    assert len(told) > 20
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_it_pays() -> None:
    """Fewer bytes for the same error where finer levels are guessed from coarser ones."""
    made = dataclasses.replace(coder(follows=0.3), entropy=fitted_entropy())
    sparse = smooth_cells(LEVEL)

    def figure(given: Floats) -> tuple[CompressedField, float]:
        field, decoded = encode(made, given, 1.5)
        error = np.mean(np.square(decoded - sparse), dtype=np.float64)
        return field, len(pack(field, fitted_entropy())) * float(error)

    field, plain = figure(sparse)
    _, nudged = figure(sparse + np.float32(field.step) * nudge(made, sparse, field))
    assert nudged < 0.995 * plain


@lru_cache
def coding(effort: int, rmse: float = 0.0) -> Coding:
    return dataclasses.replace(coding_in(series(1), 2200), effort=effort, rmse=rmse)


@pytest.mark.parametrize("rmse", [0.0, 2.0])
def test_effort_costs_nothing_but_time(rmse: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for is kept, and of all passes the best is written."""
    calls = []

    def counted(*given: Any, **options: Any) -> Floats:
        calls.append(given)
        return nudge(*given, **options)

    monkeypatch.setattr("hpcodec.stages.nudge.nudge", counted)
    (values,) = waves(1)
    plain, refined = (encode_fields(values[None], coding(e, rmse), "cpu") for e in (0, 1))
    assert len(calls) == fitting.PASSES
    weights = coding(0).grid.area_weights

    def figures(made: Encoded) -> tuple[int, float]:
        error = np.mean(weights * np.square(made.decoded[0] - values, dtype=np.float64))
        return len(made.payloads[0]), float(np.sqrt(error))

    (size, _), (smaller, error) = figures(plain), figures(refined)
    assert error <= rmse if rmse else smaller <= coding(0).size
    assert smaller <= 1.06 * size
    assert refined.hint == plain.hint, "the next field begins without a nudge"
    decoded = decode_fields(refined.payloads, coding(1), "cpu")
    np.testing.assert_allclose(decoded, refined.decoded, atol=2e-3)


def test_a_constant_field_needs_no_effort() -> None:
    cells = np.full((1, cell_count(4)), 3, np.float32)
    made = encode_cells(cells, dataclasses.replace(coding(1), level=4, bottleneck=4), "cpu")
    np.testing.assert_array_equal(made.decoded, 3)


def test_fields_that_follow_each_other() -> None:
    chained = dataclasses.replace(coding(1), key_every=3, size=2000)
    made = encode_fields(waves(3), chained, "cpu")
    assert max(map(len, made.payloads)) <= 2000
    chunks = [b"".join(made.payloads[: count + 1]) for count in range(3)]
    np.testing.assert_allclose(decode_fields(chunks, chained, "cpu"), made.decoded, atol=2e-3)


@pytest.mark.parametrize("effort", [-1, 2])
def test_an_effort_that_there_is_not(effort: int) -> None:
    assert "effort" not in coding(0).to_dict()
    assert Coding.from_dict(coding(1).to_dict()) == coding(1)
    with pytest.raises(FormatError, match=f"from 0 to 1 as 'effort'; got {effort}"):
        Coding.from_dict({**coding(1).to_dict(), "effort": effort})
    with pytest.raises(UsageError, match=f"effort of 0 or 1; got {effort}"):
        Options(effort=effort)
    with pytest.raises(UsageError, match=f"effort of 0 or 1; got {effort}"):
        coding_of(xr.decode_cf(series(1)).t2m, 5, MODEL, effort=effort)
