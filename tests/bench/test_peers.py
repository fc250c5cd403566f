"""Every peer that is installed keeps a field, and its bytes are all that decoding needs."""

from __future__ import annotations

import numpy as np
import pytest

from hpcodec.bench.codecs import Recipe
from hpcodec.bench.peers import bit_round, to_jpeg2000
from hpcodec.bench.recipes import recipes
from tests.bench.fields import case, holed

RECIPES = [recipe for recipe in recipes("cpu") if recipe.kind in ("classical", "trivial")]
SLOW = ("ebcc",)  # builds WebAssembly for seconds


@pytest.mark.parametrize("recipe", [r for r in RECIPES if r.name not in SLOW], ids=lambda r: r.name)
def test_fine_is_near_and_coarse_is_small(recipe: Recipe) -> None:
    if recipe.lacks:
        pytest.skip(recipe.lacks)
    one = case()
    codec = recipe.build(one)
    fine, coarse = (codec.encode(one.filled, codec.sweep[at]) for at in (0, -1))
    assert len(coarse) < len(fine)
    near, far = (codec.decode(code) for code in (fine, coarse))
    assert near.shape == far.shape == one.truth.shape
    assert near.dtype == np.float32
    extent = np.ptp(one.truth)
    assert np.sqrt(np.mean((near - one.truth) ** 2)) < 0.02 * extent
    # A second codec decodes what the first one wrote.
    np.testing.assert_array_equal(recipe.build(one).decode(coarse), far)


@pytest.mark.slow
def test_ebcc_keeps_its_bound() -> None:
    (recipe,) = (r for r in RECIPES if r.name == "ebcc")
    if recipe.lacks:
        pytest.skip(recipe.lacks)
    one = case()
    codec = recipe.build(one)
    bound = codec.sweep[2]
    error = codec.decode(codec.encode(one.filled, bound)) - one.truth
    assert np.abs(error).max() <= 1.001 * bound


@pytest.mark.parametrize("name", ["sperr", "sz3"])
def test_bounds_are_kept(name: str) -> None:
    (recipe,) = (r for r in RECIPES if r.name == name)
    if recipe.lacks:
        pytest.skip(recipe.lacks)
    one = case()
    codec = recipe.build(one)
    bound = codec.sweep[10]
    error = codec.decode(codec.encode(one.filled, bound)) - one.truth
    assert np.abs(error).max() <= 1.001 * bound + 1e-4


def test_the_range_is_in_the_bytes() -> None:
    pytest.importorskip("imagecodecs")
    field = case().filled
    code = to_jpeg2000(field, 40)
    low, extent = np.frombuffer(code[:8], np.float32)
    assert low == pytest.approx(field.min())
    assert extent == pytest.approx(np.ptp(field))


def test_a_constant_field() -> None:
    one = case(truth=np.full((37, 72), 5.0, np.float32))
    for recipe in RECIPES:
        if recipe.lacks or recipe.name in SLOW:
            continue
        codec = recipe.build(one)
        back = codec.decode(codec.encode(one.filled, codec.sweep[0]))
        np.testing.assert_allclose(back, 5.0, atol=2e-2, err_msg=recipe.name)


def test_bits_are_rounded() -> None:
    one = case(truth=np.where(np.isfinite(holed()), holed(), 0).astype(np.float32))
    codec = bit_round(one)
    error = np.abs(codec.decode(codec.encode(one.filled, 3)) - one.filled)
    assert (error <= np.abs(one.filled) * 2**-4).all()
