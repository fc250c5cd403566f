"""Which of the two ways is given up, and when: stand-ins for both, of known bytes and errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcodec import ways
from hpcodec.coding import coding_for
from hpcodec.detailing import fit_detail
from hpcodec.errors import UsageError
from hpcodec.fields import Coding, Scaling
from hpcodec.fitted import Fitted
from hpcodec.models import load_model
from hpcodec.pipeline import encode_fields
from hpcodec.step_search import Hint
from hpcodec.ways import fit_either
from tests.synthetic import MODEL, waves
from tests.test_detailing import Floats, spec

CELLS = np.arange(12, dtype=np.float32)


def fitted(size: int, error: float = 1.0, left: float = 1.0) -> Fitted:
    shown = np.full((1, 1), error, np.float32)
    return Fitted(bytes(size), shown, Hint(), None, 0.0, left=left)  # type: ignore[arg-type]


class Judged:
    """Has a field on its grid; what is shown of one is its error."""

    filled = CELLS

    def rmse_of(self, shown: Floats) -> float:
        return float(shown.max())


def either(
    monkeypatch: pytest.MonkeyPatch,
    coding: Coding,
    *,
    draft: Fitted | None,
    whole: Fitted | None,
    network: Fitted | None,
) -> tuple[Fitted, list[str]]:
    """What is taken of the two ways, and what was computed in turn; None of a way refuses."""
    done = []

    def given(name: str, one: Fitted | None) -> Fitted:
        done.append(name)
        if one is None:
            raise UsageError("expected what cannot be had.")
        return one

    def detail(*_: Any, draft: bool = False, **__: Any) -> Fitted:
        return given("draft", drafted) if draft else given("whole", whole)

    def fit(*_: Any, other: Fitted | None = None, **__: Any) -> Fitted:
        return given("network" if other is None else "network, told", network)

    drafted = draft
    monkeypatch.setattr(ways, "fit_detail", detail)
    monkeypatch.setattr(ways, "fit", fit)
    model = load_model(MODEL)
    judge: Any = Judged()
    return fit_either(CELLS, Scaling(0, 1), coding, model, "cpu", judge=judge), done


@pytest.mark.parametrize(
    ("error", "size", "last"),
    [(0.92, 2950, "network, told"), (0.93, 2950, "whole"), (0.97, 2999, "whole")],
)
def test_a_network_much_worse_than_a_draft_promises_is_held_to_the_detail_itself(
    error: float, size: int, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    coding = coding_for(spec(), 3000, model=MODEL)
    found, done = either(
        monkeypatch,
        coding,
        draft=fitted(2990, error=1.0, left=0.9),
        whole=fitted(2999, error=0.95),
        network=fitted(2950, error=error),
    )
    assert len(found.payload) == size
    assert done[-1] == last


def test_a_detail_is_taken_where_the_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    coding = coding_for(spec(), 3000, model=MODEL)
    found, done = either(monkeypatch, coding, draft=fitted(2990), whole=fitted(2999), network=None)
    assert len(found.payload) == 2999
    assert done == ["draft", "network, told", "whole"]


def test_many_bytes_are_details_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    coding = coding_for(spec(), 30_000, model=MODEL)
    found, done = either(monkeypatch, coding, draft=None, whole=fitted(29_000), network=None)
    assert len(found.payload) == 29_000
    assert done == ["whole"]


def test_an_error_that_takes_many_bytes_is_a_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    coding = coding_for(spec(), 10**6, model=MODEL, rmse=0.5)
    _, done = either(
        monkeypatch, coding, draft=fitted(30_000), whole=fitted(29_000), network=fitted(10)
    )
    assert done == ["draft", "whole"]


@pytest.mark.parametrize(("size", "taken"), [(2000, 2000), (3000, 2999)])
def test_for_a_bound_both_go_to_the_end(
    size: int, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    coding = coding_for(spec(), 10**6, model=MODEL, max_error=0.5)
    found, done = either(
        monkeypatch, coding, draft=fitted(2990), whole=fitted(2999), network=fitted(size)
    )
    assert len(found.payload) == taken
    assert done == ["draft", "network", "whole"]


@pytest.mark.parametrize("left", [1e-3, 1e3])
def test_the_first_trial_is_measured_by_what_is_left_of_the_other(
    left: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a way of hardly any error the network is refused; beside one of a large error not."""

    def promising(*given: Any, draft: bool = False, **named: Any) -> Fitted:
        found = fit_detail(*given, draft=draft, **named)
        return replace(found, left=left) if draft else found

    monkeypatch.setattr(ways, "fit_detail", promising)
    made = encode_fields(waves(1, 2.5), coding_for(spec(), 1500, model=MODEL), "cpu")
    assert made.hint.detailed == (left < 1)
