from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hpcodec.networks.residual import COMPONENTS, ResidualStage

WIDTH, CONDITION = 8, 6


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stage(
    inputs: int = 3, attended: int = 0, blocks: int = 2, *, asleep: bool = False
) -> ResidualStage:
    torch.manual_seed(0)
    built = ResidualStage(inputs, attended, width=WIDTH, blocks=blocks, condition=CONDITION)
    if not asleep:
        with torch.no_grad():
            for parameter in built.parameters():
                parameter.normal_(0, 0.2)
    return built.eval()


def fields(built: ResidualStage, count: int = 2, side: int = 8, inputs: int = 3) -> Tensor:
    return noise(count, inputs, side + 2 * built.halo, side + 2 * built.halo)


def decoded(count: int, components: int, side: int = 8) -> list[Tensor]:
    """Symbols and values of the first components."""
    return [3 * noise(count, 1, side, side, seed=20 + part) for part in range(2 * components)]


@pytest.mark.parametrize("blocks", [2, 3, 4])
@pytest.mark.parametrize("attended", [0, 5])
def test_sides(blocks: int, attended: int) -> None:
    built = stage(3, attended, blocks)
    told = noise(2, attended, 8, 8) if attended else None
    features = built.trunk(fields(built), told, noise(2, CONDITION))
    assert features.shape == (2, WIDTH + COMPONENTS, 10, 10)
    for component in range(COMPONENTS):
        guess = built.guess(component, features, decoded(2, component))
        assert guess.shape == (2, 1, 8, 8)
    assert built.settle(features, decoded(2, COMPONENTS)).shape == (2, COMPONENTS, 8, 8)


def test_untrained_it_says_nothing() -> None:
    built = stage(3, 4, asleep=True)
    features = built.trunk(100 * fields(built), noise(2, 4, 8, 8), noise(2, CONDITION))
    for component in range(COMPONENTS):
        assert not built.guess(component, features, decoded(2, component)).any()
    assert not built.settle(features, decoded(2, COMPONENTS)).any()


@pytest.mark.parametrize("blocks", [2, 4])
def test_linear_guesses_are_convolutions_of_the_first_field_in_its_place(blocks: int) -> None:
    """Mixed by shares of what the field is, the same all over it."""
    built = stage(asleep=True, blocks=blocks)
    nn.init.normal_(built.linear.weight)
    nn.init.normal_(built.share.weight)
    nn.init.normal_(built.share.bias)
    padded, condition = fields(built), noise(2, CONDITION)
    features = built.trunk(padded, None, condition)
    shares = nn.functional.linear(condition, built.share.weight, built.share.bias)
    kernels = torch.unflatten(built.linear.weight, 0, (shares.shape[1], COMPONENTS))
    reach = kernels.shape[-1] // 2
    inset = slice(built.halo - reach, reach - built.halo or None)
    for component in range(COMPONENTS):
        guess = built.guess(component, features, decoded(2, component))
        for field, share, got in zip(padded, shares, guess, strict=True):
            kernel = (share[:, None, None, None] * kernels[:, component]).sum(0)
            smooth = nn.functional.conv2d(field[None, :1, inset, inset], kernel[None])
            torch.testing.assert_close(got[None], smooth, rtol=1e-4, atol=1e-4)


def test_each_field_has_shares_of_its_own() -> None:
    built = stage(asleep=True)
    nn.init.normal_(built.linear.weight)
    nn.init.normal_(built.share.weight)
    padded = fields(built, 1).expand(2, -1, -1, -1)
    guess = built.guess(0, built.trunk(padded, None, noise(2, CONDITION)), [])
    assert not torch.allclose(guess[0], guess[1])


def test_a_place_is_told_what_lies_around_it() -> None:
    """Features of a parent come from a square around it, not from one beside it."""
    built = stage(blocks=2)
    padded = fields(built, 1, 9)
    changed = padded.clone()
    centre = padded.shape[-1] // 2
    changed[..., centre, centre] += 5
    condition = noise(1, CONDITION)
    guesses = [built.guess(0, built.trunk(one, None, condition), []) for one in (padded, changed)]
    moved = (guesses[0] != guesses[1])[0, 0].nonzero()
    own = centre - built.halo
    assert [own, own] in moved.tolist()
    assert int((moved - own).abs().max()) == built.halo
    assert moved.float().mean(0).tolist() == [own, own]


@pytest.mark.parametrize("component", range(1, COMPONENTS + 1))
def test_everything_decoded_before_has_a_say(component: int) -> None:
    built = stage()
    features = built.trunk(fields(built), None, noise(2, CONDITION))
    seen = decoded(2, component)

    def answer(seen: list[Tensor]) -> Tensor:
        if component == COMPONENTS:
            return built.settle(features, seen)
        return built.guess(component, features, seen)

    plain = answer(seen)
    for part in range(len(seen)):
        other = [one + (number == part) for number, one in enumerate(seen)]
        assert not torch.allclose(answer(other), plain)


def test_what_is_beyond_all_bounds_says_no_more_than_the_bound() -> None:
    built = stage()
    features = built.trunk(fields(built), None, noise(2, CONDITION))
    guesses = [
        built.guess(1, features, [torch.full((2, 1, 8, 8), size)] * 2) for size in (8.0, 1e30)
    ]
    assert torch.equal(*guesses)


@pytest.mark.parametrize("attended", [0, 5])
def test_attended_features_and_condition_have_a_say(attended: int) -> None:
    built = stage(3, attended)
    padded, told = fields(built), noise(2, attended, 8, 8) if attended else None
    plain = built.trunk(padded, told, noise(2, CONDITION))
    assert not torch.allclose(built.trunk(padded, told, noise(2, CONDITION, seed=1)), plain)
    if told is not None:
        assert not torch.allclose(built.trunk(padded, -told, noise(2, CONDITION)), plain)


def test_parts_make_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU a few images at a time give what all at once give."""
    built = stage()
    padded, condition, seen = fields(built, 5), noise(5, CONDITION), decoded(5, 1)

    def answers() -> list[Tensor]:
        features = built.trunk(padded, None, condition)
        return [features, built.guess(0, features, []), built.guess(1, features, seen)]

    with torch.inference_mode():
        whole = answers()
        monkeypatch.setattr("hpcodec.networks.residual._PART", 1)
        for part, one in zip(answers(), whole, strict=True):
            torch.testing.assert_close(part, one)


def test_it_works_in_half_precision() -> None:
    built = stage()
    padded, condition, seen = fields(built), noise(2, CONDITION), decoded(2, 1)

    def guess() -> Tensor:
        return built.guess(1, built.trunk(padded, None, condition), seen)

    with torch.no_grad():
        plain = guess()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = guess()
    torch.testing.assert_close(half.float(), plain, rtol=0.1, atol=0.1 * float(plain.std()))
