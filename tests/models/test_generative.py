"""What every generator and translator of the catalogue promises, one row of `CASES` each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from quintet.models import FAMILIES, member
from quintet.models.build import build_generator, build_translator
from quintet.models.gan.stylegan import ModulatedConv, with_deviation
from quintet.models.transformer.image_gpt import ImageGPT

DIGITS, FASHION, CIFAR, OBLONG, ODD = (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 24, 40), (1, 13, 9)
FEW_TOKENS = (3, 3, 2)  # drawing is one step a token
SHAPES = (DIGITS, FASHION, CIFAR, OBLONG, ODD)
CLASSES = 5


@dataclass(frozen=True)
class Case:
    """`tiny` settings for quick tests; parameters of the `full` networks: (part, settings, shape, count)."""

    tiny: dict[str, Any]
    full: list[tuple[str, dict[str, Any], tuple[int, int, int], int]]
    more: list[dict[str, Any]] = field(default_factory=list)


CASES = {
    # Perceptrons, by hand: 100-1200-1200-784; 784 and 240 inputs to 240 x 5 pieces, then a logit.
    "gan": Case(
        {"latent_dim": 8, "hidden_size": 16, "units": 8},
        [("generator", {}, FASHION, 2_503_984), ("discriminator", {}, FASHION, 1_231_441)],
    ),
    # Likewise, by the numbers of the paper's section 4.1 with ten classes.
    "cgan": Case(
        {"latent_dim": 8, "hidden_size": 18, "units": 8},
        [
            ("generator", {}, FASHION, 20_200 + 11_000 + 1_441_200 + 941_584),
            ("discriminator", {}, FASHION, 942_000 + 2_750 + 279_360 + 241),
        ],
    ),
    # pytorch/examples:dcgan.
    "dcgan": Case(
        {"latent_dim": 8, "width": 8},
        [("generator", {}, (3, 64, 64), 3_576_704), ("discriminator", {}, (3, 64, 64), 2_765_568)],
        [{"conditional": True}, {"smallest": 2}],
    ),
    # NVlabs/stylegan2, configuration F at 1024 x 1024.
    "stylegan": Case(
        {"latent_dim": 8, "mapping_layers": 2, "width": 4, "max_width": 8},
        [("generator", {}, (3, 1024, 1024), 30_370_060), ("discriminator", {}, (3, 1024, 1024), 29_012_513)],
        [{"conditional": True}, {"smallest": 2}, {"discriminator": "dcgan"}],
    ),
    # No count is published. DCGAN's discriminator with one more halving: 512 x 1024 x 16 weights and 2 x 1024 of
    # normalisation more, and 1024 x 16 instead of 512 x 16 weights to the logit.
    "context-encoder": Case(
        {"width": 4, "smallest": 2},
        [("discriminator", {}, (3, 128, 128), 2_765_568 + 512 * 1024 * 16 + 2 * 1024 + 512 * 16)],
    ),
    # junyanz/pytorch-CycleGAN-and-pix2pix prints 54.414 M and 2.769 M, 11.378 M and 2.765 M.
    "pix2pix": Case(
        {"width": 4, "dropout": 0.0},
        [("translator", {}, (3, 256, 256), 54_413_955), ("discriminator", {}, (3, 256, 256), 2_768_705)],
    ),
    "cyclegan": Case(
        {"width": 4, "num_blocks": 1},
        [("translator", {}, (3, 256, 256), 2 * 11_378_179), ("discriminator", {}, (3, 256, 256), 2 * 2_764_737)],
    ),
    "vae": Case({"latent_dim": 4, "width": 4}, [], [{"conditional": True}, {"smallest": 2}]),
    # The paper's iGPT-S has 76 M: 24 layers of 12 x 512 x 512 weights and 13 x 512 gains and biases.
    "image-gpt": Case(
        {"levels": 5, "embed_dim": 16, "num_layers": 2, "num_heads": 2},
        [("decoder", {}, CIFAR, 75_658_240)],
        [{"conditional": True}],
    ),
}
ENTRIES = {
    name: (family, entry)
    for family, members in FAMILIES.items()
    for name, entry in members.items()
    if entry.contract != "encoder"
}
VARIANTS = [
    pytest.param(name, {**case.tiny, **more}, id="-".join([name, *map(str, more)]))
    for name, case in CASES.items()
    for more in ({}, *case.more)
]


def built(name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> Any:
    family, entry = ENTRIES[name]
    model = {"family": family, "name": name, "settings": settings}
    return build_translator(model, shape) if entry.contract != "generator" else build_generator(model, shape, CLASSES)


def made(model: Any, shape: tuple[int, ...], count: int, seed: int = 0) -> Tensor:
    """Images of the same `count` latents or inputs, whatever the model."""
    generator = torch.Generator().manual_seed(seed)
    if hasattr(model, "translator"):
        inputs = torch.rand(64, *shape, generator=generator)[:count] * 2 - 1
        return model.translator(inputs, *domains(model, count))
    latent = torch.randn(64, model.latent_dim, generator=generator)[:count]
    return model.generate(latent, torch.arange(count) % CLASSES if model.conditional else None)


def domains(model: Any, count: int) -> list[Tensor]:
    """What a network that translates between two domains is told besides."""
    return [torch.arange(count) % 2] if hasattr(model, "conditional") else []


def smallest(name: str) -> tuple[int, int, int]:
    return FEW_TOKENS if name == "image-gpt" else DIGITS


def losses(model: Any, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Something of everything that is trained."""
    images = torch.rand(4, *shape) * 2 - 1
    labels = torch.arange(4) % CLASSES if getattr(model, "conditional", False) else None
    if hasattr(model, "loss"):
        yield model.loss(images, labels).sum()
    elif hasattr(model, "translator") and domains(model, 4):
        yield model.discriminator(model.translator(images, *domains(model, 4)), *domains(model, 4)).square().sum()
    elif hasattr(model, "translator"):
        yield model.discriminator(images, model.translator(images)).square().sum()
    else:
        yield model.discriminator(model.generator(torch.randn(4, model.latent_dim), labels), labels).square().sum()
        yield model.discriminator(images, labels).square().sum()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_every_member_has_a_case_and_every_case_a_member() -> None:
    assert set(CASES) == set(ENTRIES)


