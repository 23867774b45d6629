"""The Transformer encoder. Vaswani et al. 2017, Attention Is All You Need, sec. 3.1 to 3.3 and 5.4.

The blocks of every Transformer here. Compared against torch.nn.TransformerEncoderLayer: same weights, same output, with
either order of normalisation, with padding and with a causal mask. We differ from the paper:
- `norm="pre"` normalises what goes into a sub-layer instead of what comes out of the sum, with one more normalisation
  after the last block; it trains without warm-up at depth (Xiong et al. 2020). ViT has it so; the paper and BERT have
  "post".
- Query, key and value each get a Glorot draw of their own. torch.nn.MultiheadAttention draws the three as one matrix,
  which makes them smaller by a factor of sqrt(2).

Shapes: batch, time (positions), embed_dim. A mask is true where a token is real and false where it is padding.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence on itself (sec. 3.2); `causal` hides from each token those after it."""

    def __init__(self, embed_dim: int, num_heads: int, *, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        assert embed_dim % num_heads == 0, f"{num_heads} heads can not share {embed_dim} features"
        self.num_heads = num_heads
        self.dropout = dropout
        self.causal = causal
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)
        for weight in (*self.qkv.weight.chunk(3), self.out.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, tokens: Float[Tensor, "batch time embed_dim"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time embed_dim"]:
        query, key, value = self._heads(tokens)
        visible = None
        if mask is not None:
            visible = mask[:, None, None, :]  # [batch head query key]
            if self.causal:  # scaled_dot_product_attention takes a mask or `is_causal`, not both
                time = mask.shape[1]
                visible = visible & torch.ones(time, time, dtype=torch.bool, device=mask.device).tril()
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=visible,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal and visible is None,
        )
        out: Tensor = self.out(rearrange(mixed, "b h t d -> b t (h d)"))
        return out

    def weights(
        self, tokens: Float[Tensor, "batch time embed_dim"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch head query key"]:
        """softmax(Q K^T / sqrt(d)), by which `forward` mixes the values without holding them."""
        query, key, _ = self._heads(tokens)
        scores = query @ key.mT / math.sqrt(key.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -math.inf)
        if self.causal:
            time = tokens.shape[1]
            scores = scores.masked_fill(
                ~torch.ones(time, time, dtype=torch.bool, device=tokens.device).tril(), -math.inf
            )
        return scores.softmax(-1)

    def _heads(
        self, tokens: Float[Tensor, "batch time embed_dim"]
    ) -> tuple[
        Float[Tensor, "batch head time dim"], Float[Tensor, "batch head time dim"], Float[Tensor, "batch head time dim"]
    ]:
        """Query, key and value of each head."""
        heads = rearrange(self.qkv(tokens), "b t (three h d) -> three b h t d", three=3, h=self.num_heads)
        query, key, value = heads.unbind(0)
        return query, key, value


def attention_weights(network: nn.Module, *inputs: Tensor) -> Float[Tensor, "layer batch head query key"]:
    """How much each query attends to each key in every self-attention that `network(*inputs)` runs through, in order.

    Run in eval mode, without gradients. Rows of real tokens sum to 1, and padding gets none.
    """
    seen: list[Tensor] = []

    def keep(attention: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(attention, SelfAttention)
        seen.append(attention.weights(*given))

    handles = [part.register_forward_hook(keep) for part in network.modules() if isinstance(part, SelfAttention)]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(*inputs)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return torch.stack(seen)


class FeedForward(nn.Module):
    """The same two dense layers at every position (sec. 3.3)."""

    def __init__(self, embed_dim: int, mlp_dim: int, *, dropout: float, activation: Literal["relu", "gelu"]) -> None:
        super().__init__()
        self.inner = nn.Linear(embed_dim, mlp_dim)
        self.activation = nn.GELU() if activation == "gelu" else nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.outer = nn.Linear(mlp_dim, embed_dim)
        for linear in (self.inner, self.outer):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: Float[Tensor, "batch time embed_dim"]) -> Float[Tensor, "batch time embed_dim"]:
        out: Tensor = self.outer(self.dropout(self.activation(self.inner(tokens))))
        return out


class Block(nn.Module):
    """Attention, then the feed-forward layers, each with normalisation, dropout and a residual sum (fig. 1, left)."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mlp_dim: int,
        *,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        mlp_dropout: float = 0.0,
        norm: Literal["pre", "post"] = "post",
        activation: Literal["relu", "gelu"] = "relu",
        causal: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm = norm
        self.norm1 = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.attention = SelfAttention(embed_dim, num_heads, dropout=attention_dropout, causal=causal)
        self.norm2 = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.feed_forward = FeedForward(embed_dim, mlp_dim, dropout=mlp_dropout, activation=activation)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Float[Tensor, "batch time embed_dim"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time embed_dim"]:
        if self.norm == "pre":
            tokens = tokens + self.dropout(self.attention(self.norm1(tokens), mask))
            tokens = tokens + self.dropout(self.feed_forward(self.norm2(tokens)))
        else:
            tokens = self.norm1(tokens + self.dropout(self.attention(tokens, mask)))
            tokens = self.norm2(tokens + self.dropout(self.feed_forward(tokens)))
        return tokens


class Encoder(nn.Module):
    """A stack of blocks over embedded tokens; takes and gives [batch time embed_dim].

    With `causal` it is what papers call a decoder-only Transformer. `dropout` acts on each sub-layer's
    output (sec. 5.4); `attention_dropout` on the attention weights and `mlp_dropout` inside the feed-forward layers
    are others' additions.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        num_layers: int,
        num_heads: int,
        mlp_dim: int,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        mlp_dropout: float = 0.0,
        norm: Literal["pre", "post"] = "post",
        activation: Literal["relu", "gelu"] = "relu",
        causal: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_dim,
                dropout=dropout,
                attention_dropout=attention_dropout,
                mlp_dropout=mlp_dropout,
                norm=norm,
                activation=activation,
                causal=causal,
                norm_eps=norm_eps,
            )
            for _ in range(num_layers)
        )
        self.final_norm = nn.LayerNorm(embed_dim, eps=norm_eps) if norm == "pre" else nn.Identity()

    def forward(
        self, tokens: Float[Tensor, "batch time embed_dim"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time embed_dim"]:
        for block in self.blocks:
            tokens = block(tokens, mask)
        out: Tensor = self.final_norm(tokens)
        return out
