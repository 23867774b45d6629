"""Texts on their way into a network: rows of token ids, cut by the set's own tokenizer or by another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quintet.data.spec import DataSpec, Split
from quintet.data.split import drawn
from quintet.data.text.encode import EncodedTexts, encode
from quintet.data.text.store import TOKENIZER, Texts, load_texts
from quintet.data.text.tokenizer import load_tokenizer, special
from quintet.training.batches import Batch
from quintet.training.inputs import Inputs

# Tokens of a batch in prediction, padding included.
_PREDICTION_TOKENS = 16_384
# Pairs to pre-train on: documents that give fewer are cut again elsewhere. Of a few hundred pairs that stay the same a
# network learns by heart which follow each other, and nothing that holds for other documents.
_TRAINING_PAIRS = 20_000


@dataclass(frozen=True)
class TextSplit(Split):
    """Rows of token ids, and the texts they were cut from; an example may have several rows."""

    encoded: EncodedTexts
    texts: Texts


class TextInputs(Inputs):
    """Token ids int64 [row time], as long as the longest of a batch.

    `vocabulary` is a folder with the tokenizer to cut with, by default the prepared set's own.
    """

    def __init__(self, spec: DataSpec, prepared: Path | None, vocabulary: Path | None = None) -> None:
        super().__init__(spec, prepared)
        folder = vocabulary or prepared
        assert folder is not None, "texts need a folder with a tokenizer"
        self.tokenizer = load_tokenizer(folder)
        self.marks = special(self.tokenizer)
        self.length = spec.shape[0]
        self.shape = (self.length, self.tokenizer.get_vocab_size(), self.marks.pad, self.marks.separator)

    def load(self, split: str, labels: float = 1.0, seed: int = 0) -> TextSplit:
        assert self.prepared is not None
        texts = _some(load_texts(self.prepared, split), labels, seed)
        return self.encoded(texts, _TRAINING_PAIRS if split == "train" else 1)

    def encoded(self, texts: Texts, pairs: int = 1) -> TextSplit:
        """Rows of these texts; of prose at least so many `pairs`."""
        rows = encode(texts, self.tokenizer, self.length, self.spec.classes, pairs=pairs)
        return TextSplit(rows.ids, rows.inputs, rows.targets, rows, texts)

    def collate(self, split: Split, rows: NDArray[np.int64]) -> Batch:
        tokens, targets = split.inputs[rows], split.targets[rows]
        longest = int((tokens != self.marks.pad).sum(axis=1).max())
        if self.spec.target == "tags":
            targets = targets[:, :longest]
        return torch.from_numpy(tokens[:, :longest].astype(np.int64)), torch.from_numpy(targets)

    def network_input(self, inputs: Tensor) -> Tensor:
        return inputs

    def example(self, batch: int, device: torch.device) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        words = (self.marks.mask + 1, self.shape[1])
        tokens = torch.randint(*words, (batch, self.length), generator=generator)
        tokens[:, 0], tokens[:, -1] = self.marks.first, self.marks.separator
        return tokens.to(device)

    def kept(self) -> dict[str, str]:
        return {TOKENIZER: self.tokenizer.to_str()}

    def lengths(self, split: Split) -> NDArray[np.int64]:
        return np.asarray((split.inputs != self.marks.pad).sum(axis=1), np.int64)

    def batches(self, split: Split) -> Iterator[NDArray[np.int64]]:
        """Rows of like length together; they need not be in order."""
        lengths = self.lengths(split)
        order, start = np.argsort(-lengths, kind="stable"), 0
        while start < len(order):
            size = max(1, _PREDICTION_TOKENS // int(lengths[order[start]]))
            yield order[start : start + size]
            start += size


def _some(texts: Texts, labels: float, seed: int) -> Texts:
    """Some of the examples, of each class alike."""
    if labels == 1:
        return texts
    classes = texts["target"] if texts.target == "class" else [0] * len(texts)
    rows = drawn(texts.ids, classes, labels, seed).tolist()
    columns = {name: [values[row] for row in rows] for name, values in texts.columns.items()}
    return Texts([texts.ids[row] for row in rows], columns)
