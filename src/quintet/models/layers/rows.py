"""Images as series: row after row, each row one step."""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.layers.encoded import Encoded


def rows_shape(image_shape: tuple[int, ...]) -> tuple[int, int]:
    """(channel, height, width) -> (time, feature) of the same image read row by row."""
    channels, height, width = image_shape
    return height, channels * width


class Rows(nn.Module):
    """A series encoder that reads images row by row, as Le et al. 2015 read MNIST pixel by pixel."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooled_dim: int = encoder.pooled_dim  # type: ignore[assignment]
        self.position_dim: int = encoder.position_dim  # type: ignore[assignment]

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Encoded:
        encoded: Encoded = self.encoder(rearrange(images, "b c h w -> b h (c w)"))
        return encoded
