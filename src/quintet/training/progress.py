"""How far a training is, for whoever watches."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

_SECONDS_BETWEEN_LINES = 15.0


class Progress(Callback):
    """One line that renews itself on a terminal; elsewhere a plain line every quarter of a minute."""

    def __init__(self, title: str, metric: str) -> None:
        self.title, self.metric = title, metric.replace("_", " ")
        self.terminal = sys.stderr.isatty()
        self.every = 0.2 if self.terminal else _SECONDS_BETWEEN_LINES
        self.started = self.shown_at = time.monotonic()
        self.started_from: float | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self.shown_at < self.every or not trainer.is_global_zero:
            return
        self.shown_at = now
        progress = float(pl_module.progress)  # type: ignore[arg-type]
        if self.started_from is None:
            # After a resume only what was done since says how fast it goes.
            self.started_from, self.started = progress, now
        done = progress - self.started_from
        left = f", {_clock((now - self.started) * (1 - progress) / done)} left" if done > 0 else ""
        score = trainer.callback_metrics.get("validation_score")
        so_far = f", validation {self.metric} {float(score):.4g}" if score is not None else ""
        self._show(f"{self.title}: {progress:4.0%}, epoch {trainer.current_epoch + 1}{so_far}{left}")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.terminal and trainer.is_global_zero:
            sys.stderr.write("\r\033[K")

    def _show(self, line: str) -> None:
        sys.stderr.write(f"\r\033[K{line}" if self.terminal else f"{line}\n")
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
