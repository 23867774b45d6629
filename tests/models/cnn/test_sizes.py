"""How the networks meet images of other sizes than their papers'."""

import pytest
import torch
from torch import Tensor, nn

from quintet.models.build import build_encoder


def map_sides(name: str, side: int) -> list[int]:
    """The sides of the maps that leave each convolution, for square images."""
    with torch.device("meta"):
        encoder = build_encoder("cnn", name, "image", (3, side, side), {}).eval()
        sides: list[int] = []

        def note(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            sides.append(output.shape[-1])

        for module in encoder.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(note)
        encoder(torch.empty(1, 3, side, side))
    return sides


@pytest.mark.parametrize(
    ("name", "side", "sides"),
    [
        ("lenet", 32, [28, 10]),
        ("lenet", 28, [28, 10]),  # the paper's maps, without its border of 2
        ("lenet", 8, [8, 4]),
        ("lenet", 70, [31, 11]),  # averaged over blocks of 2 first
        ("alexnet", 224, [55, 27, 13, 13, 13]),
        ("alexnet", 112, [55, 27, 13, 13, 13]),
        ("alexnet", 32, [32, 15, 7, 7, 7]),
        ("alexnet", 8, [8, 3, 1, 1, 1]),
        ("vgg", 224, [224] * 2 + [112] * 2 + [56] * 3 + [28] * 3 + [14] * 3),
        ("vgg", 8, [8] * 2 + [4] * 2 + [2] * 3 + [1] * 6),
    ],
)
def test_maps(name: str, side: int, sides: list[int]) -> None:
    assert map_sides(name, side) == sides


@pytest.mark.parametrize(
    ("name", "side", "first", "last"),
    [
        ("resnet", 224, 112, 7),
        ("resnet", 112, 56, 4),
        ("resnet", 64, 32, 4),
        ("resnet", 32, 32, 4),
        ("resnet-cifar", 32, 32, 8),
        ("resnet-cifar", 28, 28, 7),
        ("resnet-cifar", 63, 63, 16),
        ("resnet-cifar", 224, 32, 8),
    ],
)
def test_first_and_last_map(name: str, side: int, first: int, last: int) -> None:
    sides = map_sides(name, side)
    assert (sides[0], sides[-1]) == (first, last)


def test_parameter_free_shortcut_is_the_paper_s_option_a() -> None:
    encoder = build_encoder("cnn", "resnet-cifar", "image", (3, 8, 8), {"depth": 8, "width": 2})
    maps = torch.randn(1, 2, 5, 5)
    shortcut = encoder.blocks[1].shortcut
    assert not list(shortcut.parameters())
    out = shortcut(maps)
    assert torch.equal(out[:, :2], maps[:, :, ::2, ::2])
    assert out.shape == (1, 4, 3, 3)
    assert not out[:, 2:].any()
