from __future__ import annotations

import healpy
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcodec.entropy.activity import (
    _LOGARITHM,
    COMPONENTS,
    FEATURES,
    PHASES,
    Surroundings,
    _around,
    known_features,
    on_faces,
    on_nested,
    places,
    unevenness,
)
from hpcodec.grid import cell_count
from tests.entropy.strategies import Integers, symbols
from tests.tiny import (
    compressed_field,
    known,
    static_fields,
)

Features = npt.NDArray[np.uint8]


@pytest.mark.parametrize("level", range(5))
def test_faces_and_back(level: int) -> None:
    cells = np.arange(3 * cell_count(level)).reshape(3, -1)
    faces = on_faces(cells)
    assert faces.shape == (3, 12, 2**level, 2**level)
    np.testing.assert_array_equal(on_nested(faces), cells)


def test_children_lie_in_the_square_of_their_parent() -> None:
    parents = on_faces(np.arange(cell_count(3)))
    children = on_faces(np.arange(cell_count(4)) // 4)
    np.testing.assert_array_equal(children, parents.repeat(2, -1).repeat(2, -2))


@pytest.mark.parametrize("nside", [2, 8, 16])
def test_the_colours_of_the_chessboard_share_the_faces(nside: int) -> None:
    colours = np.full(12 * nside**2, -1)
    for colour, where in enumerate(places(nside)):
        assert (np.diff(where) > 0).all()
        assert (colours[where] == -1).all()
        colours[where] = colour
        assert len(where) == 6 * nside**2
    assert len(places(nside)) == PHASES
    board = colours.reshape(12, nside, nside)
    assert (board >= 0).all()
    assert (board[:, 1:] != board[:, :-1]).all()
    assert (board[:, :, 1:] != board[:, :, :-1]).all()
    assert not np.isin(places(nside)[0], places(nside)[1]).any()


@pytest.mark.parametrize(("nside", "reach"), [(8, 1), (8, 2), (16, 1), (16, 2)])
def test_sums_reach_across_seams(nside: int, reach: int) -> None:
    rng = np.random.default_rng(nside)
    cells = rng.integers(0, 4 * 4096 * 3, 12 * nside**2).astype(np.int32)
    sums = on_nested(_around(np.asarray(on_faces(cells), np.int32), reach))
    near = np.array(healpy.get_all_neighbours(nside, np.arange(cells.size), nest=True)).T
    compared = 0
    for cell in range(cells.size):
        within = {cell}
        for _ in range(reach):
            within |= {int(other) for one in within if one >= 0 for other in near[one]}
        if -1 in within:  # near one of the eight points where only three faces meet
            continue
        assert len(within) == (2 * reach + 1) ** 2
        assert sums[cell] == cells[list(within)].sum()
        compared += 1
    assert compared == cells.size - 8 * 3 * (1 if reach == 1 else 4)


def test_sums_of_the_largest_magnitudes_fit() -> None:
    most = np.full((12, 8, 8), COMPONENTS * 4 * 4096, np.int32)
    np.testing.assert_array_equal(_around(most, 2), 25 * most)


def test_logarithms_are_those_of_whole_numbers() -> None:
    """16 log2(n) by integers alone, and never so near a step that another libm could cross it."""
    for x in range(1 << 16):
        exact = ((x + 1) ** 16).bit_length() - 1
        assert _LOGARITHM[x] == min(exact, 255), x
    real = 16 * np.log2(1.0 + np.arange(1 << 16))
    powers = (np.arange(1, (1 << 16) + 1) & np.arange(1 << 16)) == 0
    assert np.abs(real - np.rint(real))[~powers].min() > 4e-6  # the nudge is 1e-6


def test_unevenness_is_the_distance_from_the_neighbours() -> None:
    assert not unevenness(np.full(768, -(2**31), np.int32)).any()
    bump = np.zeros(768, np.int32)
    bump[300] = 80
    near = healpy.get_all_neighbours(8, 300, nest=True)
    uneven = unevenness(bump)
    assert uneven[300] == 80
    assert set(uneven[near].tolist()) == {-10}
    assert np.count_nonzero(uneven) == 9


# What is known of the Earth


def slow_known(
    orography: npt.NDArray[np.int16], land: npt.NDArray[np.uint8], level: int
) -> npt.NDArray[np.int64]:
    """Known features in nested order, parent by parent in Python's whole numbers."""

    def logarithm(value: int) -> int:
        return min(((min(value, 65535) + 1) ** 16).bit_length() - 1, 255)

    def quarters(field: npt.NDArray[np.integer], parent: int) -> list[int]:
        each = field.size // cell_count(level)
        parts = field.reshape(cell_count(level), each)[4 * parent : 4 * parent + 4]
        return [sum(part.tolist()) for part in parts]

    def uneven(a: int, b: int, c: int, d: int) -> int:
        return abs(a - b + c - d) + abs(a + b - c - d) + abs(a - b - c + d)

    nside = 2 ** (level - 1)
    cells = orography.size // cell_count(level - 1)
    told = []
    for parent in range(cell_count(level - 1)):
        height, cover = quarters(orography, parent), quarters(land, parent)
        # (1 - |z|) is a whole multiple of 1 / (3 nside**2) towards the poles.
        ring = int(healpy.pix2ring(nside, np.array([parent]), nest=True)[0])
        ring = min(ring, 4 * nside - ring)
        polar = 255 * (3 * nside**2 - ring**2) // (3 * nside**2)
        belt = 255 * (4 * nside - 2 * ring) // (3 * nside)
        told.append(
            [
                logarithm(uneven(*height) // cells),
                logarithm(uneven(*cover) // cells),
                logarithm(max(sum(height), 0) // cells),
                sum(cover) // cells,
                polar if ring < nside else belt,
            ]
        )
    return np.array(told).T


@pytest.mark.parametrize("finest", [4, 6])
def test_known_features_are_exact(finest: int) -> None:
    orography, land = static_fields(finest, finest)
    orography[: orography.size // 3] -= 3900  # a third of the sphere lies below the sea
    fast = known_features(orography, land)
    assert sorted(fast) == list(range(4, finest + 1))
    for level, fields in fast.items():
        assert fields.shape == (5, 12, 2 ** (level - 1), 2 ** (level - 1))
        assert fields.dtype == np.uint8
        np.testing.assert_array_equal(on_nested(fields), slow_known(orography, land, level))


@pytest.mark.parametrize(("height", "cover"), [(32767, 255), (-32768, 0)])
def test_known_features_of_extremes(height: int, cover: int) -> None:
    cells = cell_count(5)
    fields = known_features(np.full(cells, height, "i2"), np.full(cells, cover, "u1"))
    for relief, coast, tall, land, _ in fields.values():
        assert not relief.any()
        assert not coast.any()
        assert np.unique(tall).tolist() == [0 if height < 0 else 240]
        assert np.unique(land).tolist() == [cover]


def test_latitude_is_that_of_the_parents() -> None:
    for level, fields in known().items():
        nside = 2 ** (level - 1)
        polar, _ = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True)
        sine = np.floor(255 * np.abs(np.cos(polar)) + 1e-9)
        np.testing.assert_array_equal(on_nested(fields[4]), sine)


# Features of what is decoded, and of nothing else

STEP = 0.25


def surroundings(level: int, size: float = 3, step: float = STEP) -> Surroundings:
    field = compressed_field(7, size)
    return Surroundings(level, field.base, field.residuals[: level - 4], step, known()[level])


@pytest.mark.parametrize("level", [4, 5, 6, 7])
def test_features_are_bytes_of_all_places(level: int) -> None:
    around, nside = surroundings(level), 2 ** (level - 1)
    drawn = compressed_field(7).residuals[level - 4]
    faces = np.asarray(on_faces(drawn), np.int32)
    for component in range(COMPONENTS):
        for phase, where in enumerate(places(nside)):
            features = around.features(component, phase, faces)
            assert features.shape == (len(where), FEATURES)
            assert features.dtype == np.uint8
            # The level and the phase are told, one hot.
            assert (features[:, -7:-1] == 255 * (np.arange(4, 10) == level)).all()
            assert (features[:, -1] == 255 * phase).all()


@settings(max_examples=20, deadline=None)
@given(
    base=symbols(768),
    parents=symbols(3, 768),
    values=symbols(3, 12, 16, 16),
    other=symbols(3, 12, 16, 16),
)
def test_what_is_not_decoded_is_not_looked_at(
    base: Integers, parents: Integers, values: Integers, other: Integers
) -> None:
    """The decoder, whose array fills up, sees the features that the encoder saw."""
    encoder = Surroundings(5, base, [parents], STEP, known()[5])
    decoder = Surroundings(5, base, [parents], STEP, known()[5])
    decoded = other.copy()
    for component in range(COMPONENTS):
        for phase, where in enumerate(places(16)):
            told = encoder.features(component, phase, values)
            np.testing.assert_array_equal(decoder.features(component, phase, decoded), told)
            # Asked at once, without the passes before, it says the same.
            alone = Surroundings(5, base, [parents], STEP, known()[5])
            np.testing.assert_array_equal(alone.features(component, phase, decoded), told)
            decoded[component].flat[where] = values[component].flat[where]


@settings(max_examples=10, deadline=None)
@given(base=symbols(768), values=symbols(3, 12, 8, 8))
def test_features_leave_symbols_alone(base: Integers, values: Integers) -> None:
    kept, kept_base = values.copy(), base.copy()
    values.flags.writeable = base.flags.writeable = False
    around = Surroundings(4, base, [], STEP, known()[4])
    for component in range(COMPONENTS):
        for phase in range(PHASES):
            around.features(component, phase, values)
    np.testing.assert_array_equal(values, kept)
    np.testing.assert_array_equal(base, kept_base)


def test_all_that_is_decoded_has_a_say() -> None:
    field = compressed_field(7)
    faces = np.asarray(on_faces(field.residuals[2]), np.int32)
    base, coarser, step = field.base, field.residuals[:2], STEP

    def last(
        base: Integers, coarser: tuple[Integers, ...], step: float, faces: Integers
    ) -> Features:
        around = Surroundings(6, base, coarser, step, known()[6])
        return around.features(2, 1, faces)

    plain = last(base, coarser, step, faces)
    for component in range(COMPONENTS):
        for phase, where in enumerate(places(32)):
            changed = faces.copy()
            changed[component].flat[where] *= 9
            same = (component, phase) == (2, 1)
            assert np.array_equal(last(base, coarser, step, changed), plain) == same
    for number in range(2):
        louder = tuple(9 * one if i == number else one for i, one in enumerate(coarser))
        assert not np.array_equal(last(base, louder, step, faces), plain)
    assert not np.array_equal(last(base, coarser, 2 * step, faces), plain)
    first = [Surroundings(4, b, [], step, known()[4]) for b in (base, 9 * base)]
    told = [one.features(0, 0, np.zeros((3, 12, 8, 8), np.int32)) for one in first]
    assert not np.array_equal(told[0], told[1])


def test_features_follow_the_sphere_not_the_faces() -> None:
    """One loud symbol just inside a seam is heard on the other side of it."""
    loud = np.zeros((3, 12, 8, 8), np.int32)
    loud[0, 4, 0, 2] = 1000
    quiet = np.zeros_like(loud)
    base = np.zeros(768, np.int32)
    heard, silent = (
        Surroundings(4, base, [], STEP, known()[4]).features(1, 0, one) for one in (loud, quiet)
    )
    where = places(8)[0][(heard[:, :-9] != silent[:, :-9]).any(-1)]
    assert len(set((where // 64).tolist())) >= 2


@pytest.mark.parametrize(("step", "told"), [(1.0, 128), (0.5, 112), (2.0**0.5, 134), (1e9, 255)])
def test_steps_are_told_in_sixteenths_of_an_octave(step: float, told: int) -> None:
    features = surroundings(4, step=step).features(0, 0, np.zeros((3, 12, 8, 8), np.int32))
    assert np.unique(features[:, -9]).tolist() == [told]


@given(st.floats(2.0**-126, 2.0**100, width=32))
def test_a_step_is_told_as_the_payload_has_it(step: float) -> None:
    exact, wider = (surroundings(4, step=s) for s in (step, step * (1 + 2.0**-30)))
    nothing = np.zeros((3, 12, 8, 8), np.int32)
    told, again = (around.features(0, 0, nothing) for around in (exact, wider))
    np.testing.assert_array_equal(told, again)
