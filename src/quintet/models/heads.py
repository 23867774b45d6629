"""Heads: from an encoder's features to a task's output."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Classifier(nn.Module):
    """An encoder and one linear layer on its pooled features: the last layer of every classifier here.

    The layer starts at zero, as in ViT's code: at first every class is equally likely and the loss is log(num_classes),
    whatever the scale of the encoder's features. AlexNet and VGG, whose features are large where nothing normalises
    them, learn much sooner for it.
    """

    def __init__(self, encoder: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.pooled_dim, num_classes)  # type: ignore[arg-type]
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch num_classes"]:
        logits: Tensor = self.head(self.encoder(inputs).pooled)
        return logits
