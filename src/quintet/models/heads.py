"""Heads: from an encoder's features to a task's output. Every head goes with every encoder of its kind of data."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn


def linear_from_zero(in_features: int, out_features: int) -> nn.Linear:
    """A head's last layer, which starts at zero, as in ViT's code.

    At first every answer is then equally likely, whatever the scale of the encoder's features. AlexNet and VGG,
    whose features are large where nothing normalises them, learn much sooner for it.
    """
    layer = nn.Linear(in_features, out_features)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Classifier(nn.Module):
    """An encoder and one linear layer on its pooled features: the last layer of every classifier here."""

    def __init__(self, encoder: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = linear_from_zero(encoder.pooled_dim, num_classes)  # type: ignore[arg-type]

    def forward(self, inputs: Shaped[Tensor, "batch ..."]) -> Float[Tensor, "batch num_classes"]:
        logits: Tensor = self.head(self.encoder(inputs).pooled)
        return logits


class Tagger(nn.Module):
    """An encoder of text and one linear layer on each token's features (BERT, sec. 5.3, without a CRF)."""

    def __init__(self, encoder: nn.Module, num_tags: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = linear_from_zero(encoder.position_dim, num_tags)  # type: ignore[arg-type]

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time num_tags"]:
        logits: Tensor = self.head(self.encoder(tokens).positions)
        return logits


class Span(NamedTuple):
    """How likely a span starts and ends at each token, as logits; padding has minus infinity."""

    start: Float[Tensor, "batch time"]
    end: Float[Tensor, "batch time"]


class SpanPicker(nn.Module):
    """An encoder of text and, for an answer's first and last token, a product with each token's features.

    As BERT's for SQuAD (sec. 4.2); the paper's code adds a bias, which changes nothing.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = linear_from_zero(encoder.position_dim, 2)  # type: ignore[arg-type]

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Span:
        padding = tokens == self.encoder.pad
        start, end = self.head(self.encoder(tokens).positions).unbind(-1)
        return Span(start.masked_fill(padding, -math.inf), end.masked_fill(padding, -math.inf))


class MaskedWords(nn.Module):
    """Which tokens stood where they were hidden: a dense layer with GELU and normalisation, then the token vectors.

    As in BERT's code (`google-research/bert:run_pretraining.py`, get_masked_lm_output): the last layer is the embedding
    of tokens, plus a bias of its own. Its weight is given at each call and not kept here, so that a network has one
    tensor of it, which is saved once.
    """

    def __init__(self, position_dim: int, embedding: nn.Embedding) -> None:
        super().__init__()
        self.dense = nn.Linear(position_dim, embedding.embedding_dim)
        self.norm = nn.LayerNorm(embedding.embedding_dim, eps=1e-12)
        self.bias = nn.Parameter(embedding.weight.new_zeros(embedding.num_embeddings))
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(
        self, features: Float[Tensor, "hidden position_dim"], token_vectors: Float[Tensor, "vocabulary embed_dim"]
    ) -> Float[Tensor, "hidden vocabulary"]:
        return F.linear(self.norm(F.gelu(self.dense(features))), token_vectors, self.bias)


class PreTrained(NamedTuple):
    """Logits of the tokens at the hidden places, in the order of reading, and of whether b follows a (two classes)."""

    words: Float[Tensor, "hidden vocabulary"]
    next_sentence: Float[Tensor, "batch 2"]


class PreTraining(nn.Module):
    """An encoder of text with BERT's two heads (sec. 3.1): the masked language model and next-sentence prediction.

    Logits are for the places in `hidden` alone: the product with all the vocabulary is most of a small BERT's work.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.words = MaskedWords(encoder.position_dim, encoder.token_embedding)  # type: ignore[arg-type]
        self.next_sentence = linear_from_zero(encoder.pooled_dim, 2)  # type: ignore[arg-type]

    def forward(self, tokens: Int[Tensor, "batch time"], hidden: Bool[Tensor, "batch time"]) -> PreTrained:
        pooled, positions = self.encoder(tokens)
        words = self.words(positions[hidden], self.encoder.token_embedding.weight)  # type: ignore[union-attr]
        return PreTrained(words, self.next_sentence(pooled))
