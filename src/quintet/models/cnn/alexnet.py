"""AlexNet. Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks (arXiv:1404.5997), sec. 5.

This is the one-tower network that torchvision has too, not the two-tower one of Krizhevsky, Sutskever, Hinton 2012.
Compared against torchvision.models.alexnet: same weights, same output at 224 x 224. We differ:
- Weights are drawn as in `draws.py`, to keep the signal's size on small maps too. The paper's normal(0, 0.01) with some
  biases of 1, and torch's defaults, shrink it at each layer, and the eight layers then hardly train on small images.
- No local response normalisation, as in torchvision; the 2012 paper's sec. 3.3 has it, VGG found it useless.

Other sizes: the first convolution has stride s = side // 56, from 1 to the paper's 4, and kernel 2 s + 3, which makes a
map of 55 or 56 pixels wherever the image allows: at 224, s = 4 and kernel 11 as in the paper; below 112 pixels, s = 1
and kernel 5. A pool is left out where the map is smaller than its window, and the dense layers read a map of at
most 6 x 6, so a small image gives a small network.
"""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt, Probability
from quintet.models.cnn.draws import draw_by_inputs_met
from quintet.models.layers.encoded import Encoded


class AlexNet(nn.Module):
    """Five convolutions and two dense layers; `width` is the first convolution's channels, the others follow."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        width: PositiveInt = 64,
        hidden_size: PositiveInt = 4096,
        dropout: Probability = 0.5,
    ) -> None:
        super().__init__()
        channels, *sides = shape
        stride = min(max(min(sides) // 56, 1), 4)
        kernel = 2 * stride + 3
        layers: list[nn.Module] = []
        for convolution, pooled in (
            (nn.Conv2d(channels, width, kernel, stride, padding=2), True),
            (nn.Conv2d(width, 3 * width, kernel_size=5, padding=2), True),
            (nn.Conv2d(3 * width, 6 * width, kernel_size=3, padding=1), False),
            (nn.Conv2d(6 * width, 4 * width, kernel_size=3, padding=1), False),
            (nn.Conv2d(4 * width, 4 * width, kernel_size=3, padding=1), True),
        ):
            draw_by_inputs_met(convolution, sides)
            layers += [convolution, nn.ReLU()]
            if not layers[:-2]:  # the others keep the map's size
                sides = [(side + 4 - kernel) // stride + 1 for side in sides]
            if pooled and min(sides) >= 3:
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2))
                sides = [(side - 3) // 2 + 1 for side in sides]
        sides = [min(side, 6) for side in sides]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(tuple(sides)))
        self.dense = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(4 * width * sides[0] * sides[1], hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
        )
        self.position_dim = 4 * width
        self.pooled_dim = hidden_size
        for module in self.dense:
            if isinstance(module, nn.Linear):
                draw_by_inputs_met(module)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Encoded:
        maps = self.features(images)
        return Encoded(self.dense(maps.flatten(1)), rearrange(maps, "b c h w -> b (h w) c"))
