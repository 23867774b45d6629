"""From prepared data to what a network reads, for each kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import DataSpec, Split, load_split
from quintet.data.split import drawn, thin
from quintet.errors import UserError
from quintet.training.batches import Batch
from quintet.training.images import network_input, normalise
from quintet.training.settings import Augment

_PREDICTION_BATCH = 512
# Made images are compared with so many real ones at most: distances are between all pairs.
_MOST = 2_000


class Inputs(ABC):
    """One data set's examples on their way into a network.

    `kind` and `shape` are what `models.build` takes; rows are what is batched: examples, or windows of them.
    """

    def __init__(self, spec: DataSpec, prepared: Path | None) -> None:
        self.spec, self.prepared = spec, prepared
        self.kind, self.shape = spec.kind, spec.shape

    @abstractmethod
    def load(self, split: str, labels: float = 1.0, seed: int = 0) -> Split:
        """A split's rows, or those of some of its examples that `seed` draws (`data.split.drawn`).

        Only evaluation may ask for 'test'.
        """

    def labelled(self, labels: float, where: str) -> int:
        """How many training examples `load` draws; raises `UserError` at `where` if there are not as many."""
        counts = [count for count in self.spec.class_counts.get("train") or [self.spec.counts["train"]] if count]
        if labels <= 1:
            return sum(max(1, round(labels * count)) for count in counts)
        if labels < len(counts):
            what = f"is {labels}, and '{self.spec.name}' has {len(counts)} classes, each of which needs an example"
            raise UserError(where, what, f"take {len(counts)} at least")
        if labels > sum(counts):
            what = f"is {labels}, and '{self.spec.name}' has {sum(counts)} training examples"
            raise UserError(where, what, "take 1.0 for all of them")
        return int(labels)

    @abstractmethod
    def collate(self, split: Split, rows: NDArray[np.int64]) -> Batch:
        """Inputs and targets of some rows, as stored."""

    @abstractmethod
    def network_input(self, inputs: Tensor) -> Tensor:
        """Collated inputs as the network reads them."""

    @abstractmethod
    def example(self, batch: int, device: torch.device) -> Tensor:
        """Made-up network input of the largest size, for measuring time and work."""

    def lengths(self, split: Split) -> NDArray[np.int64] | None:
        """How long each row is; None where all are alike."""
        return None

    def kept(self) -> dict[str, str]:
        """Files, with their text, that a trained network needs to read new examples."""
        return {}

    def augmentation(self, settings: Augment) -> nn.Module | None:
        """What changes the network's input in training; None for nothing."""
        return None

    def batches(self, split: Split) -> Iterator[NDArray[np.int64]]:
        """All row numbers, in batches that suit prediction."""
        for start in range(0, len(split), _PREDICTION_BATCH):
            yield np.arange(start, min(start + _PREDICTION_BATCH, len(split)))


class Images(Inputs):
    """Images, uint8 [row channel height width] as stored, normalised by the training split's statistics."""

    def load(self, split: str, labels: float = 1.0, seed: int = 0) -> Split:
        assert self.prepared is not None
        whole = load_split(self.prepared, split)
        if labels == 1:
            return whole
        rows = drawn(whole.ids.tolist(), whole.targets, labels, seed)
        return Split(whole.ids[rows], whole.inputs[rows], whole.targets[rows])

    def collate(self, split: Split, rows: NDArray[np.int64]) -> Batch:
        return torch.from_numpy(split.inputs[rows]), torch.from_numpy(split.targets[rows])

    def network_input(self, inputs: Tensor) -> Tensor:
        return normalise(inputs, self.spec.mean, self.spec.std)

    def example(self, batch: int, device: torch.device) -> Tensor:
        return network_input(self.spec, batch, device)

    def augmentation(self, settings: Augment) -> nn.Module | None:
        if not any(settings.model_dump().values()):
            return None
        from quintet.training.augmentation import augmentation

        return augmentation(settings)


class BlackToWhite(Images):
    """Images from -1 to 1, as generators make them; of a large validation or test split a fixed part."""

    def load(self, split: str, labels: float = 1.0, seed: int = 0) -> Split:
        whole = super().load(split, labels, seed)
        if split == "train" or len(whole) <= _MOST:
            return whole
        rows = thin(whole.ids.tolist(), [(int(c), False) for c in whole.targets], _MOST / len(whole), 1, 0)
        return Split(whole.ids[rows], whole.inputs[rows], whole.targets[rows])

    def network_input(self, inputs: Tensor) -> Tensor:
        return inputs.float() / 127.5 - 1

    def example(self, batch: int, device: torch.device) -> Tensor:
        return torch.zeros(batch, *self.shape, device=device)


def inputs_of(spec: DataSpec, prepared: Path | None, vocabulary: Path | None = None) -> Inputs:
    """The inputs of a data set's kind; `vocabulary` is a folder with a tokenizer, for texts."""
    if spec.kind == "text":
        # Imported when there are texts: the tokenizers take a while to load.
        from quintet.training.texts import TextInputs

        return TextInputs(spec, prepared, vocabulary)
    assert spec.kind == "image", spec.kind
    return Images(spec, prepared)
