"""Augmentation of images by torchvision's transforms v2: imported where it is on, as torchvision takes long to load."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from quintet.training.settings import Augment


class _EachAnew(v2.Transform):  # type: ignore[misc]
    """A transform that draws its parameters for every image; torchvision's own draw once for a whole batch."""

    _transformed_types = (torch.Tensor,)


class Crop(_EachAnew):
    """Pad by `padding` pixels of zeros and cut the size back out at a random place (He et al. 2016, sec. 4.2)."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        batch, _, height, width = inpt.shape
        padded = F.pad(inpt, [self.padding] * 4)
        shift = torch.randint(2 * self.padding + 1, (2, batch), device=inpt.device)
        rows = (shift[0, :, None] + torch.arange(height, device=inpt.device)).view(batch, 1, height, 1)
        columns = (shift[1, :, None] + torch.arange(width, device=inpt.device)).view(batch, 1, 1, width)
        example = torch.arange(batch, device=inpt.device).view(batch, 1, 1, 1)
        channel = torch.arange(inpt.shape[1], device=inpt.device).view(1, -1, 1, 1)
        return padded[example, channel, rows, columns]


class Flip(_EachAnew):
    """Mirror left to right half of the time."""

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        mirrored = torch.rand(len(inpt), 1, 1, 1, device=inpt.device) < 0.5
        return torch.where(mirrored, inpt.flip(-1), inpt)


class Rotate(_EachAnew):
    """Turn about the centre by up to `degrees` either way, bilinear, zeros outside."""

    def __init__(self, degrees: float) -> None:
        super().__init__()
        self.radians = degrees * torch.pi / 180

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        angle = (torch.rand(len(inpt), device=inpt.device) * 2 - 1) * self.radians
        height, width = inpt.shape[-2:]
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        # In grid_sample's unit coordinates a turn of an oblong image is a turn and a stretch.
        turn = torch.stack(
            [torch.stack([cos, -sin * height / width, zero], 1), torch.stack([sin * width / height, cos, zero], 1)], 1
        )
        grid = F.affine_grid(turn, list(inpt.shape), align_corners=False)
        return F.grid_sample(inpt, grid, align_corners=False)


class Erase(_EachAnew):
    """Blank a rectangle of 2 to 33 % of the area, aspect 0.3 to 3.3, in a share of images (Zhong et al. 2020, 3.2).

    The mean takes the place of the paper's random values: the input is normalised, so that is zero.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        batch, _, height, width = inpt.shape
        u = torch.rand(5, batch, 1, 1, 1, device=inpt.device)
        area = height * width * (0.02 + 0.31 * u[0])
        log_low, log_high = torch.log(torch.tensor([0.3, 3.3])).tolist()
        aspect = torch.exp(log_low + (log_high - log_low) * u[1])
        tall, wide = (area * aspect).sqrt().clamp(max=height), (area / aspect).sqrt().clamp(max=width)
        top, left = u[2] * (height - tall), u[3] * (width - wide)
        y = torch.arange(height, device=inpt.device).view(1, 1, -1, 1) + 0.5
        x = torch.arange(width, device=inpt.device).view(1, 1, 1, -1) + 0.5
        inside = (y > top) & (y < top + tall) & (x > left) & (x < left + wide) & (u[4] < self.share)
        return inpt.masked_fill(inside, 0.0)


def augmentation(settings: Augment) -> nn.Sequential:
    """The transforms that `settings` ask for, on normalised image batches."""
    steps: list[v2.Transform] = []
    if settings.rotate:
        steps.append(Rotate(settings.rotate))
    if settings.crop:
        steps.append(Crop(settings.crop))
    if settings.flip:
        steps.append(Flip())
    if settings.erase:
        steps.append(Erase(settings.erase))
    return nn.Sequential(*steps)
