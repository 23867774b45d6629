"""StyleGAN. Karras, Laine, Aila 2019, A Style-Based Generator Architecture for GANs; Karras et al. 2020, Analyzing
and Improving the Image Quality of StyleGAN, whose form this is: modulation with demodulation (sec. 2.2), a generator
that sums images of all sizes and a residual discriminator (sec. 3, fig. 7).

Compared against NVIDIA's code (`NVlabs/stylegan2:training/networks_stylegan2.py`) by its parameter counts at 1024 x
1024. From the first paper: mapping network, learnt constant input, noise inputs, style mixing and truncation. From
Karras et al. 2018 (Progressive Growing of GANs): equalised learning rate and the deviation over the minibatch. The
losses (R1, path length) are the task's. We differ:
- Styles scale what goes into a convolution and demodulation what comes out (sec. 2.2 shows that this is the same as
  scaling weights image by image), since grouped convolutions are slow on processors.
- In eval mode the noise is a fixed map, so that the latent alone determines the image; NVIDIA's `noise_mode="const"`.
- `conditional` joins class and latent before the mapping network and projects in the discriminator, as StyleGAN2-ADA.

Other sizes: maps are halved down to `smallest` pixels (8 to 4, 28 to 14 to 7); `width` is the number of channels at
full size, doubled at each halving up to `max_width`.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveFloat, PositiveInt, Probability
from quintet.models.gan import dcgan
from quintet.models.gan.dcgan import Crop
from quintet.models.gan.sizes import pyramid

# Keeps the variance after leaky ReLU with slope 0.2.
_GAIN = math.sqrt(2)


class EqualisedLinear(nn.Module):
    """A linear layer whose weights are kept at unit variance and scaled when used, so that all learn at one rate.

    `rate` scales the learning rate of the layer (Karras et al. 2019, appendix C).
    """

    def __init__(self, in_features: int, out_features: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / rate)
        self.bias = nn.Parameter(torch.full((out_features,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(in_features), rate

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualisedConv(nn.Module):
    """A convolution, likewise; `down` blurs and then keeps every second pixel."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, bias: bool = True, down: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.scale, self.padding, self.down = 1 / math.sqrt(in_channels * kernel**2), kernel // 2, down

    def forward(self, maps: Float[Tensor, "b in_channels h w"]) -> Float[Tensor, "b out_channels h2 w2"]:
        if self.down:
            maps = blur(maps)
        return F.conv2d(maps, self.weight * self.scale, self.bias, stride=2 if self.down else 1, padding=self.padding)


