"""What a training keeps on disk: its best weights, and a point to go on from after a kill."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from quintet.training.sharding import whole_weights
from quintet.training.weights import save_weights

# How much work a kill may cost. Read from the environment, since it does not determine the result.
SECONDS_BETWEEN = float(os.environ.get("QUINTET_CHECKPOINT_SECONDS", "30"))


class BestWeights(Checkpoint):
    """Keeps the weights of the epoch with the best validation score; of equals, the one with the lower loss.

    Accuracy on a small validation split takes few values, and the first epoch to reach the highest is
    seldom the best of those that do.
    """

    def __init__(self, file: Path, higher_is_better: bool) -> None:
        self.file, self.sign = file, 1 if higher_is_better else -1
        self.best: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = float(trainer.callback_metrics["validation_score"])
        loss = float(trainer.callback_metrics["validation_loss"])
        if not self.best or (self.sign * value, -loss) > (self.sign * self.best["value"], -self.best["loss"]):
            self.best = {"value": value, "loss": loss, "step": trainer.global_step, "epoch": trainer.current_epoch + 1}
            # All processes find the same, and so gather together.
            weights = whole_weights(pl_module.network)  # type: ignore[arg-type]
            if trainer.is_global_zero:
                save_weights(weights, self.file)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]


class ResumePoint(Checkpoint):
    """Writes `file` every so many seconds, and at once when the process is told to end.

    It writes between two batches of an epoch, from where Lightning goes on exactly. At an epoch's edge
    it does not (2.6.6 loses the epoch's metrics, or most of the next epoch's batches), so there the
    next batch is waited for. The file is replaced as a whole: a kill while writing leaves the one before.
    """

    def __init__(self, file: Path, seconds_between: float = SECONDS_BETWEEN) -> None:
        self.file, self.seconds_between = file, seconds_between
        self.written_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # A budget of steps can end inside an epoch: what comes then is that epoch's edge.
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if whole and not trainer.is_last_batch and trainer.global_step != trainer.max_steps:
            self._write_if_due(trainer)

    def _write_if_due(self, trainer: pl.Trainer) -> None:
        due = trainer.received_sigterm or time.monotonic() - self.written_at >= self.seconds_between
        # All processes must write together; the first one's clock decides.
        if trainer.world_size > 1:
            due = trainer.strategy.broadcast(due)
        if due:
            partial = self.file.with_suffix(".partial")
            trainer.save_checkpoint(partial, weights_only=False)
            if trainer.is_global_zero:
                os.replace(partial, self.file)
            self.written_at = time.monotonic()
