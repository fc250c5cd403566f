from __future__ import annotations

import healpy
import numpy as np
import numpy.typing as npt
import pytest

from hpcodec.faces import halo_index, nested_index

Vectors = npt.NDArray[np.float64]


def places(nside: int) -> Vectors:
    """Unit vectors of all cells in the order of the flattened faces: ``(12 * nside**2, 3)``."""
    return np.stack(healpy.pix2vec(nside, nested_index(nside), nest=True), -1)


@pytest.mark.parametrize("nside", [1, 2, 8, 64])
def test_every_cell_has_one_place(nside: int) -> None:
    nested = nested_index(nside)
    assert nested.dtype == np.int64
    np.testing.assert_array_equal(np.sort(nested), np.arange(12 * nside**2))
    faces = nested.reshape(12, nside, nside)
    np.testing.assert_array_equal(
        faces // nside**2, np.arange(12)[:, None, None].repeat(nside, 1).repeat(nside, 2)
    )


def test_parents_of_nested_cells_are_squares() -> None:
    finer, coarser = (nested_index(nside).reshape(12, nside, nside) for nside in (16, 8))
    np.testing.assert_array_equal(finer // 4, coarser.repeat(2, -1).repeat(2, -2))


def test_rows_and_columns_are_right_handed() -> None:
    vectors = places(16).reshape(12, 16, 16, 3)
    east = vectors[:, :-1, 1:] - vectors[:, :-1, :-1]
    north = vectors[:, 1:, :-1] - vectors[:, :-1, :-1]
    outward = np.cross(east, north)
    assert (np.sum(outward * vectors[:, :-1, :-1], -1) > 0).all()


@pytest.mark.parametrize(("nside", "halo"), [(1, 1), (2, 3), (8, 1), (8, 5), (16, 16), (4, 6)])
def test_interior_is_the_face_itself(nside: int, halo: int) -> None:
    index = halo_index(nside, halo)
    side = nside + 2 * halo
    assert index.shape == (12, side, side)
    assert index.min() >= 0
    assert index.max() < 12 * nside**2
    own = index[:, halo : halo + nside, halo : halo + nside]
    np.testing.assert_array_equal(own.ravel(), np.arange(12 * nside**2))


@pytest.mark.parametrize(("nside", "halo"), [(8, 4), (16, 6), (16, 16)])
def test_steps_in_the_halo_are_steps_on_the_sphere(nside: int, halo: int) -> None:
    index = halo_index(nside, halo)
    nested = nested_index(nside)
    around = np.array(healpy.get_all_neighbours(nside, nested, nest=True)).T
    place = np.full(12 * nside**2 + 1, -1)
    place[nested] = np.arange(12 * nside**2)
    near = place[around]  # missing neighbours are -1, the last entry, which is -1
    side = nside + 2 * halo
    # Beside and above the face, not in its corners: there every straight step is to a neighbour.
    face = slice(halo, halo + nside)
    crosses = np.zeros((side, side), bool)
    crosses[face, :] = crosses[:, face] = True
    for left, right, both in (
        (index[:, :, :-1], index[:, :, 1:], crosses[:, :-1] & crosses[:, 1:]),
        (index[:, :-1], index[:, 1:], crosses[:-1] & crosses[1:]),
    ):
        touching = (near[left] == right[..., None]).any(-1)
        assert touching[:, both].all()


@pytest.mark.parametrize("nside", [2, 8])
def test_corners_of_the_halo(nside: int) -> None:
    """The diagonal cell, or where only three faces meet one of its two neighbours again."""
    index = halo_index(nside, 1)
    nested = nested_index(nside)
    around = np.array(healpy.get_all_neighbours(nside, nested, nest=True)).T
    doubled = 0
    for face in index:
        for down, left in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
            inner_row, inner_column = (1 if down == 0 else -2), (1 if left == 0 else -2)
            own = face[inner_row, inner_column]
            beside = {int(face[down, inner_column]), int(face[inner_row, left])}
            corner = int(face[down, left])
            assert nested[corner] in around[own]
            lacking = -1 in around[own]
            assert (corner in beside) == lacking
            doubled += lacking
    assert doubled == 3 * 8


@pytest.mark.parametrize(("nside", "halo"), [(8, 3), (16, 5)])
def test_halo_is_right_handed(nside: int, halo: int) -> None:
    """Turned neighbours arrive turned: nothing is mirrored across a seam."""
    vectors = places(nside)[halo_index(nside, halo)]
    east = vectors[:, :-1, 1:] - vectors[:, :-1, :-1]
    north = vectors[:, 1:, :-1] - vectors[:, :-1, :-1]
    handed = np.sum(np.cross(east, north) * vectors[:, :-1, :-1], -1) > 0
    side = nside + 2 * halo - 1
    inside = np.zeros((side, side), bool)
    inside[halo : halo + nside - 1] = inside[:, halo : halo + nside - 1] = True
    assert handed[:, inside].all()
