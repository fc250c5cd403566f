from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.entropy.activity import COMPONENTS, PHASES, on_faces, places
from hpcodec.entropy.choice import choose, worth_of_a_bit
from hpcodec.entropy.coding import (
    LevelEncoder,
    _Plans,
    decode_base,
    decode_level,
    encode_base,
    encode_level,
)
from hpcodec.entropy.tables import LARGEST, EntropyModel, table_row
from hpcodec.errors import FormatError
from tests.entropy.strategies import MODELS, Integers, symbols
from tests.tiny import compressed_field, fitted_entropy, flat_entropy

Make = Callable[[], EntropyModel]

STEP = 0.25
STEPS = st.floats(2.0**-8, 2.0**14, width=32)
ZERO = np.zeros(768, np.int32)


@settings(max_examples=40, deadline=None)
@given(base=symbols(768), values=symbols(3, 768), make=MODELS, step=STEPS)
def test_level_round_trip(base: Integers, values: Integers, make: Make, step: float) -> None:
    kept = values.copy()
    code = encode_level(make(), values, base, [], step)
    decoded = decode_level(make(), code, base, [], step)
    np.testing.assert_array_equal(decoded, kept)
    np.testing.assert_array_equal(values, kept)
    assert decoded.dtype == np.int32
    assert encode_level(make(), decoded, base, [], step) == code


@settings(max_examples=10, deadline=None)
@given(base=symbols(768), parents=symbols(3, 768), values=symbols(3, 3072), make=MODELS)
def test_finer_level_round_trip(
    base: Integers, parents: Integers, values: Integers, make: Make
) -> None:
    code = encode_level(make(), values, base, [parents], STEP)
    np.testing.assert_array_equal(decode_level(make(), code, base, [parents], STEP), values)


def test_a_level_of_zeros_has_no_code() -> None:
    parents = np.ones((3, 768), np.int32)
    for coarser, count in (([], 768), ([parents], 3072)):
        zeros = np.zeros((3, count), np.int32)
        code = encode_level(flat_entropy(), zeros, ZERO, coarser, STEP)
        assert code == b""
        decoded = decode_level(flat_entropy(), code, ZERO, coarser, STEP)
        np.testing.assert_array_equal(decoded, zeros)
        assert decoded.dtype == np.int32
        zeros[2, -1] = 1  # one that is not is enough
        assert encode_level(flat_entropy(), zeros, ZERO, coarser, STEP)


@pytest.mark.parametrize("make", [flat_entropy, fitted_entropy])
@pytest.mark.parametrize(("level", "size"), [(6, 100), (7, 20), (8, 1.5)])
def test_the_finest_levels_round_trip(level: int, size: float, make: Make) -> None:
    field = compressed_field(level, size)
    *coarser, finest = field.residuals
    code = encode_level(make(), finest, field.base, coarser, STEP)
    np.testing.assert_array_equal(decode_level(make(), code, field.base, coarser, STEP), finest)


@settings(max_examples=40, deadline=None)
@given(values=symbols(768), make=MODELS)
def test_base_round_trip(values: Integers, make: Make) -> None:
    tables = make().tables
    decoded = decode_base(encode_base(values, tables), tables)
    np.testing.assert_array_equal(decoded, values)
    assert decoded.dtype == np.int32


@pytest.mark.parametrize("make", [flat_entropy, fitted_entropy])
@pytest.mark.parametrize("value", [0, LARGEST, -LARGEST, 2**31 - 1, -(2**31)])
def test_constant_symbols(value: int, make: Make) -> None:
    model = make()
    base = np.full(768, value, np.int32)
    np.testing.assert_array_equal(decode_base(encode_base(base, model.tables), model.tables), base)
    level = np.full((3, 768), value, np.int32)
    code = encode_level(model, level, base, [], STEP)
    np.testing.assert_array_equal(decode_level(model, code, base, [], STEP), level)


@settings(max_examples=20, deadline=None)
@given(
    base=symbols(768),
    values=symbols(3, 12, 8, 8),
    later=symbols(3, 12, 8, 8),
    component=st.integers(0, COMPONENTS - 1),
    phase=st.integers(0, PHASES - 1),
    make=MODELS,
)
def test_a_plan_knows_only_what_is_decoded(
    base: Integers, values: Integers, later: Integers, component: int, phase: int, make: Make
) -> None:
    known = later.copy()
    known[:component] = values[:component]
    for where in places(8)[:phase]:
        known[component].flat[where] = values[component].flat[where]
    plan, again = (
        _Plans(make(), base, [], STEP).plan(component, phase, faces) for faces in (values, known)
    )
    np.testing.assert_array_equal(again.table, plan.table)
    np.testing.assert_array_equal(again.plain, plan.plain)


