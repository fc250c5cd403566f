from __future__ import annotations

import pytest

from hpcodec.bench.codecs import Recipe, choose
from hpcodec.bench.recipes import PRODUCT, recipes
from hpcodec.errors import UsageError
from tests.bench.fields import shifting


def test_codecs_are_chosen_by_name() -> None:
    everything = recipes()
    assert choose([], everything) == everything
    assert everything[0].name == PRODUCT
    assert [r.name for r in choose(["zfp", "jpeg2000"], everything)] == ["jpeg2000", "zfp"]


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(UsageError, match=r"got 'jpeg200'\. Did you mean 'jpeg2000'"):
        choose(["jpeg200"], recipes())


def test_what_is_missing_is_told_in_one_line() -> None:
    needs = {"no_such_module": "no-such-package", "numpy": "numpy"}
    recipe = Recipe("peer", "classical", "a peer", lambda case: shifting(), needs)
    assert "pip install no-such-package," in recipe.lacks
    assert recipe.lacks.startswith("peer is left out: expected the package no-such-package; ")
    assert "\n" not in recipe.lacks
    assert Recipe("peer", "trivial", "a peer", lambda case: shifting()).lacks == ""
