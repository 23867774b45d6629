"""What the stages need to know of a task, whatever it is."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import DataSpec, Split, load_spec
from quintet.evaluation.statistics import Measure
from quintet.tasks import TASKS
from quintet.training.inputs import inputs_of
from quintet.training.settings import Training


@dataclass(frozen=True)
class Predictions:
    """What a network said of each example of a split; all arrays are [example].

    `target` and `prediction` are in words. The primary metric is the sum of `score` over the sum of
    `weight`: right answers over examples, entities found over entities there. `right` says whether the
    whole answer was right. `loss` is what validation watches besides the primary metric; `more` has further
    numbers of each example, from which the other metrics come.
    """

    ids: NDArray[np.str_]
    target: NDArray[np.str_]
    prediction: NDArray[np.str_]
    score: NDArray[np.float64]
    weight: NDArray[np.float64]
    right: NDArray[np.bool_]
    loss: float
    more: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def table(self, seed: int) -> pa.Table:
        """One row per example, as run folders keep them."""
        return pa.table(
            {
                "seed": np.full(len(self), seed, np.int64),
                "id": pa.array(self.ids.astype(str)),
                "target": pa.array(self.target.astype(str)),
                "prediction": pa.array(self.prediction.astype(str)),
                "score": self.score,
                "weight": self.weight,
                "right": self.right,
                **self.more,
            }
        )


@dataclass(frozen=True)
class Said:
    """One answer of a network that reads texts: to which row, in words, and how probable the network takes it to be.

    `logit` picks what speaks for it, [row], from the output for a batch of such rows. `about` are the positions of the
    tokens that it speaks of, [CLS]'s where that is the whole text.
    """

    row: int
    answer: str
    truth: str
    right: bool
    confidence: float
    logit: Callable[[Any], Tensor]
    about: tuple[int, ...]


class Objective(ABC):
    """A task on one prepared data set.

    `prepared` is its folder; without one (in a notebook, in tests) splits are handed over by hand. `vocabulary` is a
    folder with the tokenizer to cut texts with, where it is not the data's own.
    """

    def __init__(self, spec: DataSpec, prepared: Path | None = None, vocabulary: Path | None = None) -> None:
        self.spec = spec
        self.inputs = inputs_of(spec, prepared, vocabulary)

    @abstractmethod
    def network(self, model: Mapping[str, Any]) -> nn.Module:
        """The untrained network of an experiment's `model` settings (family, name, settings)."""

    @abstractmethod
    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor, training: Training) -> Tensor:
        """The loss of one training batch; `inputs` as the network reads them, `targets` as collated."""

    @abstractmethod
    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Predictions:
        """Run `network` (in eval mode, on `device`) over a split."""

    def validate(self, network: nn.Module, split: Split, device: torch.device) -> Predictions:
        """What each epoch of a training is watched and chosen by, where `predict` would take too long."""
        return self.predict(network, split, device)

    @abstractmethod
    def measures(self, found: Predictions) -> dict[str, Measure]:
        """The task's metrics as functions of resampled examples."""

    def learnt_from(self, labels: float, seed: int) -> None:  # noqa: B027 (most objectives need not know)
        """Told before a network is trained or measured: the training examples it has, as `Inputs.load` draws them."""

    def ready(self) -> None:  # noqa: B027 (most objectives need nothing)
        """What takes a while before the first step and is no part of a network's training."""

    def look_with(self, inception: Path, where: str) -> None:  # noqa: B027 (most objectives make no images)
        """Measure made images with these weights of Inception v3 as well; `where` names the setting in errors."""

    def called(self, network: nn.Module) -> nn.Module:
        """`network` as it can be called with inputs alone, to measure its work and its speed."""
        return network

    def metrics(self, found: Predictions) -> dict[str, float]:
        """The task's metrics."""
        everyone = np.ones((1, len(found)))
        return {name: float(measure(everyone)[0]) for name, measure in self.measures(found).items()}

    def said(self, output: Any, split: Split, rows: NDArray[np.int64]) -> list[Said]:
        """The answers to these rows of texts in `output`, at most one a row; none for a task without any to explain."""
        return []

    def quotes(self, split: Split) -> dict[str, list[str]]:
        """What a report shows of each example of texts: its `id` and its `text`."""
        return {"id": [], "text": []}

    def write(self, folder: Path, found: Mapping[int, Predictions]) -> list[str]:
        """Write what else a report shows of these predictions, by seed; the names of the files."""
        return []

    def draw(self, network: nn.Module, split: Split, folder: Path, seed: int) -> list[str]:
        """Write pictures for which a network is asked more than its predictions; the names of the files."""
        return []

    @torch.inference_mode()
    def outputs(
        self, network: nn.Module, split: Split, device: torch.device
    ) -> Iterator[tuple[NDArray[np.int64], Any, Tensor]]:
        """Batch by batch: row numbers, what the network gave for them, and their collated targets."""
        assert not network.training
        for rows in self.inputs.batches(split):
            inputs, targets = self.inputs.collate(split, rows)
            yield rows, network(self.inputs.network_input(inputs.to(device))), targets


def load_objective(task: str, prepared: Path, vocabulary: Path | None = None) -> Objective:
    """The task called `task` in TASKS on the data prepared in a folder."""
    module, _, name = TASKS[task].path.partition(":")
    made: Objective = getattr(importlib.import_module(module), name)(load_spec(prepared), prepared, vocabulary)
    return made
