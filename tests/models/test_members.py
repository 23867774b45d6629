"""What every member of the catalogue promises, one row of `CASES` each."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from quintet.models import FAMILIES, member
from quintet.models.build import build_encoder
from quintet.models.heads import Classifier

DIGITS, FASHION, CIFAR, TINY_IMAGENET = (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)
OBLONG, IMAGENET = (3, 24, 40), (3, 224, 224)
SHAPES = (DIGITS, FASHION, CIFAR, TINY_IMAGENET, OBLONG, IMAGENET)


@dataclass(frozen=True)
class Case:
    """`tiny` settings for quick tests, and parameters of the `full` networks: (settings, shape, classes, count)."""

    tiny: dict[str, Any]
    full: list[tuple[dict[str, Any], tuple[int, int, int], int, int]]
    more: list[dict[str, Any]] = field(default_factory=list)

    @property
    def settings(self) -> list[dict[str, Any]]:
        return [self.tiny, *({**self.tiny, **more} for more in self.more)]


VIT_L = {"embed_dim": 1024, "num_layers": 24, "num_heads": 16}
CASES = {
    # The paper's 60,000, 900 more in C3 and 44 fewer in S2 and S4, and 850 in the head.
    "lenet": Case({}, [({}, (1, 32, 32), 10, 61_706)], [{"activation": "relu", "pooling": "max"}]),
    # torchvision.models, `weights=None`, and its documentation.
    "alexnet": Case({"width": 4, "hidden_size": 32, "dropout": 0.0}, [({}, IMAGENET, 1000, 61_100_840)]),
    "vgg": Case(
        {"depth": 11, "width": 4, "hidden_size": 32, "dropout": 0.0},
        [
            ({"depth": 11}, IMAGENET, 1000, 132_863_336),
            ({"depth": 13}, IMAGENET, 1000, 133_047_848),
            ({"depth": 16}, IMAGENET, 1000, 138_357_544),
            ({"depth": 19}, IMAGENET, 1000, 143_667_240),
            ({"depth": 16, "batch_norm": True}, IMAGENET, 1000, 138_365_992),
        ],
        [{"batch_norm": True}],
    ),
    "resnet": Case(
        {"width": 8},
        [
            ({"depth": 18}, IMAGENET, 1000, 11_689_512),
            ({"depth": 34}, IMAGENET, 1000, 21_797_672),
            ({"depth": 50}, IMAGENET, 1000, 25_557_032),
        ],
        [{"depth": 50}],
    ),
    # Paper, table 6, in millions: 0.27, 0.46, 0.66, 0.85, 1.7.
    "resnet-cifar": Case(
        {"depth": 8, "width": 8},
        [
            ({"depth": 20}, CIFAR, 10, 269_722),
            ({"depth": 32}, CIFAR, 10, 464_154),
            ({"depth": 44}, CIFAR, 10, 658_586),
            ({"depth": 56}, CIFAR, 10, 853_018),
            ({"depth": 110}, CIFAR, 10, 1_727_962),
        ],
    ),
    # torchvision.models.vit_b_16, vit_b_32 and vit_l_16.
    "vit": Case(
        {"patch_size": 4, "embed_dim": 16, "num_layers": 2, "num_heads": 2, "dropout": 0.0},
        [
            ({}, IMAGENET, 1000, 86_567_656),
            ({"patch_size": 32}, IMAGENET, 1000, 88_224_232),
            (VIT_L, IMAGENET, 1000, 304_326_632),
        ],
        [{"pooling": "mean"}],
    ),
    # gates x (28 x 128 + 128 x 128 + 2 x 128) and 1,290 in the head.
    "rnn": Case({"hidden_size": 32}, [({}, FASHION, 10, 21_514)], [{"activation": "relu"}]),
    "lstm": Case({"hidden_size": 32}, [({}, FASHION, 10, 82_186)], [{"bidirectional": True, "num_layers": 2}]),
    "gru": Case({"hidden_size": 32}, [({}, FASHION, 10, 61_962)], [{"pooling": "mean"}]),
}
MEMBERS = {name: family for family, members in FAMILIES.items() for name in members}
VARIANTS = [
    pytest.param(name, settings, id="-".join([name, *map(str, settings.values())]))
    for name, case in CASES.items()
    for settings in case.settings
]


def classifier(name: str, shape: tuple[int, ...], settings: dict[str, Any], num_classes: int = 10) -> Classifier:
    return Classifier(build_encoder(MEMBERS[name], name, "image", shape, settings), num_classes)


def with_a_working_head(model: Classifier) -> Classifier:
    """The head starts at zero, which would hide what the encoder does."""
    nn.init.normal_(model.head.weight)
    return model


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_every_member_has_a_case_and_every_case_a_member() -> None:
    assert set(CASES) == set(MEMBERS)
    assert all(case.full for case in CASES.values())


@pytest.mark.parametrize(
    ("name", "settings", "shape", "num_classes", "count"),
    [pytest.param(n, *full, id=f"{n}-{full[-1]}") for n, case in CASES.items() for full in case.full],
)
def test_has_the_published_number_of_parameters(
    name: str, settings: dict[str, Any], shape: tuple[int, ...], num_classes: int, count: int
) -> None:
    with torch.device("meta"):
        model = classifier(name, shape, settings, num_classes)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_sizes_itself_to_the_data(name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    model = classifier(name, shape, settings, num_classes=7).eval()
    complete = member(MEMBERS[name], name).settings(settings)
    assert member(MEMBERS[name], name).fits(complete, shape) is None
    with torch.no_grad():
        images = torch.randn(2, *shape)
        pooled, positions = model.encoder(images)
        assert pooled.shape == (2, model.encoder.pooled_dim)
        assert positions.shape[0] == 2
        assert positions.shape[2] == model.encoder.position_dim
        assert model(images).shape == (2, 7)
    assert torch.isfinite(pooled).all()
    assert pooled.std(dim=0).max() > 1e-3, "the two images are told apart before any training"


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_gradients_reach_every_parameter(name: str, settings: dict[str, Any]) -> None:
    model = with_a_working_head(classifier(name, DIGITS, settings))
    model(torch.randn(8, *DIGITS)).square().sum().backward()
    assert not [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_one_example_does_not_depend_on_the_others(name: str, settings: dict[str, Any]) -> None:
    model = with_a_working_head(classifier(name, DIGITS, settings)).eval()
    batch, others = torch.randn(4, *DIGITS), 5 * torch.randn(4, *DIGITS)
    others[0] = batch[0]
    with torch.no_grad():
        alone = model(batch[:1])
        torch.testing.assert_close(model(batch)[:1], alone, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model(others)[:1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_saved_weights_give_the_same_output(name: str, settings: dict[str, Any], tmp_path: Any) -> None:
    images = torch.randn(4, *DIGITS)
    saved = with_a_working_head(classifier(name, DIGITS, settings))
    saved(images)  # moves batch normalisation's averages
    save_file(saved.state_dict(), tmp_path / "weights.safetensors")
    loaded = classifier(name, DIGITS, settings)
    loaded.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images), saved.eval()(images))


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_overfits_one_batch(name: str, settings: dict[str, Any]) -> None:
    images, labels = torch.randn(8, *DIGITS), torch.arange(8)
    model = classifier(name, DIGITS, settings)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(100):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(torch.log(torch.tensor(10.0)).item()), "the head starts at zero"
    assert losses[-1] < 0.1


def test_shapes_in_signatures_are_checked() -> None:
    with pytest.raises(Exception, match="Type-check error"):
        classifier("lenet", DIGITS, {}).encoder(torch.randn(2, 8, 8))
