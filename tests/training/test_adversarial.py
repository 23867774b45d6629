"""Losses have the properties that their papers state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from quintet.training.adversarial import (
    GAMES,
    colour,
    cutout,
    diff_augment,
    follow,
    gradient_penalty,
    hinge_discriminator,
    minimax_discriminator,
    minimax_generator,
    non_saturating_generator,
    path_length_penalty,
    path_lengths,
    r1,
    translation,
    wasserstein_critic,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def logit(p: Tensor) -> Tensor:
    return torch.log(p / (1 - p))


def slope_at(loss, value: float) -> float:
    fake = torch.tensor([value], requires_grad=True)
    loss(fake).backward()
    return float(fake.grad)


@pytest.mark.parametrize("name", GAMES)
def test_a_discriminator_that_can_tell_nothing_settles_on_the_boundary(name):
    game = GAMES[name]
    assert slope_at(lambda verdict: game.discriminator(verdict, verdict), game.boundary) == pytest.approx(0)
    above, below = torch.tensor([game.boundary + 0.1]), torch.tensor([game.boundary - 0.1])
    assert game.discriminator(above, below) < game.discriminator(below, above)


def test_the_value_of_the_minimax_game_is_minus_log_4_where_nobody_can_tell():
    """Goodfellow et al. 2014, theorem 1: with equal distributions the best discriminator says 1/2 everywhere."""
    assert -minimax_discriminator(torch.zeros(8), torch.zeros(8)).item() == pytest.approx(-math.log(4))


def test_no_discriminator_beats_the_ratio_of_densities():
    """Proposition 1: p* = p_data / (p_data + p_made), on two points with known shares."""
    data, made = torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5])
    # As many samples of each point as its share of 4.
    real, fake = data.mul(4).long(), made.mul(4).long()

    def value(d: Tensor) -> float:
        return minimax_discriminator(d.repeat_interleave(real), d.repeat_interleave(fake)).item()

    best = logit(data / (data + made))
    others = [value(best + torch.randn(2)) for _ in range(20)]
    assert value(best) < min(others)


def test_the_non_saturating_loss_pushes_where_minimax_has_given_up():
    assert slope_at(minimax_generator, -10.0) == pytest.approx(0, abs=1e-4)
    assert slope_at(non_saturating_generator, -10.0) == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("name", GAMES)
def test_the_generator_always_gains_from_a_better_verdict_and_the_discriminator_loses(name):
    game = GAMES[name]
    assert slope_at(game.generator, 0.3) < 0
    assert slope_at(lambda fake: game.discriminator(torch.zeros(1), fake), 0.3) > 0
    assert slope_at(lambda real: game.discriminator(real, torch.zeros(1)), 0.3) < 0


def test_hinge_asks_no_more_once_the_margin_is_kept():
    assert hinge_discriminator(torch.tensor([1.0, 7.0]), torch.tensor([-1.0, -9.0])) == 0
    assert hinge_discriminator(torch.tensor([0.0]), torch.tensor([0.5])) == pytest.approx(2.5)


def test_a_critic_of_slope_one_measures_how_far_two_points_are_apart():
    """For point masses the Wasserstein distance is their distance, and x -> x attains it."""
    real, made = torch.full((6,), 3.0), torch.full((6,), 1.0)
    assert -wasserstein_critic(real, made).item() == pytest.approx(2.0)


def linear_critic(norm: float):
    weight = torch.randn(1 * 4 * 4)
    weight = norm * weight / weight.norm()
    return lambda images: images.flatten(1) @ weight


@pytest.mark.parametrize(("norm", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_the_gradient_penalty_is_the_squared_distance_of_the_slope_from_one(norm, penalty):
    real, fake = torch.randn(5, 1, 4, 4), torch.randn(5, 1, 4, 4)
    assert gradient_penalty(linear_critic(norm), real, fake).item() == pytest.approx(penalty, abs=1e-5)


def test_r1_is_half_the_squared_slope_and_zero_for_a_constant():
    real = torch.randn(5, 1, 4, 4)
    assert r1(linear_critic(3.0), real).item() == pytest.approx(4.5, abs=1e-4)
    assert r1(lambda images: torch.zeros(len(images), requires_grad=True), real) == 0


@pytest.mark.parametrize("penalty", [lambda d, x: gradient_penalty(d, x, -x), r1])
def test_penalties_reach_the_discriminators_weights(penalty):
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))
    penalty(lambda images: network(images)[:, 0], torch.randn(5, 1, 4, 4)).backward()
    assert all(p.grad.any() for p in network[1].parameters())


def test_paths_of_an_orthogonal_generator_are_all_equally_long():
    """Karras et al. 2020, appendix C: the penalty is least where the Jacobian is orthogonal up to a scale."""
    turn = torch.linalg.qr(torch.randn(16, 16)).Q
    styles = torch.randn(2000, 1, 16, requires_grad=True)
    lengths = path_lengths((3 * styles[:, 0] @ turn).view(-1, 1, 4, 4), styles)
    # |J^T y| is 3 |y|, and y has 16 numbers of variance 1/16.
    assert lengths.square().mean().item() == pytest.approx(9, rel=0.1)
    stretched = path_lengths((3 * styles[:, 0] * torch.linspace(0, 2, 16)).view(-1, 1, 4, 4), styles)
    spread = [path_length_penalty(each, each.mean().detach()).item() for each in (lengths, stretched)]
    assert spread[0] < spread[1]


def test_the_average_follows_slowly_and_takes_buffers_as_they_are():
    network, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    nn.init.constant_(network.weight, 2.0)
    network.running_mean.fill_(5.0)
    follow(average, network, decay=0.75)
    assert average.weight.tolist() == [1.25] * 3
    assert average.running_mean.tolist() == [5.0] * 3


class TestDifferentiableAugmentation:
    @pytest.mark.parametrize("change", ["colour", "translation", "cutout"])
    def test_gradients_pass_to_most_pixels(self, change):
        images = torch.rand(16, 3, 8, 8, requires_grad=True)
        diff_augment(images, [change]).square().sum().backward()
        reached = (images.grad != 0).float().mean().item()
        assert reached > 0.6

    @pytest.mark.parametrize("change", [colour, translation, cutout])
    def test_each_image_is_changed_in_its_own_way(self, change):
        images = torch.rand(1, 3, 8, 8).expand(16, -1, -1, -1)
        changed = change(images)
        assert changed.shape == images.shape
        assert len({tuple(image.flatten().tolist()) for image in changed}) > 4

    def test_translation_moves_by_an_eighth_at_most_and_fills_with_black(self):
        images = torch.zeros(64, 1, 16, 16)
        images[:, :, 8, 8] = 1.0
        moved = translation(images)
        places = {tuple(place[2:].tolist()) for place in (moved == 1).nonzero()}
        assert len(places) > 10
        assert all(abs(y - 8) <= 2 and abs(x - 8) <= 2 for y, x in places)
        assert set(moved.unique().tolist()) == {-1.0, 0.0, 1.0}

    def test_cutout_blanks_a_square_of_half_the_side_or_what_of_it_lies_inside(self):
        blank = (cutout(torch.ones(64, 1, 8, 8)) == 0).sum((1, 2, 3))
        assert blank.max() == 16
        assert blank.min() >= 4

    def test_colour_leaves_grey_images_grey(self):
        images = torch.rand(4, 1, 8, 8).expand(-1, 3, -1, -1)
        changed = colour(images)
        torch.testing.assert_close(changed, changed[:, :1].expand(-1, 3, -1, -1))
        assert (changed - images).abs().max() > 0.01

    def test_none_changes_nothing(self):
        images = torch.rand(4, 1, 8, 8)
        assert diff_augment(images, []) is images