@pytest.mark.parametrize(
    ("name", "part", "settings", "shape", "count"),
    [pytest.param(n, *full, id=f"{n}-{full[0]}") for n, case in CASES.items() for full in case.full],
)
def test_has_the_published_number_of_parameters(
    name: str, part: str, settings: dict[str, Any], shape: tuple[int, int, int], count: int
) -> None:
    family, entry = ENTRIES[name]
    model = {"family": family, "name": name, "settings": settings}
    with torch.device("meta"):
        network = build_translator(model, shape) if entry.contract != "generator" else build_generator(model, shape, 10)
    assert sum(p.numel() for p in getattr(network, part).parameters()) == count


@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        pytest.param(*v.values, shape, id=f"{v.id}-{shape}")
        for v in VARIANTS
        for shape in ((FEW_TOKENS,) if v.values[0] == "image-gpt" else SHAPES)
    ],
)
def test_makes_images_of_the_datas_size(name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    family, entry = ENTRIES[name]
    assert entry.fits(member(family, name).settings(settings), shape) is None
    model = built(name, settings, shape).eval()
    with torch.no_grad():
        images = made(model, shape, 3)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    assert not torch.equal(images[0], images[1]), "two latents or inputs give two images"


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_gradients_reach_every_parameter(name: str, settings: dict[str, Any]) -> None:
    model = built(name, settings, smallest(name))
    for p in model.parameters():  # gains that start at zero (StyleGAN's noise) would hide what is behind them
        if p.ndim == 0:
            nn.init.constant_(p, 0.1)
    for loss in losses(model, smallest(name)):
        loss.backward()
    assert not [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_an_image_does_not_depend_on_the_others_of_its_batch(name: str, settings: dict[str, Any]) -> None:
    model = built(name, settings, smallest(name)).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            made(model, smallest(name), 4)[:1], made(model, smallest(name), 1), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_saved_weights_make_the_same_images(name: str, settings: dict[str, Any], tmp_path: Any) -> None:
    saved, loaded = built(name, settings, smallest(name)), built(name, settings, smallest(name))
    for loss in losses(saved, smallest(name)):  # moves averages
        assert torch.isfinite(loss)
    save_file(saved.state_dict(), tmp_path / "weights.safetensors")
    loaded.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(made(loaded.eval(), smallest(name), 4), made(saved.eval(), smallest(name), 4))


@pytest.mark.parametrize("name", ["vae", "image-gpt"])
def test_a_likelihood_learns_one_batch_by_heart(name: str) -> None:
    model = built(name, {**CASES[name].tiny, "conditional": True}, smallest(name))
    images, labels = torch.randint(0, 5, (4, *smallest(name))) / 2 - 1, torch.arange(4)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = model.loss(images, labels).mean().item()
    for _ in range(100):
        loss = model.loss(images, labels).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.5 * before


@pytest.mark.parametrize("name", ["cgan", "dcgan", "stylegan", "vae", "image-gpt"])
def test_the_class_changes_the_image(name: str) -> None:
    settings = CASES[name].tiny if name == "cgan" else {**CASES[name].tiny, "conditional": True}
    model = built(name, settings, smallest(name)).eval()
    if name == "image-gpt":  # at first all tokens are equally likely, whatever comes before
        for p in model.parameters():
            nn.init.normal_(p, std=0.3)
    latent = torch.randn(1, model.latent_dim).expand(2, -1)
    with torch.no_grad():
        one, other = model.generate(latent, torch.tensor([0, 1]))
    assert (one - other).abs().max() > 1e-3


class TestStyleGAN:
    def test_demodulation_is_scaling_the_weights_of_each_image(self) -> None:
        conv = ModulatedConv(3, 4, 3, style_dim=6)
        nn.init.normal_(conv.style.bias)
        maps, style = torch.randn(2, 3, 5, 5), torch.randn(2, 6)
        scale = conv.style(style)
        for image in range(2):  # equations 1 and 3, as they stand
            weight = conv.weight * conv.scale * scale[image][None, :, None, None]
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            expected = F.conv2d(maps[image : image + 1], weight, padding=1)
            torch.testing.assert_close(conv(maps, style)[image : image + 1], expected, rtol=1e-4, atol=1e-5)

    def test_output_keeps_unit_deviation_whatever_the_style(self) -> None:
        conv = ModulatedConv(16, 32, 3, style_dim=6)
        out = conv(torch.randn(4, 16, 32, 32), 50 * torch.randn(4, 6))
        assert out.std().item() == pytest.approx(1, abs=0.1)

    def test_truncation_draws_styles_to_their_mean(self) -> None:
        model = built("stylegan", {**CASES["stylegan"].tiny, "truncation": 0.25}, DIGITS)
        whole = built("stylegan", CASES["stylegan"].tiny, DIGITS)
        whole.load_state_dict(model.state_dict())
        nn.init.normal_(model.generator.mean_style)
        latent, mean = torch.randn(3, 8), model.generator.mean_style
        far, near = whole.eval().generator.styles(latent), model.eval().generator.styles(latent)
        torch.testing.assert_close(near - mean, 0.25 * (far - mean), rtol=1e-4, atol=1e-5)

    def test_styles_are_mixed_in_training_only(self) -> None:
        model = built("stylegan", {**CASES["stylegan"].tiny, "style_mixing": 0.5}, DIGITS)
        latent = torch.randn(64, 8)
        mixed = (model.generator.styles(latent).diff(dim=1) != 0).any((1, 2)).float().mean().item()
        assert 0.3 < mixed < 0.7
        assert not model.eval().generator.styles(latent).diff(dim=1).any()

    def test_noise_moves_the_image_in_training_and_is_fixed_in_evaluation(self) -> None:
        model = built("stylegan", {**CASES["stylegan"].tiny, "style_mixing": 0.0}, DIGITS)
        for name, p in model.named_parameters():
            if name.endswith("noise_strength"):
                nn.init.ones_(p)
        latent = torch.randn(1, 8)
        assert (model.generate(latent) - model.generate(latent)).abs().max() > 1e-3
        model.eval()
        assert torch.equal(model.generate(latent), model.generate(latent))

    def test_the_minibatch_channel_is_the_mean_deviation_within_groups(self) -> None:
        maps = torch.randn(8, 3, 2, 2)
        channel = with_deviation(maps)[:, 3]
        # Images 0, 2, 4, 6 are one group of four, the others the second.
        expected = maps[::2].std(0, unbiased=False).mean()
        torch.testing.assert_close(channel[0], expected.expand(2, 2), rtol=1e-4, atol=1e-4)
        alike = with_deviation(maps[:1].expand(4, -1, -1, -1))[:, 3]
        assert alike.max() < 1e-3


class TestImageGPT:
    def gpt(self) -> ImageGPT:
        model = ImageGPT((1, 3, 3), CLASSES, levels=5, embed_dim=16, num_layers=2, num_heads=2, conditional=True)
        for p in model.parameters():
            nn.init.normal_(p, std=0.3)
        return model.eval()

    def test_a_token_is_blind_to_itself_and_what_follows(self) -> None:
        model, labels = self.gpt(), torch.tensor([1, 1])
        one = torch.randint(0, 5, (1, 9))
        other = one.clone()
        other[:, 5:] = 4 - other[:, 5:]
        logits = model(torch.cat([one, other]), labels)
        torch.testing.assert_close(logits[0, :6], logits[1, :6])
        assert (logits[0, 6:] - logits[1, 6:]).abs().max() > 1e-3

    def test_drawing_step_by_step_is_the_network_itself(self) -> None:
        """Each drawn token is the one whose share of the distribution holds the latent's quantile."""
        model, labels = self.gpt(), torch.tensor([0, 3])
        latent = torch.randn(2, 9)
        with torch.no_grad():
            tokens = model.quantised(model.generate(latent, labels))
            upper = model(tokens, labels).softmax(2).cumsum(2)
        quantile = torch.special.ndtr(latent)
        at = upper.gather(2, tokens[..., None])[..., 0]
        below = F.pad(upper, (1, 0)).gather(2, tokens[..., None])[..., 0]
        assert ((below - 1e-5 <= quantile) & (quantile <= at + 1e-5)).all()

    def test_quantising_a_quantised_image_changes_nothing(self) -> None:
        model = self.gpt()
        images = torch.randint(0, 5, (3, 1, 3, 3)) / 2 - 1
        assert torch.equal(model.quantised(images), ((images + 1) * 2).long().flatten(1))
