from __future__ import annotations

import numpy as np
import pytest

from hpcodec.bench.case import Floats
from hpcodec.bench.codecs import Codec
from hpcodec.bench.measure import measure_curve, measure_point, spectrum_kept
from tests.bench.fields import GRID, case, holed, shifting
from tests.synthetic import waves


def test_figures_of_a_shift() -> None:
    found = measure_point(shifting(), case(), 2.0)
    assert found.size == 37 * 72 * 4 + 200
    assert found.ratio == pytest.approx(37 * 72 * 4 / found.size)
    for value in (found.rmse, found.max_error, found.p999, found.bias):
        assert value == pytest.approx(2.0, rel=1e-4)
    extent = float(np.ptp(waves(1)[0]))
    assert found.psnr == pytest.approx(20 * np.log10(extent / 2), rel=1e-4)
    assert found.spectrum is None
    assert found.encode_speed > 0
    assert found.decode_speed > 0
    assert found.memory is None or found.memory >= 0


def test_errors_are_weighted_by_area() -> None:
    def decode(code: bytes) -> Floats:
        field = waves(1)[0]
        field[9] += 3  # one row at 45 degrees north
        return np.asarray(field)

    found = measure_point(Codec((1.0,), lambda field, _: b"1234", decode), case(), 1.0)
    cosines = np.cos(np.deg2rad(np.linspace(90, -90, 37))).clip(0)
    part = np.sqrt(0.5) / cosines.sum()
    assert found.rmse == pytest.approx(3 * np.sqrt(part), rel=1e-4)
    assert found.bias == pytest.approx(3 * part, rel=1e-4)


def test_missing_points_are_not_compared() -> None:
    broken = case(truth=holed())

    def decode(code: bytes) -> Floats:
        return np.where(broken.missing, np.float32(1e6), broken.filled + 1).astype(np.float32)

    codec = Codec((1.0,), lambda field, _: b"1234", decode)
    found = measure_point(codec, broken, 1.0)
    assert found.max_error == pytest.approx(1, rel=1e-4)
    assert found.p999 == pytest.approx(1, rel=1e-4)


def test_spectrum_kept() -> None:
    pytest.importorskip("ducc0")
    field = case()
    mean = field.filled.mean()
    half = (mean + (field.filled - mean) / 2).astype(np.float32)
    assert spectrum_kept(half, field, (2, 6)) == pytest.approx(0.25, rel=1e-3)
    assert spectrum_kept(half, field) is None  # no such degrees on so coarse a grid
    broken = case(truth=holed())
    wild = np.where(broken.missing, np.float32(1e6), broken.filled).astype(np.float32)
    assert spectrum_kept(wild, broken, (2, 6)) == pytest.approx(1)


def test_what_a_codec_cannot_do_is_told() -> None:
    def decode(code: bytes) -> Floats:
        if not code:
            raise RuntimeError("wasm\ntrap")
        return np.full(GRID.shape, np.nan if len(code) == 2 else 0, np.float32)

    codec = Codec((0.0, 1.0, 2.0), lambda field, count: bytes(int(count)), decode)
    found = measure_curve("odd", "classical", codec, case())
    assert [point.parameter for point in found.points] == [1.0]
    assert found.failures[0] == "odd at 0: wasm trap"
    assert "expected a finite field" in found.failures[1]


def test_extra_parameters() -> None:
    found = measure_curve("shift", "trivial", shifting(), case(), [1.0])
    assert [point.parameter for point in found.points] == [0.5, 2.0, 1.0]
