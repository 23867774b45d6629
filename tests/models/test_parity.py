"""Ours against torchvision's, with the same weights."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
import torchvision.models as reference
from torch import Tensor, nn

from quintet.models.build import build_encoder
from quintet.models.heads import Classifier


def share_weights(ours: nn.Module, theirs: Iterable[Tensor]) -> None:
    """Both networks list their tensors in the same order; they then hold the same memory."""
    pairs = zip(ours.state_dict().items(), theirs, strict=True)
    ours.load_state_dict({k: their.reshape(our.shape) for (k, our), their in pairs}, assign=True)


def assert_same_output(family: str, name: str, settings: dict[str, Any], theirs: nn.Module, side: int) -> None:
    with torch.device("meta"):
        encoder = build_encoder(family, name, "image", (3, side, side), settings)
        ours = Classifier(encoder, num_classes=10).eval()
    state = theirs.state_dict()
    if name == "vit":  # a module's own parameters come first in ours
        state = {k: state[k] for k in sorted(state, key=lambda k: k not in ("class_token", "encoder.pos_embedding"))}
    share_weights(ours, state.values())
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        expected = theirs.eval()(images)
        assert expected.std() > 0.01
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def trained_a_little(network: nn.Module) -> nn.Module:
    """With normalisation statistics, scales and shifts that are not all zero or one."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network


def test_alexnet() -> None:
    assert_same_output("cnn", "alexnet", {}, reference.alexnet(num_classes=10), 224)


@pytest.mark.parametrize("depth", [11, 16])
def test_vgg(depth: int) -> None:
    theirs = {11: reference.vgg11, 16: reference.vgg16}[depth](num_classes=10, init_weights=False)
    for module in theirs.features:  # torch's own draw would leave an output too small to compare
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    assert_same_output("cnn", "vgg", {"depth": depth}, theirs, 224)


def test_vgg_with_batch_norm() -> None:
    theirs = trained_a_little(reference.vgg11_bn(num_classes=10, init_weights=False))
    assert_same_output("cnn", "vgg", {"depth": 11, "batch_norm": True}, theirs, 224)


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_resnet(depth: int) -> None:
    theirs = {18: reference.resnet18, 34: reference.resnet34, 50: reference.resnet50}[depth](num_classes=10)
    assert_same_output("cnn", "resnet", {"depth": depth}, trained_a_little(theirs), 112)


def test_vit() -> None:
    theirs = reference.VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=10
    )
    nn.init.normal_(theirs.heads.head.weight)  # zero at first
    settings = {"patch_size": 8, "embed_dim": 32, "num_layers": 3, "num_heads": 4, "mlp_ratio": 2.0}
    assert_same_output("transformer", "vit", settings, trained_a_little(theirs), 32)