def blur(maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The binomial filter 1 2 1 each way, before pixels are left out (Karras et al. 2019, sec. 2)."""
    row = torch.tensor([0.25, 0.5, 0.25], dtype=maps.dtype, device=maps.device)
    kernel = (row[:, None] * row).expand(maps.shape[1], 1, 3, 3)
    return F.conv2d(maps, kernel, padding=1, groups=maps.shape[1])


def double(maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 2*h 2*w"]:
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


class Mapping(nn.Module):
    """Latents, normalised, through `num_layers` dense layers to styles (2019, sec. 2)."""

    def __init__(self, num_classes: int, latent_dim: int, num_layers: int) -> None:
        super().__init__()
        self.label = EqualisedLinear(num_classes, latent_dim) if num_classes else None
        self.num_classes = num_classes
        inputs = [latent_dim * (2 if num_classes else 1)] + [latent_dim] * (num_layers - 1)
        self.layers = nn.ModuleList(EqualisedLinear(n, latent_dim, rate=0.01) for n in inputs)

    def forward(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch latent_dim"]:
        x = _normalised(latent)
        if self.label is not None:
            assert labels is not None, "a conditional generator needs labels"
            x = torch.cat([x, _normalised(self.label(F.one_hot(labels, self.num_classes).to(x)))], 1)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2) * _GAIN
        return x


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style, its output by what that did to their deviation.

    With weights w, styles s: s_i scales input channel i, and output channel j is divided by the root of
    sum over i, k of (s_i w_ijk)^2 (2020, eqs. 1 and 3).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, style_dim: int, *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.style = EqualisedLinear(style_dim, in_channels, bias=1.0)
        self.scale, self.padding, self.demodulate = 1 / math.sqrt(in_channels * kernel**2), kernel // 2, demodulate

    def forward(
        self, maps: Float[Tensor, "b in_channels h w"], style: Float[Tensor, "b style_dim"]
    ) -> Float[Tensor, "b out_channels h w"]:
        weight, scale = self.weight * self.scale, self.style(style)
        maps = F.conv2d(maps * scale[:, :, None, None], weight, padding=self.padding)
        if self.demodulate:
            norm = torch.rsqrt(scale.square() @ weight.square().sum((2, 3)).T + 1e-8)
            maps = maps * norm[:, :, None, None]
        return maps


class StyledLayer(nn.Module):
    """A modulated convolution, noise of a learnt strength, bias and leaky ReLU; `up` doubles the maps first."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, side: tuple[int, int], up: bool) -> None:
        super().__init__()
        self.up, self.crop = up, Crop(side)
        self.conv = ModulatedConv(in_channels, out_channels, 3, style_dim)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise", torch.randn(1, 1, *side))
        self.noise: Tensor

    def forward(
        self, maps: Float[Tensor, "b in_channels h w"], style: Float[Tensor, "b style_dim"]
    ) -> Float[Tensor, "b out_channels h2 w2"]:
        maps = self.conv(self.crop(double(maps)) if self.up else maps, style)
        noise = torch.randn_like(maps[:, :1]) if self.training else self.noise
        return F.leaky_relu(maps + self.noise_strength * noise + self.bias[:, None, None], 0.2) * _GAIN


class ToImage(nn.Module):
    """Features to the channels of an image, modulated but not demodulated."""

    def __init__(self, in_channels: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(in_channels, channels, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self, maps: Float[Tensor, "b in_channels h w"], style: Float[Tensor, "b style_dim"]
    ) -> Float[Tensor, "b channel h w"]:
        image: Tensor = self.conv(maps, style)
        return image + self.bias[:, None, None]


class Synthesis(nn.Module):
    """Styles, one a layer, to an image that sums those of all sizes (2020, fig. 7b); `widths` from small to large."""

    def __init__(self, channels: int, maps: list[tuple[int, int]], widths: list[int], style_dim: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, widths[0], *maps[0]))
        layers: list[StyledLayer] = []
        to_image: list[ToImage] = []
        previous = widths[0]
        for index, (side, width) in enumerate(zip(maps, widths, strict=True)):
            if index > 0:
                layers.append(StyledLayer(previous, width, style_dim, side, up=True))
            layers.append(StyledLayer(width, width, style_dim, side, up=False))
            to_image.append(ToImage(width, channels, style_dim))
            previous = width
        self.layers, self.to_image = nn.ModuleList(layers), nn.ModuleList(to_image)
        self.num_styles = len(layers) + 1

    def forward(self, styles: Float[Tensor, "batch layer style_dim"]) -> Float[Tensor, "batch channel height width"]:
        maps = self.layers[0](self.constant.expand(len(styles), -1, -1, -1), styles[:, 0])
        image: Tensor = self.to_image[0](maps, styles[:, 1])
        for index, to_image in enumerate(self.to_image[1:]):
            first, second = self.layers[2 * index + 1], self.layers[2 * index + 2]
            maps = second(first(maps, styles[:, 2 * index + 1]), styles[:, 2 * index + 2])
            image = double(image)[..., : maps.shape[2], : maps.shape[3]] + to_image(maps, styles[:, 2 * index + 3])
        return image


class Generator(nn.Module):
    """Mapping and synthesis; in training it mixes styles and follows their mean, which truncation needs."""

    def __init__(
        self,
        channels: int,
        maps: list[tuple[int, int]],
        widths: list[int],
        num_classes: int,
        latent_dim: int,
        mapping_layers: int,
        style_mixing: float,
        truncation: float,
    ) -> None:
        super().__init__()
        self.style_mixing, self.truncation = style_mixing, truncation
        self.mapping = Mapping(num_classes, latent_dim, mapping_layers)
        self.synthesis = Synthesis(channels, maps, widths, latent_dim)
        self.register_buffer("mean_style", torch.zeros(latent_dim))
        self.mean_style: Tensor

    def styles(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch layer latent_dim"]:
        """The style of each layer. Truncation draws it towards the mean (2019, appendix B); 1 leaves it."""
        style: Tensor = self.mapping(latent, labels)
        layers = self.synthesis.num_styles
        if not self.training:
            style = self.mean_style + self.truncation * (style - self.mean_style) if self.truncation < 1 else style
            return style[:, None].expand(-1, layers, -1)
        with torch.no_grad():
            self.mean_style.lerp_(style.mean(0).to(self.mean_style), 0.005)
        other = self.mapping(torch.randn_like(latent), labels)
        # From a random layer on, a share of the images takes its style from another latent (2019, sec. 3.1).
        cut = torch.randint(1, layers, (len(latent), 1), device=latent.device)
        mixed = torch.rand(len(latent), 1, device=latent.device) < self.style_mixing
        late = (torch.arange(layers, device=latent.device) >= cut) & mixed
        return torch.where(late[:, :, None], other[:, None], style[:, None])

    def forward(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        images: Tensor = self.synthesis(self.styles(latent, labels))
        return images


class ResidualBlock(nn.Module):
    """Two convolutions that halve the maps, and a shortcut (2020, fig. 7c)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = EqualisedConv(in_channels, in_channels, 3)
        self.second = EqualisedConv(in_channels, out_channels, 3, down=True)
        self.shortcut = EqualisedConv(in_channels, out_channels, 1, bias=False, down=True)

    def forward(self, maps: Float[Tensor, "b in_channels h w"]) -> Float[Tensor, "b out_channels h2 w2"]:
        inner = F.leaky_relu(self.first(maps), 0.2) * _GAIN
        inner = F.leaky_relu(self.second(inner), 0.2) * _GAIN
        shortcut: Tensor = self.shortcut(maps)
        return (inner + shortcut) / math.sqrt(2)


def with_deviation(maps: Float[Tensor, "b c h w"], group: int = 4) -> Float[Tensor, "b c+1 h w"]:
    """One more channel: how much the images of a group of the minibatch differ (Karras et al. 2018, sec. 3).

    Groups of `group` images; all in one where the batch does not divide into such.
    """
    group = group if len(maps) % group == 0 else len(maps)
    grouped = rearrange(maps, "(g n) c h w -> g n c h w", g=group)
    deviation = torch.sqrt(grouped.var(0, unbiased=False) + 1e-8).mean((1, 2, 3))
    channel = deviation.repeat(group)[:, None, None, None].expand(-1, 1, *maps.shape[2:])
    return torch.cat([maps, channel], 1)


class Discriminator(nn.Module):
    """Residual halvings, the minibatch's deviation, a dense layer, a logit; `widths` from large to small."""

    def __init__(
        self, channels: int, maps: list[tuple[int, int]], widths: list[int], num_classes: int, label_dim: int
    ) -> None:
        super().__init__()
        self.from_image = EqualisedConv(channels, widths[0], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(*pair) for pair in pairwise(widths)))
        self.last_conv = EqualisedConv(widths[-1] + 1, widths[-1], 3)
        self.dense = EqualisedLinear(widths[-1] * math.prod(maps[-1]), widths[-1])
        self.logit = EqualisedLinear(widths[-1], label_dim if num_classes else 1)
        self.label = EqualisedLinear(num_classes, label_dim) if num_classes else None
        self.num_classes = num_classes

    def forward(
        self, images: Float[Tensor, "batch channel height width"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, " batch"]:
        maps = self.blocks(F.leaky_relu(self.from_image(images), 0.2) * _GAIN)
        maps = F.leaky_relu(self.last_conv(with_deviation(maps)), 0.2) * _GAIN
        logit: Tensor = self.logit(F.leaky_relu(self.dense(maps.flatten(1)), 0.2) * _GAIN)
        if self.label is None:
            return torch.squeeze(logit, 1)
        assert labels is not None, "a conditional discriminator needs labels"
        label = _normalised(self.label(F.one_hot(labels, self.num_classes).to(logit)))
        return (logit * label).sum(1) / math.sqrt(label.shape[1])


class StyleGAN(nn.Module):
    """`width` channels at full size, twice as many at each halving, `max_width` at most.

    StyleGAN is a generator; the first paper takes over the discriminator of the work before (2019, sec. 2), the
    second has a residual one. `discriminator` is that, or DCGAN's, which learns small images in fewer steps.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        latent_dim: PositiveInt = 512,
        mapping_layers: PositiveInt = 8,
        width: PositiveInt = 32,
        max_width: PositiveInt = 512,
        smallest: PositiveInt = 4,
        style_mixing: Probability = 0.9,
        truncation: PositiveFloat = 1.0,
        conditional: bool = False,
        discriminator: Literal["residual", "dcgan"] = "residual",
    ) -> None:
        super().__init__()
        channels, *sides = shape
        self.latent_dim, self.conditional = latent_dim, conditional
        known = num_classes if conditional else 0
        maps = pyramid(sides, smallest)
        widths = [min(width * 2**halvings, max_width) for halvings in range(len(maps))]
        self.generator = Generator(
            channels, maps[::-1], widths[::-1], known, latent_dim, mapping_layers, style_mixing, truncation
        )
        self.discriminator: nn.Module = (
            Discriminator(channels, maps, widths, known, latent_dim)
            if discriminator == "residual"
            # One halving more, where the residual one has two layers more.
            else dcgan.Discriminator(shape, known, width, max(1, smallest // 2))
        )

    def generate(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        # The generator's last layer is linear; what lies beyond black and white can not be shown.
        images: Tensor = self.generator(latent, labels).clamp(-1, 1)
        return images


def _normalised(x: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch feature"]:
    """To a mean square of one."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
