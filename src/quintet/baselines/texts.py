"""Texts without order: counts of words, and bags of word vectors."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor, nn

from quintet.data.spec import Split

# Single characters count as words too, so that "I" and "!" are seen.
_WORD = r"(?u)\w+|[^\w\s]"
_DIMENSIONS, _EPOCHS, _BATCH, _RATE = 100, 20, 64, 0.003


def tf_idf() -> TfidfVectorizer:
    """Words and pairs of words, weighted by their rarity (Spärck Jones 1972), counts damped."""
    return TfidfVectorizer(token_pattern=_WORD, ngram_range=(1, 2), sublinear_tf=True)


class BagOfWordVectors:
    """Softmax of a linear map of the mean of a text's word vectors, vectors and map learnt together.

    The model of Joulin, Grave, Bojanowski, Mikolov 2017, Bag of Tricks for Efficient Text Classification, sec. 2,
    over the data's own tokens. The epoch with the fewest mistakes on validation is kept; `epoch` counts from 1.
    """

    def __init__(self, train: Split, validation: Split, vocabulary: int, pad: int, classes: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.vectors = nn.EmbeddingBag(vocabulary, _DIMENSIONS, mode="mean", padding_idx=pad)
        self.linear = nn.Linear(_DIMENSIONS, classes)
        with torch.no_grad():
            self.vectors.weight.normal_(0, 0.1, generator=generator)
            self.linear.weight.zero_()
            self.linear.bias.zero_()
        tokens, targets = torch.from_numpy(train.inputs), torch.from_numpy(train.targets)
        adam = torch.optim.Adam([*self.vectors.parameters(), *self.linear.parameters()], lr=_RATE)
        self.accuracy, self.epoch = -math.inf, 0
        for epoch in range(1, _EPOCHS + 1):
            for rows in torch.split(torch.randperm(len(tokens), generator=generator), _BATCH):
                adam.zero_grad()
                F.cross_entropy(self._logits(tokens[rows]), targets[rows]).backward()  # type: ignore[no-untyped-call]
                adam.step()
            accuracy = float((self.log_probabilities(validation).argmax(1) == validation.targets).mean())
            if accuracy > self.accuracy:
                self.accuracy, self.epoch = accuracy, epoch
                best = [p.detach().clone() for p in adam.param_groups[0]["params"]]
        for parameter, value in zip(adam.param_groups[0]["params"], best, strict=True):
            parameter.data = value

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return self.vectors.weight.numel() + self.linear.weight.numel() + self.linear.bias.numel()

    def log_probabilities(self, split: Split) -> NDArray[np.float32]:
        """[row class]."""
        with torch.inference_mode():
            return np.asarray(F.log_softmax(self._logits(torch.from_numpy(split.inputs)), 1).numpy())

    def _logits(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.vectors(tokens))
        return logits
