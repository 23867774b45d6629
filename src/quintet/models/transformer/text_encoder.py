"""The Transformer encoder as a reader of text. Vaswani et al. 2017, Attention Is All You Need, sec. 3.

Its blocks are those of `encoder.py`, compared there against torch's. The defaults are the paper's base model (table 3).
Word vectors are scaled by sqrt(embed_dim) (sec. 3.4) and drawn with deviation 1 / sqrt(embed_dim), as in the paper's
code (`tensorflow/tensor2tensor:tensor2tensor/layers/modalities.py`), so they are of size 1, like the positions. We
differ:
- The features of a whole text are the mean over its tokens, or those of its first, [CLS]; the paper's encoder feeds a
  decoder and needs neither.
- `norm="pre"` trains without warm-up at depth (see `encoder.py`). `positions="learned"` is the paper's table 3, row E;
  the vectors are drawn with deviation 1, like ViT's here.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveFloat, PositiveInt, Probability
from quintet.models.layers.encoded import Encoded
from quintet.models.layers.words import TextShape, mean_over
from quintet.models.transformer.encoder import Encoder
from quintet.models.transformer.fits import text_encoder_fits


class TextEncoder(nn.Module):
    """Word vectors plus positions, then the blocks; `mlp_ratio` is the feed-forward width over `embed_dim`."""

    position_table: Tensor

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        *,
        embed_dim: PositiveInt = 512,
        num_layers: PositiveInt = 6,
        num_heads: PositiveInt = 8,
        mlp_ratio: PositiveFloat = 4.0,
        dropout: Probability = 0.1,
        norm: Literal["pre", "post"] = "post",
        activation: Literal["relu", "gelu"] = "relu",
        positions: Literal["sinusoidal", "learned"] = "sinusoidal",
        pooling: Literal["mean", "cls"] = "mean",
    ) -> None:
        super().__init__()
        problem = text_encoder_fits({"embed_dim": embed_dim, "num_heads": num_heads, "positions": positions}, shape)
        if problem:
            raise ValueError(problem)
        text = TextShape(*shape)
        self.pad = text.pad
        self.pooling = pooling
        self.token_embedding = nn.Embedding(text.vocabulary, embed_dim)
        if positions == "sinusoidal":
            self.register_buffer("position_table", sinusoids(text.time, embed_dim), persistent=False)
        else:
            self.position_table = nn.Parameter(torch.randn(text.time, embed_dim))
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(
            embed_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            mlp_dim=round(embed_dim * mlp_ratio),
            dropout=dropout,
            norm=norm,
            activation=activation,
        )
        self.pooled_dim = self.position_dim = embed_dim
        nn.init.normal_(self.token_embedding.weight, std=1 / math.sqrt(embed_dim))

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Encoded:
        mask = tokens != self.pad
        words = self.token_embedding(tokens) * math.sqrt(self.position_dim)
        positions = self.encoder(self.dropout(words + self.position_table[: tokens.shape[1]]), mask)
        return Encoded(mean_over(positions, mask) if self.pooling == "mean" else positions[:, 0], positions)


def sinusoids(time: int, embed_dim: int) -> Float[Tensor, "{time} {embed_dim}"]:
    """sin(t / 10000^(2i / embed_dim)) at feature 2i, the cosine at 2i + 1 (sec. 3.5)."""
    rates = 10_000.0 ** (-torch.arange(0, embed_dim, 2) / embed_dim)
    angles = torch.arange(time)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
