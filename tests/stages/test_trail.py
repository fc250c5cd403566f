"""A chain of fields in time: what each tells of the next, without payloads or files."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor

from hpcodec.fields import CompressedField, Scaling
from hpcodec.grid import cell_count
from hpcodec.stages.trail import CARRY_ALL, Trail
from hpcodec.stages.transform import Coder
from hpcodec.stages.wire import pack, prefix_size, unpack
from tests.tiny import Floats, coder, flat_entropy, smooth_cells, step_of

LEVEL = 5
CODER = coder(LEVEL)
STEP = step_of(0.125, LEVEL)

Link = tuple[CompressedField, Trail | None]
"""A field, and the trail of the one that it follows."""


def drifting(count: int, change: float = 0.1) -> Floats:
    """Fields of which each is the one before and a little more."""
    steps = smooth_cells(LEVEL, count)
    steps[1:] *= change
    return np.cumsum(steps, 0, dtype=np.float32)


def chained(
    cells: Floats, bottleneck: int = LEVEL, step: float = STEP, used: Coder = CODER
) -> tuple[list[Link], Floats]:
    """Every field after the one before it, and what decoding each gives."""
    links: list[Link] = []
    told = []
    after = None
    for one in cells:
        (field,), decoded = used.encode(
            one[None], scaling=[Scaling(0, 1)], bottleneck=bottleneck, steps=[step], after=after
        )
        links.append((field, after))
        told.append(decoded[0])
        after = used.trail(field, after)
    return links, np.stack(told)


@lru_cache
def chain() -> tuple[list[Link], Floats]:
    return chained(drifting(4))


def symbols(field: CompressedField) -> int:
    """Number of those that are not zero."""
    return sum(int(np.count_nonzero(part)) for part in (field.base, *field.residuals))


def assert_same_trail(left: Trail, right: Trail, level: int = LEVEL) -> None:
    assert torch.equal(left.base, right.base)
    assert list(right.surprises) == list(range(4, level + 1))
    for at, told in right.surprises.items():
        assert torch.equal(left.surprises[at], told)


def block_mean(cells: Floats, level: int) -> Floats:
    return np.asarray(cells.reshape(len(cells), cell_count(level), -1).mean(-1), np.float32)


def trail_of(surprise: Tensor) -> Trail:
    """Of level 4, the same in every component."""
    return Trail(torch.zeros(1, 12, 8, 8), {4: surprise[:, None].expand(-1, 3, -1, -1, -1)})


def noise(seed: int = 0) -> Tensor:
    return torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(seed))


# What is carried


@pytest.mark.parametrize(
    ("share", "carry"), [(0, 0), (-3, 0), (0.25, 16), (0.5, 32), (1, 64), (1.7, 64), (1e30, 64)]
)
def test_likeness_is_the_share_that_is_still_there(share: float, carry: int) -> None:
    assert trail_of(noise()).likeness(4, share * noise()) == carry


def test_likeness_of_what_has_nothing_in_common() -> None:
    assert trail_of(noise(1)).likeness(4, noise(2)) < 8
    assert trail_of(torch.zeros(1, 12, 8, 8)).likeness(4, noise()) == 0
    assert trail_of(noise()).likeness(4, torch.zeros(1, 12, 8, 8)) == 0


def test_carried_is_a_part_of_the_surprise() -> None:
    before = noise()
    for component in range(3):
        assert torch.equal(trail_of(before).carried(4, component, CARRY_ALL), before)
        assert torch.equal(trail_of(before).carried(4, component, 16), before / 4)
        assert not trail_of(before).carried(4, component, 0).any()


# Chains


@pytest.mark.parametrize("bottleneck", [3, 4, 5])
@pytest.mark.parametrize("entropy", [None, flat_entropy()], ids=["plain", "choosy"])
def test_a_chain_decodes_to_what_encoding_gave(bottleneck: int, entropy: object) -> None:
    used = CODER if entropy is None else coder(LEVEL, entropy=flat_entropy())
    links, told = chained(drifting(3), bottleneck, used=used)
    for number, (field, after) in enumerate(links):
        assert len(field.carry) == (bottleneck - 2 if number else 0)
        assert field.carry[:1] == ((CARRY_ALL,) if number else ())
        assert all(0 <= share <= CARRY_ALL for share in field.carry)
        decoded = used.decode([field], LEVEL, bottleneck=bottleneck, after=after)
        np.testing.assert_allclose(decoded[0], told[number], atol=1e-5)


@pytest.mark.parametrize("level", [3, 4])
def test_a_chain_decodes_to_its_means_at_coarser_levels(level: int) -> None:
    links, told = chain()
    for (field, after), whole in zip(links, told, strict=True):
        coarse = CODER.decode([field], level, bottleneck=LEVEL, after=after)
        np.testing.assert_allclose(coarse, block_mean(whole[None], level), atol=2e-5)


def test_beyond_the_bottleneck_a_chain_is_predicted() -> None:
    links, told = chained(drifting(3), 4)
    field, after = links[-1]
    for level in (3, 4):
        coarse = CODER.decode([field], level, bottleneck=4, after=after)
        np.testing.assert_allclose(coarse, block_mean(told[-1:], level), atol=2e-5)


def test_errors_do_not_grow_along_a_chain() -> None:
    cells = drifting(10)
    _, told = chained(cells)
    errors = np.sqrt(((told - cells) ** 2).mean(-1))
    assert errors.max() < 1.2 * errors[0]


def test_a_field_that_follows_itself_has_little_to_tell() -> None:
    cells = np.repeat(smooth_cells(LEVEL), 3, 0)
    links, told = chained(cells)
    alone, second, third = (symbols(field) for field, _ in links)
    # The network, which is random, also sees the symbols, and so guesses otherwise than before.
    assert second < alone / 4
    assert third < alone / 20
    assert all(share > 0.9 * CARRY_ALL for field, _ in links[1:] for share in field.carry)
    errors = np.sqrt(((told - cells) ** 2).mean(-1))
    assert errors[1] <= 1.1 * errors[0]


def test_a_field_that_changes_little_has_less_to_tell_than_on_its_own() -> None:
    cells = drifting(2, 0.05)
    links, _ = chained(cells)
    (alone,), _ = CODER.encode(cells[1:], scaling=[Scaling(0, 1)], bottleneck=LEVEL, steps=[STEP])
    assert symbols(links[1][0]) < symbols(alone) / 2


def test_a_field_that_has_nothing_in_common_carries_next_to_nothing() -> None:
    cells = np.concatenate([smooth_cells(LEVEL, seed=1), smooth_cells(LEVEL, seed=2)])
    links, _ = chained(cells)
    assert max(links[1][0].carry[1:]) < 8


@pytest.mark.parametrize("own", [(0.125, 1.0), (1.0, 0.125)])
def test_fields_of_a_chain_may_have_other_steps(own: tuple[float, float]) -> None:
    cells, steps = drifting(2), [step_of(step, LEVEL) for step in own]
    (first,), _ = CODER.encode(
        cells[:1], scaling=[Scaling(0, 1)], bottleneck=LEVEL, steps=steps[:1]
    )
    after = CODER.trail(first)
    (second,), told = CODER.encode(
        cells[1:], scaling=[Scaling(0, 1)], bottleneck=LEVEL, steps=steps[1:], after=after
    )
    decoded = CODER.decode([second], LEVEL, bottleneck=LEVEL, after=after)
    np.testing.assert_allclose(decoded, told, atol=1e-5)
    assert np.sqrt(((told - cells[1:]) ** 2).mean()) < 2 * own[1]


# Trails


def test_the_trail_of_a_field_on_its_own_is_what_its_symbols_stand_for() -> None:
    (field, _), *_ = chain()[0]
    trail = CODER.trail(field)
    np.testing.assert_allclose(
        trail.base.flatten().sort().values, np.sort(field.base) * STEP * 2.0**-5, rtol=1e-6
    )
    for at, nested in enumerate(field.residuals, 4):
        told = trail.surprises[at]
        assert told.shape == (1, 3, 12, 2 ** (at - 1), 2 ** (at - 1))
        assert int(torch.count_nonzero(told)) == np.count_nonzero(nested)


def test_trails_from_bytes_are_those_of_the_encoder() -> None:
    mine: Trail | None = None
    theirs: Trail | None = None
    for field, _ in chain()[0]:
        read = unpack(pack(field, flat_entropy()), flat_entropy())
        mine, theirs = CODER.trail(field, mine), CODER.trail(read, theirs)
        assert_same_trail(mine, theirs)


@pytest.mark.parametrize("level", [3, 4])
def test_prefixes_have_the_trail_of_their_levels_and_decode_by_it(level: int) -> None:
    links, told = chain()
    whole: Trail | None = None
    part: Trail | None = None
    for (field, _), one in zip(links, told, strict=True):
        payload = pack(field, flat_entropy())
        prefix = unpack(payload[: prefix_size(payload, level)], flat_entropy(), level)
        assert prefix.carry == field.carry[: level - 2]
        coarse = CODER.decode([prefix], level, bottleneck=LEVEL, after=part)
        np.testing.assert_allclose(coarse, block_mean(one[None], level), atol=2e-5)
        whole, part = CODER.trail(field, whole), CODER.trail(prefix, part)
        assert_same_trail(whole, part, level)


def test_a_field_on_its_own_takes_nothing_from_a_trail_of_none() -> None:
    """Neither symbols nor carry depend on what else was coded before, or together."""
    cells = drifting(3)
    together, _ = CODER.encode(
        cells, scaling=[Scaling(0, 1)] * 3, bottleneck=LEVEL, steps=[STEP] * 3
    )
    assert [field.carry for field in together] == [()] * 3
    first = chained(cells[:1])[0][0][0]
    np.testing.assert_array_equal(first.base, together[0].base)
    for mine, theirs in zip(first.residuals, together[0].residuals, strict=True):
        assert np.mean(mine != theirs) < 1e-3  # rounding of a batch may turn the odd symbol


def test_the_trail_is_left_alone() -> None:
    field, after = chain()[0][1]
    assert after is not None
    kept = Trail(after.base.clone(), {at: one.clone() for at, one in after.surprises.items()})
    CODER.decode([field], LEVEL, bottleneck=LEVEL, after=after)
    CODER.trail(field, after)
    CODER.encode(drifting(1), scaling=[Scaling(0, 1)], bottleneck=LEVEL, steps=[STEP], after=after)
    assert_same_trail(after, kept)
