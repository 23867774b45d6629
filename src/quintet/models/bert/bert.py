"""BERT. Devlin, Chang, Lee, Toutanova 2019, BERT: Pre-training of Deep Bidirectional Transformers, sec. 3 and A.2.

BERT is the Transformer encoder of `transformer/encoder.py` (normalisation after each sum, GELU) over tokens, positions
and segments, which are summed and normalised (fig. 2). The defaults are BERT-base. Compared against
transformers.BertModel: same weights, same output, with padding and two segments. Weights are drawn as in the paper's
code (`google-research/bert:modeling.py`): normal, with deviation `initializer_range`, cut at two deviations. A narrow
BERT learns sooner with a larger one: at width 64 what a sub-layer adds is next to nothing at first with 0.02.
We differ:
- The dropout that the paper's code has between the pooled features and a classifier is part of the encoder, so
  next-sentence prediction has it as well.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor, nn

from quintet.models.bert.fits import bert_fits
from quintet.models.bounds import PositiveFloat, PositiveInt, Probability
from quintet.models.layers.encoded import Encoded
from quintet.models.layers.words import TextShape, segments
from quintet.models.transformer.encoder import Encoder


class BERT(nn.Module):
    """Positions are the last block's features; pooled is a dense layer with tanh over those of [CLS]."""

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        *,
        embed_dim: PositiveInt = 768,
        num_layers: PositiveInt = 12,
        num_heads: PositiveInt = 12,
        mlp_ratio: PositiveFloat = 4.0,
        dropout: Probability = 0.1,
        attention_dropout: Probability = 0.1,
        initializer_range: PositiveFloat = 0.02,
    ) -> None:
        super().__init__()
        problem = bert_fits({"embed_dim": embed_dim, "num_heads": num_heads}, shape)
        if problem:
            raise ValueError(problem)
        text = TextShape(*shape)
        self.pad, self.separator = text.pad, text.separator
        self.token_embedding = nn.Embedding(text.vocabulary, embed_dim)
        self.position_embedding = nn.Embedding(text.time, embed_dim)
        self.segment_embedding = nn.Embedding(2, embed_dim)
        self.norm = nn.LayerNorm(embed_dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(
            embed_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            mlp_dim=round(embed_dim * mlp_ratio),
            dropout=dropout,
            attention_dropout=attention_dropout,
            norm="post",
            activation="gelu",
            norm_eps=1e-12,
        )
        self.pooler = nn.Linear(embed_dim, embed_dim)
        self.pooled_dim = self.position_dim = embed_dim
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                most = 2 * initializer_range
                nn.init.trunc_normal_(module.weight, std=initializer_range, a=-most, b=most)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Encoded:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        summed = (
            self.token_embedding(tokens)
            + self.position_embedding(places)
            + self.segment_embedding(segments(tokens, self.separator))
        )
        positions = self.encoder(self.dropout(self.norm(summed)), tokens != self.pad)
        return Encoded(self.dropout(torch.tanh(self.pooler(positions[:, 0]))), positions)
