"""Image GPT. Chen et al. 2020, Generative Pretraining from Pixels, sec. 3: a causal Transformer over pixels, row by
row.

The defaults are the paper's smallest network (iGPT-S: 24 layers, 512 features, 8 heads). We differ:
- Each channel of a pixel is a token of `levels` equal steps of brightness. The paper has one token a pixel, the
  nearest of 512 colours; for grey images the two are the same.
- A latent decides what is drawn: its i-th number, as a quantile, chooses token i from its distribution. So the same
  latents give the same images, as they do in the other families.
- `conditional` puts an embedding of the class where the start token stands (the paper's networks have no classes).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from quintet.models.bounds import PositiveInt, Probability
from quintet.models.transformer.encoder import Block, Encoder
from quintet.models.transformer.fits import heads_fit


class ImageGPT(nn.Module):
    """Next-token prediction over the brightness of pixels, quantised to `levels`."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        levels: PositiveInt = 16,
        embed_dim: PositiveInt = 512,
        num_layers: PositiveInt = 24,
        num_heads: PositiveInt = 8,
        dropout: Probability = 0.0,
        conditional: bool = False,
    ) -> None:
        super().__init__()
        problem = heads_fit({"embed_dim": embed_dim, "num_heads": num_heads})
        if problem:
            raise ValueError(problem)
        self.shape, self.levels, self.conditional = shape, levels, conditional
        self.latent_dim = math.prod(shape)
        self.token = nn.Embedding(levels, embed_dim)
        self.start = nn.Embedding(num_classes if conditional else 1, embed_dim)
        self.position = nn.Parameter(torch.empty(self.latent_dim, embed_dim))
        self.decoder = Encoder(
            embed_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            mlp_dim=4 * embed_dim,
            dropout=dropout,
            norm="pre",
            activation="gelu",
            causal=True,
        )
        self.head = nn.Linear(embed_dim, levels, bias=False)
        for weight in (self.token.weight, self.start.weight, self.position, self.head.weight):
            nn.init.normal_(weight, std=0.02)

    def forward(
        self, tokens: Int[Tensor, "batch time"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time levels"]:
        """Logits of each token from those before it."""
        before = torch.cat([self._start(len(tokens), labels)[:, None], self.token(tokens[:, :-1])], 1)
        logits: Tensor = self.head(self.decoder(before + self.position))
        return logits

    def loss(
        self, images: Float[Tensor, "batch channel height width"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, " batch"]:
        """The negative log-likelihood of the quantised image."""
        tokens = self.quantised(images)
        logits = rearrange(self(tokens, labels), "b t level -> b level t")
        return F.cross_entropy(logits, tokens, reduction="none").sum(1)

    def quantised(self, images: Float[Tensor, "batch channel height width"]) -> Int[Tensor, "batch time"]:
        """Tokens in the order they are drawn: rows, pixels, channels."""
        steps = ((images + 1) / 2 * (self.levels - 1)).round().long().clamp(0, self.levels - 1)
        return rearrange(steps, "b c h w -> b (h w c)")

    @torch.no_grad()
    def generate(
        self, latent: Float[Tensor, "batch latent_dim"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        quantiles = torch.special.ndtr(latent)
        past: list[tuple[Tensor, Tensor]] = []
        tokens: list[Tensor] = []
        x = self._start(len(latent), labels)
        for time in range(self.latent_dim):
            x = (x + self.position[time])[:, None]
            for index, block in enumerate(self.decoder.blocks):
                x = _step(block, x, past, index)  # type: ignore[arg-type]
            chances = self.head(self.decoder.final_norm(x))[:, 0].float().softmax(1)
            chosen = (chances.cumsum(1) < quantiles[:, time, None]).sum(1).clamp(max=self.levels - 1)
            tokens.append(chosen)
            x = self.token(chosen)
        channels, height, _ = self.shape
        images = rearrange(torch.stack(tokens, 1), "b (h w c) -> b c h w", c=channels, h=height)
        return images.to(latent) / max(1, self.levels - 1) * 2 - 1

    def _start(self, batch: int, labels: Tensor | None) -> Tensor:
        if self.conditional:
            assert labels is not None, "a conditional network needs labels"
            start: Tensor = self.start(labels)
            return start
        return self.start.weight.expand(batch, -1)


def _step(
    block: Block, x: Float[Tensor, "batch 1 embed_dim"], past: list[tuple[Tensor, Tensor]], index: int
) -> Float[Tensor, "batch 1 embed_dim"]:
    """One token through a block in eval mode; `past` keeps the keys and values of the tokens before it."""
    attention = block.attention
    heads = rearrange(attention.qkv(block.norm1(x)), "b t (three h d) -> three b h t d", three=3, h=attention.num_heads)
    query, key, value = heads.unbind(0)
    if index < len(past):
        key, value = torch.cat([past[index][0], key], 2), torch.cat([past[index][1], value], 2)
        past[index] = (key, value)
    else:
        past.append((key, value))
    mixed = F.scaled_dot_product_attention(query, key, value)
    x = x + attention.out(rearrange(mixed, "b h t d -> b t (h d)"))
    further: Tensor = block.feed_forward(block.norm2(x))
    return x + further
