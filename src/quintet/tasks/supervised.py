"""One network trained by one loss: the LightningModule of every task that has examples with answers."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from quintet.data.spec import Split
from quintet.errors import UserError
from quintet.tasks.objective import Objective, Predictions
from quintet.training.batches import Batch, Batches, seed_generators, step_seed
from quintet.training.optim import optimiser, rate
from quintet.training.settings import Training
from quintet.training.sharding import local, shard

# Losses are looked at on the device's side and fetched together: a fetch makes a GPU wait.
_FETCH_EVERY = {"cpu": 1}
_FETCH_EVERY_ELSEWHERE = 50


class Supervised(pl.LightningModule):
    """Trains `network` for an objective on a training split, watching a validation split.

    Validation runs whole on every process at the end of each epoch, so that no example is padded in
    or counted twice; it logs `validation_loss` and `validation_score`, the objective's primary metric. A
    loss that is not finite raises `UserError` with the step and the likely cause.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        objective: Objective,
        train: Split,
        validation: Split,
        training: Training,
        seed: int,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.name, self.network, self.objective, self.memory_format = name, network, objective, memory_format
        self.train_split, self.validation_split = train, validation
        self.training_settings, self.seed = training, seed
        self.augment = objective.inputs.augmentation(training.augment)
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
        total = budget.steps or (budget.epochs or 0) * len(self.train_batches) // self.training_settings.accumulate
        # Half a step on, so that neither the first step nor the last has a rate of zero.
        return min(1.0, (self.trainer.global_step + 0.5) / total)

    @property
    def train_batches(self) -> Batches:
        """The training batches; there once training was set up."""
        assert self._batches is not None
        return self._batches

    # -- Lightning's hooks

    def configure_model(self) -> None:
        """Lightning calls it on every process; there is a mesh of them where weights are shared out."""
        if self.device_mesh is not None:
            shard(self.network, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimiser(self.network, self.training_settings.optimiser)

    def train_dataloader(self) -> Batches:
        inputs, split = self.objective.inputs, self.train_split
        self._batches = Batches(
            len(split),
            lambda rows: inputs.collate(split, rows),
            self.training_settings.batch_size,
            self.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            parts=self.training_settings.accumulate,
            lengths=inputs.lengths(split),
        )
        return self._batches

    def on_fit_start(self) -> None:
        # Where algorithms are to be deterministic, torch fills all new memory with NaN besides, which costs up to a
        # tenth of a step and changes nothing for operations that write before they read.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        # Lightning has torch look for GPUs through their driver's library, so that processes can still be forked. An
        # optimiser looks in every step, for 0.06 ms. All processes are there now.
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

    def on_train_start(self) -> None:
        self.objective.ready()
        self._started = time.monotonic()

    def on_train_end(self) -> None:
        self._ended = time.monotonic()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        parts = self.training_settings.accumulate
        part = self.trainer.global_step * parts + batch_idx % parts
        seed_generators(step_seed(self.seed, part, self.trainer.global_rank), self.device)
        lr = self.training_settings.optimiser.lr * rate(self.training_settings.schedule, self.progress)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = lr

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        stored, targets = batch
        inputs = self.objective.inputs.network_input(stored)
        if self.augment is not None:
            inputs = self.augment(inputs)
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self.memory_format)
        loss = self.objective.loss(self.network, inputs, targets, self.training_settings)
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
            found = self.objective.validate(self.network, self.validation_split, self.device)
        self.network.train()
        self.watched(found)
        self.log_dict(
            {
                "train_loss": self._mean_over_processes(self._loss_sum / max(1, self._loss_count)),
                "validation_loss": found.loss,
                "validation_score": float(found.score.sum() / found.weight.sum()),
                "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
                "seconds": self.seconds,
            },
            rank_zero_only=False,
        )
        self._loss_sum, self._loss_count = 0.0, 0

    def watched(self, found: Predictions) -> None:
        """What else is to be learnt from a validation; nothing here."""

    def write(self, folder: Path) -> list[str]:
        """Write what else a training leaves for a reader; the names of the files."""
        return []

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
        shares = [local(p.detach()) for p in self.network.parameters()]
        # torch's max passes on what is not a number; Python's would drop it.
        largest = float(torch.stack([share.abs().max() for share in shares if share.numel()]).max())
        where = f"experiment {self.name}, seed {self.seed}"
        what = f"the loss is {loss} at step {step} (epoch {self.trainer.current_epoch + 1})"
        if not math.isfinite(largest) or largest > 1e3:
            cause = f"weights have grown to {largest:.3g}, so the learning rate {optimiser.lr:g} is probably too high"
            return UserError(where, f"{what}; {cause}", "lower training.optimiser.lr or set training.gradient_clip")
        cause = f"the weights are sound (largest {largest:.3g}), so {self.trainer.precision} overflowed"
        return UserError(where, f"{what}; {cause}", "set trainer.precision to 32-true, or lower training.optimiser.lr")
