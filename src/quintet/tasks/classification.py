"""Classification: one class per example, learnt by cross-entropy, ranked by accuracy."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_accuracy,
    multiclass_f1_score,
)

from quintet.data.spec import DataSpec, Split
from quintet.errors import UserError
from quintet.training.batches import Batch, Batches, step_seed
from quintet.training.images import augmentation, normalise
from quintet.training.optim import optimiser, rate
from quintet.training.settings import Training

# Losses are looked at on the device's side and fetched together: a fetch makes a GPU wait.
_FETCH_EVERY = {"cpu": 1}
_FETCH_EVERY_ELSEWHERE = 50
_PREDICTION_BATCH = 512


class Classification(pl.LightningModule):
    """Trains `network` (inputs to logits [batch class]) on a training split, watching a validation split.

    Validation runs whole on every process at the end of each epoch, so that no example is padded in
    or counted twice; it logs `validation_accuracy` and `validation_loss`. A loss that is not finite
    raises `UserError` with the step and the likely cause.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        spec: DataSpec,
        train: Split,
        validation: Split,
        training: Training,
        seed: int,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.name, self.network, self.spec, self.memory_format = name, network, spec, memory_format
        self.train_split, self.validation_split = train, validation
        self.training_settings, self.seed = training, seed
        self.augment = augmentation(training.augment)
        self._batches: Batches | None = None
        self._seconds_before = 0.0
        self._started: float | None = None
        self._ended: float | None = None
        self._losses: list[tuple[int, Tensor]] = []
        self._loss_sum, self._loss_count = 0.0, 0

    # -- the budget

    @property
    def seconds(self) -> float:
        """Seconds of training up to now, those before an interruption included."""
        if self._started is None:
            return self._seconds_before
        return self._seconds_before + (self._ended or time.monotonic()) - self._started

    @property
    def progress(self) -> float:
        """The share of the budget that is used, 0 to 1."""
        budget = self.training_settings.budget
        if budget.seconds:
            return min(1.0, self.seconds / budget.seconds)
        total = budget.steps or (budget.epochs or 0) * len(self.train_batches)
        # Half a step on, so that neither the first step nor the last has a rate of zero.
        return min(1.0, (self.trainer.global_step + 0.5) / total)

    @property
    def train_batches(self) -> Batches:
        """The training batches; there once training was set up."""
        assert self._batches is not None
        return self._batches

    # -- Lightning's hooks

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimiser(self.network, self.training_settings.optimiser)

    def train_dataloader(self) -> Batches:
        self._batches = Batches(
            self.train_split,
            self.training_settings.batch_size,
            self.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return self._batches

    def on_train_start(self) -> None:
        self._started = time.monotonic()

    def on_train_end(self) -> None:
        self._ended = time.monotonic()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(step_seed(self.seed, self.trainer.global_step, self.trainer.global_rank))
        lr = self.training_settings.optimiser.lr * rate(self.training_settings.schedule, self.progress)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = lr

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        inputs, targets = batch
        images = normalise(inputs, self.spec.mean, self.spec.std)
        if self.augment is not None:
            images = self.augment(images)
        images = images.contiguous(memory_format=self.memory_format)
        loss = F.cross_entropy(self.network(images), targets, label_smoothing=self.training_settings.label_smoothing)
        self._losses.append((self.trainer.global_step + 1, loss.detach()))
        if len(self._losses) >= _FETCH_EVERY.get(self.device.type, _FETCH_EVERY_ELSEWHERE):
            self.fetch_losses()
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        budget = self.training_settings.budget
        if budget.seconds and self.trainer.strategy.reduce_boolean_decision(self.seconds >= budget.seconds, all=False):
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        self.fetch_losses()
        self.network.eval()
        with self.trainer.precision_plugin.val_step_context():
            found = predict(self.network, self.validation_split, self.spec, self.device)
        self.network.train()
        self.log_dict(
            {
                "train_loss": self._mean_over_processes(self._loss_sum / max(1, self._loss_count)),
                "validation_loss": float(found.nll.mean()),
                "validation_accuracy": float(found.score.mean()),
                "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
                "seconds": self.seconds,
            },
            rank_zero_only=False,
        )
        self._loss_sum, self._loss_count = 0.0, 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.fetch_losses()
        checkpoint["quintet"] = {
            "seconds": self.seconds,
            "loss_sum": self._loss_sum,
            "loss_count": self._loss_count,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = checkpoint["quintet"]
        self._seconds_before = own["seconds"]
        self._loss_sum, self._loss_count = own["loss_sum"], own["loss_count"]

    # -- losses

    def fetch_losses(self) -> None:
        """Add the losses gathered on the device to the epoch's mean; raises `UserError` if one is not finite."""
        if not self._losses:
            return
        losses = torch.stack([loss for _, loss in self._losses]).float().tolist()
        steps = [step for step, _ in self._losses]
        self._losses.clear()
        for step, loss in zip(steps, losses, strict=True):
            if not math.isfinite(loss):
                raise self._not_finite(loss, step)
        self._loss_sum += sum(losses)
        self._loss_count += len(losses)

    def _mean_over_processes(self, value: float) -> float:
        return float(self.trainer.strategy.reduce(torch.tensor(value, device=self.device), reduce_op="mean"))

    def _not_finite(self, loss: float, step: int) -> UserError:
        optimiser = self.training_settings.optimiser
        # torch's max passes on what is not a number; Python's would drop it.
        largest = float(torch.stack([p.detach().abs().max() for p in self.network.parameters()]).max())
        where = f"experiment {self.name}, seed {self.seed}"
        what = f"the loss is {loss} at step {step} (epoch {self.trainer.current_epoch + 1})"
        if not math.isfinite(largest) or largest > 1e3:
            cause = f"weights have grown to {largest:.3g}, so the learning rate {optimiser.lr:g} is probably too high"
            return UserError(where, f"{what}; {cause}", "lower training.optimiser.lr or set training.gradient_clip")
        cause = f"the weights are sound (largest {largest:.3g}), so {self.trainer.precision} overflowed"
        return UserError(where, f"{what}; {cause}", "set trainer.precision to 32-true, or lower training.optimiser.lr")


@dataclass(frozen=True)
class Predictions:
    """What a network said of each example of a split; all arrays are [example].

    `score` is what the primary metric averages (1 if right), `confidence` the probability of the
    prediction, `nll` the negative log-likelihood of the target in nats.
    """

    ids: np.ndarray
    target: np.ndarray
    prediction: np.ndarray
    score: np.ndarray
    confidence: np.ndarray
    nll: np.ndarray

    @classmethod
    def of(cls, log_probabilities: Tensor, split: Split) -> Predictions:
        """From log-probabilities [example class], float, in the split's order."""
        target = torch.from_numpy(np.array(split.targets))
        confidence, prediction = log_probabilities.exp().max(1)
        return cls(
            ids=np.asarray(split.ids),
            target=target.numpy(),
            prediction=prediction.numpy(),
            score=(prediction == target).double().numpy(),
            confidence=confidence.double().numpy(),
            nll=-log_probabilities.gather(1, target[:, None])[:, 0].double().numpy(),
        )

    def table(self, seed: int) -> pa.Table:
        """One row per example, as run folders keep them."""
        return pa.table(
            {
                "seed": np.full(len(self.ids), seed, np.int64),
                "id": pa.array(self.ids.astype(str)),
                "target": self.target,
                "prediction": self.prediction,
                "score": self.score,
                "confidence": self.confidence,
                "nll": self.nll,
            }
        )

    def metrics(self, num_classes: int) -> dict[str, float]:
        """The task's metrics, by torchmetrics; calibration error in 15 bins of equal width (Guo et al. 2017)."""
        target, prediction = torch.from_numpy(self.target), torch.from_numpy(self.prediction)
        correct = torch.from_numpy(self.score).long()
        confidence = torch.from_numpy(self.confidence)
        return {
            "accuracy": float(multiclass_accuracy(prediction, target, num_classes, average="micro")),
            "macro_f1": float(multiclass_f1_score(prediction, target, num_classes, average="macro")),
            "nll": float(self.nll.mean()),
            "calibration_error": float(binary_calibration_error(confidence, correct, n_bins=15)),
        }


@torch.inference_mode()
def predict(network: nn.Module, split: Split, spec: DataSpec, device: torch.device) -> Predictions:
    """Run `network` (in eval mode, on `device`) over a split, batch by batch."""
    assert not network.training
    parts = []
    for start in range(0, len(split), _PREDICTION_BATCH):
        inputs = torch.from_numpy(np.array(split.inputs[start : start + _PREDICTION_BATCH])).to(device)
        logits = network(normalise(inputs, spec.mean, spec.std))
        parts.append(F.log_softmax(logits.float(), 1).cpu())
    return Predictions.of(torch.cat(parts), split)
