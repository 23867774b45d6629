"""Heads: from an encoder's features to a task's output."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Classifier(nn.Module):
    """An encoder and one linear layer on its pooled features: the last layer of every classifier here."""

    def __init__(self, encoder: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.pooled_dim, num_classes)  # type: ignore[arg-type]

    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch num_classes"]:
        logits: Tensor = self.head(self.encoder(inputs).pooled)
        return logits
