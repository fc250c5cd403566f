from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcodec.bench.measure import Curve
from hpcodec.bench.result import Result
from hpcodec.bench.targets import TARGETS, Target, Verdict, best_at_ratio, judge, needed
from tests.bench.fields import case, curve, point

OURS = curve("hpcodec", "ours", (64, 0.11), (256, 0.3), (300, 0.32), (1024, 0.7), by_ratio=True)
PEER = curve("peer", "classical", (64, 0.2), (256, 0.4), (1024, 0.9))
WORSE = curve("worse", "classical", (64, 0.3), (256, 0.6), (1024, 1.9))
# Better than all, and none of the classical ones.
PAPER = curve("paper", "paper", (64, 0.01), (1024, 0.02))
TRIVIAL = curve("trivial", "trivial", (64, 0.01), (1024, 0.02))


def verdicts(name: str = "t2m", *curves: Curve, pressure: float | None = None) -> list[Verdict]:
    given = curves or (OURS, PEER, WORSE, PAPER, TRIVIAL)
    result = Result(case(name, pressure=pressure), given)
    return [v for v in judge([result], "hpcodec") if v.field]


def test_t2m_is_held_to_ratio_errors_and_spectrum() -> None:
    found = verdicts()
    assert [(v.target.quantity, v.target.at) for v in found] == [
        ("ratio at RMSE", 0.3),
        ("RMSE at ratio", 64),
        ("RMSE at ratio", 256),
        ("RMSE at ratio", 1024),
        ("spectrum kept", 256),
    ]
    assert [v.ours for v in found] == pytest.approx([256, 0.11, 0.3, 0.7, 0.5])
    said = [(v.says(v.target.must), v.says(v.target.goal)) for v in found]
    assert said == [
        ("met", "missed"),
        ("met", "missed"),
        ("met", "missed"),
        ("missed", "missed"),
        ("missed", "missed"),
    ]
    assert {v.best_codec for v in found} == {"peer"}
    assert found[1].best == pytest.approx(0.2)


def test_less_error_is_better_and_equal_is_not_below() -> None:
    (target,) = (t for t in TARGETS if t.quantity == "RMSE at ratio" and t.at == 64)
    assert target.met(0.121, target.must)
    assert not target.met(target.must, target.must)
    assert not target.met(None, target.must)
    more = Target(target.variable, "ratio at RMSE", 0.3, 235, 400)
    assert more.met(235, more.must)
    assert not more.met(234.9, more.must)


def test_pressure_is_held_to_the_best_classical_error() -> None:
    (found,) = verdicts("msl")
    assert found.best_codec == "peer"
    assert found.best == pytest.approx(256)
    # 0.4 lies between 0.32 at 300 and 0.7 at 1024.
    assert found.ours is not None
    assert 300 < found.ours < 1024
    assert found.says(found.target.must) == "met"
    assert found.says(found.target.goal) == "met" if found.ours >= 400 else "missed"


def test_without_classical_codecs_there_is_nothing_to_be_held_to() -> None:
    (found,) = verdicts("msl", OURS, PAPER, TRIVIAL)
    assert (found.ours, found.best, found.best_codec) == (None, None, "")
    assert found.says(found.target.must) == "nothing to compare with"


@pytest.mark.parametrize(
    ("name", "standard_name", "pressure", "label"),
    [
        ("2t", "", None, "2 m temperature"),
        ("u10", "eastward_wind", None, "10 m u wind"),
        ("temp", "air_temperature", 850.0, "850 hPa temperature"),
        ("t", "", 850.0, "850 hPa temperature"),
        ("p", "air_pressure_at_mean_sea_level", None, "mean sea level pressure"),
        ("gh", "", 500.0, "500 hPa height"),
        ("tp", "", None, "precipitation"),
        ("x", "sea_surface_temperature", None, "sea surface temperature"),
        ("t", "air_temperature", 500.0, ""),
        ("gh", "", None, ""),
        ("u", "eastward_wind", 850.0, ""),
        ("t2m", "air_temperature", 850.0, "850 hPa temperature"),
    ],
)
def test_variables(name: str, standard_name: str, pressure: float | None, label: str) -> None:
    one = case(name, standard_name, pressure)
    assert {t.variable.label for t in TARGETS if t.variable.is_of(one)} == ({label} - {""})


def test_what_no_file_has_is_said() -> None:
    found = judge([Result(case(), (OURS, PEER))], "hpcodec")
    wind = next(v for v in found if "wind" in v.target.label)
    assert wind.field == ""
    assert wind.says(wind.target.must) == "not in these files"
    assert len(judge([], "hpcodec")) == len(TARGETS)


def test_a_field_in_two_files_is_judged_twice() -> None:
    results = [Result(case(path=path), (OURS, PEER)) for path in ("a.nc", "b.nc")]
    found = [v for v in judge(results, "hpcodec") if v.target == TARGETS[0]]
    assert [v.field for v in found] == ["t2m, a.nc", "t2m, b.nc"]


def test_what_must_be_measured() -> None:
    assert needed(case(), [PEER]) == ([64, 256, 1024, 256], [0.3])
    ratios, errors = needed(case("msl"), [PEER, WORSE])
    assert ratios == []
    assert errors == pytest.approx([0.4])
    assert needed(case("msl"), [PAPER]) == ([], [])
    assert needed(case("q"), [PEER]) == ([], [])


def test_the_spectrum_that_is_nearest_to_all_is_best() -> None:
    noisy = Curve("noisy", "classical", (point(256, 0.9, 256, 1.6),))
    clean = Curve("clean", "classical", (point(256, 0.5, 256, 0.9),))
    blind = Curve("blind", "classical", (point(256, 0.1, 256, None),))
    found = verdicts("t2m", OURS, noisy, clean, blind)[-1]
    assert (found.best_codec, found.best) == ("clean", 0.9)
    name, best = best_at_ratio([noisy, clean, blind], 256)
    assert name == "blind"
    assert best is not None


def test_a_field_of_a_quarter_degree_is_timed_at_its_slowest_ratio() -> None:
    fields = [case("q", truth=np.zeros(shape, np.float32)) for shape in ((721, 1440), (181, 360))]
    fast, slow = point(64, 0.1), replace(point(256, 0.3), encode_speed=1.0)
    finer = replace(point(3, 0.01), encode_speed=0.1)  # not one that is timed
    curves = (Curve("hpcodec", "ours", (finer, fast, slow)), Curve("peer", "classical", (fast,)))
    found = [v for v in judge([Result(one, curves) for one in fields], "hpcodec") if v.field]
    assert [v.target.quantity for v in found] == ["seconds to encode", "seconds to decode"]
    encode, _ = found
    megabytes = 721 * 1440 * 4 / 1e6
    assert encode.ours == pytest.approx(megabytes)
    assert encode.best == pytest.approx(megabytes / fast.encode_speed)
    assert encode.says(encode.target.must) == "missed"
    assert encode.target.met(3.0, 3.0)
    assert not encode.target.met(3.01, 3.0)
    none = judge([Result(fields[0], (OURS, Curve("peer", "classical", ())))], "hpcodec")[-1]
    assert none.best is None
