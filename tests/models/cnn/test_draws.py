"""The signal keeps its size through layers that nothing normalises, also on maps of a pixel or two."""

from typing import Any

import pytest
import torch

from quintet.models.build import build_encoder


@pytest.mark.parametrize("side", [8, 28, 64])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("alexnet", {"width": 16, "hidden_size": 128}),
        ("vgg", {"depth": 11, "width": 16, "hidden_size": 128}),
        ("vgg", {"depth": 19, "width": 16, "hidden_size": 128}),
    ],
)
def test_features_neither_vanish_nor_explode(name: str, settings: dict[str, Any], side: int) -> None:
    torch.manual_seed(0)
    encoder = build_encoder("cnn", name, "image", (1, side, side), settings).eval()
    with torch.no_grad():
        size = encoder(torch.randn(4, 1, side, side)).pooled.std().item()
    assert 0.3 < size < 30, "max pooling lets it grow by some two times each"
