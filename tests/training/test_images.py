"""Pixels on their way in: scaling, and each change to training images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from quintet.data.spec import DataSpec
from quintet.training.augmentation import Crop, Erase, Flip, Rotate, augmentation
from quintet.training.images import normalise
from quintet.training.inputs import Images
from quintet.training.settings import Augment

SHAPES = [(1, 8, 8), (3, 12, 20), (3, 21, 9)]


def images(shape: tuple[int, int, int] = (3, 12, 20), batch: int = 64) -> Tensor:
    """Different images without a zero pixel."""
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(0)) + 0.5


def test_normalise_gives_mean_zero_and_deviation_one():
    raw = torch.randint(0, 256, (500, 2, 4, 4), dtype=torch.uint8)
    scaled = raw.double() / 255
    mean, std = scaled.mean((0, 2, 3)), scaled.std((0, 2, 3), correction=0)
    made = normalise(raw, mean.tolist(), std.tolist())
    assert made.dtype == torch.float32
    assert torch.allclose(made.mean((0, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(made.std((0, 2, 3), correction=0), torch.ones(2), atol=1e-5)
    assert made[0, 1, 2, 3].item() == pytest.approx(((scaled[0, 1, 2, 3] - mean[1]) / std[1]).item(), rel=1e-5)


def test_a_channel_that_never_changes_is_only_shifted():
    made = normalise(torch.full((2, 1, 2, 2), 51, dtype=torch.uint8), [0.1], [0.0])
    assert torch.allclose(made, torch.full_like(made, 0.1), atol=1e-7)


def test_nothing_asked_for_is_no_transform_at_all():
    spec = DataSpec("", "image", "class", (1, 8, 8), ("0",), {}, {}, (0.5,), (0.5,), 0, {}, "")
    assert Images(spec, None).augmentation(Augment()) is None


@pytest.mark.parametrize(
    "settings",
    [
        Augment(crop=2),
        Augment(flip=True),
        Augment(rotate=20),
        Augment(erase=0.8),
        Augment(crop=2, flip=True, rotate=9, erase=0.5),
    ],
    ids=lambda settings: ", ".join(sorted(settings.model_fields_set)),
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape_and_type_stay_and_every_image_is_changed_in_its_own_way(settings, shape):
    change = augmentation(settings)
    same = images(shape, 1).expand(64, -1, -1, -1).contiguous()
    torch.manual_seed(0)
    made = change(same)
    assert (made.shape, made.dtype) == (same.shape, same.dtype)
    assert len({tuple(image.flatten().tolist()) for image in made}) >= 2
    torch.manual_seed(0)
    assert torch.equal(change(same), made)
    torch.manual_seed(1)
    assert not torch.equal(change(same), made)


def test_all_that_is_asked_for_is_done():
    steps = augmentation(Augment(crop=1, flip=True, rotate=5, erase=0.5))
    assert [type(step) for step in steps] == [Rotate, Crop, Flip, Erase]
    assert (steps[1].padding, steps[3].share) == (1, 0.5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_crop_only_shifts_by_at_most_its_padding(shape):
    raw, padding = images(shape), 2
    torch.manual_seed(0)
    made = Crop(padding)(raw)
    shifts = set()
    padded = torch.nn.functional.pad(raw, [padding] * 4)
    _, height, width = shape
    for before, after in zip(padded, made, strict=True):
        fits = [
            (y, x)
            for y in range(2 * padding + 1)
            for x in range(2 * padding + 1)
            if torch.equal(before[:, y : y + height, x : x + width], after)
        ]
        assert len(fits) == 1
        shifts.update(fits)
    assert {y for y, _ in shifts} == {x for _, x in shifts} == set(range(2 * padding + 1))
    assert len(shifts) > 4 * padding + 2  # up and down is drawn apart from left and right


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flip_mirrors_left_to_right_half_of_the_time(shape):
    raw = images(shape, 400)
    torch.manual_seed(0)
    made = Flip()(raw)
    mirrored = (made == raw.flip(-1)).flatten(1).all(1)
    assert torch.equal(mirrored, ~(made == raw).flatten(1).all(1))
    assert 0.4 < mirrored.float().mean() < 0.6
    torch.manual_seed(0)
    assert torch.equal(Flip()(made), raw)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_turn_by_nothing_changes_nothing(shape):
    assert torch.allclose(Rotate(0)(images(shape)), images(shape), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 9, 9), (1, 9, 25), (1, 25, 9)], ids=str)
def test_a_quarter_turn_turns_about_the_centre_without_stretching(shape, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda count, device: torch.ones(count))
    raw = torch.zeros(1, *shape)
    y, x = shape[1] // 2, shape[2] // 2
    raw[0, 0, y, x + 3] = 1.0
    made = Rotate(90)(raw)[0, 0]
    (found,) = (made > 0.99).nonzero().tolist()
    assert found in ([y - 3, x], [y + 3, x])
    assert made.sum().item() == pytest.approx(1, abs=1e-4)


def test_turns_go_both_ways_up_to_the_angle_asked_for():
    raw = torch.zeros(300, 1, 41, 41)
    raw[:, :, 20, 36] = 1
    torch.manual_seed(0)
    made = Rotate(30)(raw)[:, 0]
    y, x = torch.arange(41.0)[:, None] - 20, torch.arange(41.0)[None] - 20
    mass = made.sum((1, 2))
    angle = torch.atan2((made * y).sum((1, 2)) / mass, (made * x).sum((1, 2)) / mass).rad2deg()
    assert -32 < angle.min() < -25
    assert 25 < angle.max() < 32
    assert abs(angle.mean()) < 3


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_erase_blanks_one_rectangle_in_its_share_of_images(share):
    raw = images((2, 32, 24), 1000)
    torch.manual_seed(0)
    made = Erase(share)(raw)
    blank = (made == 0).all(1)
    assert torch.equal(made, raw.masked_fill(blank[:, None], 0))
    area = blank.flatten(1).float().mean(1)
    # A rectangle narrower than a pixel can miss them all.
    assert (area > 0).float().mean().item() == pytest.approx(share, abs=0.05)
    erased = blank[area > 0]
    for image in erased[:200]:
        rows, columns = image.any(1).nonzero(), image.any(0).nonzero()
        assert image.sum() == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    assert area[area > 0].min() < 0.05
    assert 0.25 < area.max() < 0.38
    assert erased.any(0).float().mean() > 0.95