@settings(max_examples=20, deadline=None)
@given(
    base=symbols(768),
    values=symbols(3, 768),
    seed=st.integers(0, 2**32),
    spread=st.floats(0.1, 2000),
    step=STEPS,
    make=MODELS,
)
def test_what_is_chosen_is_what_is_coded(
    base: Integers, values: Integers, seed: int, spread: float, step: float, make: Make
) -> None:
    """Chosen while coding, symbols have the code that they have when they are given."""
    scaled = np.random.default_rng(seed).laplace(0, spread, (3, 12, 16, 16)).astype(np.float32)
    kept = scaled.copy()
    encoder = LevelEncoder(make(), base, [values], step)
    taken = [encoder.take(component, faces).copy() for component, faces in enumerate(scaled)]
    np.testing.assert_array_equal(scaled, kept)
    chosen = encoder.symbols
    assert chosen.shape == (3, 3072)
    assert chosen.dtype == np.int32
    np.testing.assert_array_equal(on_faces(chosen), taken)
    assert encode_level(make(), chosen, base, [values], step) == encoder.code
    decoded = decode_level(make(), encoder.code, base, [values], step)
    np.testing.assert_array_equal(decoded, chosen)
    # Each is chosen with the plan that codes it.
    plans = _Plans(make(), base, [values], step)
    for component in range(COMPONENTS):
        tables = make().tables[table_row(component)]
        for phase, where in enumerate(places(16)):
            plan = plans.plan(component, phase, np.asarray(on_faces(chosen), np.int32))
            best = choose(scaled[component].flat[where], plan, tables, worth_of_a_bit(step))
            np.testing.assert_array_equal(taken[component].flat[where], best)


def test_small_symbols_take_less_than_a_bit() -> None:
    field = compressed_field(4, 0.1)
    quiet = encode_level(fitted_entropy(), field.residuals[0], field.base, [], STEP)
    assert len(quiet) < 3 * 768 / 8


# Hostile bytes


def attempt_level(code: bytes, base: Integers, model: EntropyModel) -> None:
    """Decode: an array of the right form, or a format error; anything else is a failure."""
    try:
        decoded = decode_level(model, code, base, [], STEP)
    except FormatError:
        return
    assert decoded.shape == (3, 768)
    assert decoded.dtype == np.int32


@settings(max_examples=40, deadline=None)
@given(base=symbols(768), values=symbols(3, 768), cut=st.floats(0, 1), make=MODELS)
def test_truncated_code(base: Integers, values: Integers, cut: float, make: Make) -> None:
    code = encode_level(make(), values, base, [], STEP)
    attempt_level(code[: int(cut * len(code))], base, make())
    attempt_level(code[: int(cut * len(code)) // 4 * 4], base, make())


@settings(max_examples=40, deadline=None)
@given(base=symbols(768), values=symbols(3, 768), bit=st.integers(0), make=MODELS)
def test_flipped_bit(base: Integers, values: Integers, bit: int, make: Make) -> None:
    code = bytearray(encode_level(make(), values, base, [], STEP))
    bit %= 8 * len(code)
    code[bit // 8] ^= 1 << bit % 8
    attempt_level(bytes(code), base, make())


@settings(max_examples=20, deadline=None)
@given(base=symbols(768), values=symbols(3, 768))
def test_another_model_or_base(base: Integers, values: Integers) -> None:
    code = encode_level(fitted_entropy(), values, base, [], STEP)
    attempt_level(code, base, flat_entropy())
    attempt_level(code, values[0], fitted_entropy())


@settings(max_examples=60, deadline=None)
@given(code=st.binary(max_size=400), make=MODELS)
def test_random_code(code: bytes, make: Make) -> None:
    attempt_level(code, ZERO, make())
    try:
        decoded = decode_base(code, make().tables)
    except FormatError:
        return
    assert decoded.shape == (768,)


@pytest.mark.parametrize("code", [b"", b"\x79", b"\xff" * 5, b"\x00abc"])
def test_no_code_of_a_base(code: bytes) -> None:
    with pytest.raises(FormatError, match="expected"):
        decode_base(code, flat_entropy().tables)
