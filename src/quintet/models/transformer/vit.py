"""ViT. Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, sec. 3.1; the defaults are ViT-B/16 of table 1.

Compared against torchvision.models.VisionTransformer: same weights, same output. Weights are drawn as in the paper's
code (`google-research/vision_transformer:vit_jax/models_vit.py`): Glorot in the blocks, LeCun for the patches. (The
deviation 0.02 of other codes is for 768 features; with 64 the blocks then hardly start.) We differ:
- Positions are drawn with deviation 1, the size of the patches' own features, not 0.02: beside those the blocks do not
  see them at first, and small data end before they are learnt. After 10 epochs of 8 x 8 digits: 97 % against 78 %.
- The head is the task's one linear layer, as the paper has it for fine-tuning; no hidden layer for pre-training.
- `pooling="mean"` averages the patches and has no class token (appendix D.3 finds both equal; Beyer et al. 2022, Better
  plain ViT baselines for ImageNet-1k, find the mean better when training from scratch).

Other sizes: patches must tile the image, so `patch_size` has to divide its sides; positions are learnt for that grid.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from quintet.models.bounds import PositiveFloat, PositiveInt, Probability
from quintet.models.layers.encoded import Encoded
from quintet.models.transformer.encoder import Encoder
from quintet.models.transformer.fits import vit_fits


class ViT(nn.Module):
    """A Transformer encoder over the patches of an image; `mlp_ratio` is the feed-forward width over `embed_dim`."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        patch_size: PositiveInt = 16,
        embed_dim: PositiveInt = 768,
        num_layers: PositiveInt = 12,
        num_heads: PositiveInt = 12,
        mlp_ratio: PositiveFloat = 4.0,
        dropout: Probability = 0.1,
        pooling: Literal["token", "mean"] = "token",
    ) -> None:
        super().__init__()
        problem = vit_fits({"patch_size": patch_size, "embed_dim": embed_dim, "num_heads": num_heads}, shape)
        if problem:
            raise ValueError(problem)
        channels, height, width = shape
        num_patches = (height // patch_size) * (width // patch_size)
        self.pooling = pooling
        self.patches = nn.Conv2d(channels, embed_dim, kernel_size=patch_size, stride=patch_size)
        num_tokens = num_patches + 1 if pooling == "token" else num_patches
        if pooling == "token":
            self.class_token = nn.Parameter(torch.zeros(embed_dim))
        self.position_embedding = nn.Parameter(torch.empty(num_tokens, embed_dim))
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(
            embed_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            mlp_dim=round(embed_dim * mlp_ratio),
            dropout=dropout,
            mlp_dropout=dropout,
            norm="pre",
            activation="gelu",
            norm_eps=1e-6,
        )
        self.pooled_dim = self.position_dim = embed_dim
        nn.init.trunc_normal_(self.patches.weight, std=math.sqrt(1 / (channels * patch_size**2)))
        assert self.patches.bias is not None
        nn.init.zeros_(self.patches.bias)
        nn.init.normal_(self.position_embedding, std=1.0)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Encoded:
        tokens = rearrange(self.patches(images), "b d h w -> b (h w) d")
        if self.pooling == "token":
            tokens = torch.cat([repeat(self.class_token, "d -> b 1 d", b=len(tokens)).to(tokens), tokens], dim=1)
        tokens = self.encoder(self.dropout(tokens + self.position_embedding))
        if self.pooling == "token":
            return Encoded(tokens[:, 0], tokens[:, 1:])
        return Encoded(tokens.mean(1), tokens)
