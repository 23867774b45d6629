"""Pictures of one run for MLflow's pages; the report draws its own."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure


def curves(file: Path, title: str, metric: str, target: Path) -> None:
    """Losses and the validation metric over steps, from a run's curves.csv, as PNG."""
    with open(file, newline="", encoding="utf8") as f:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(f)]
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(9, 3.5))
    loss, score = figure.subplots(1, 2)
    for name in ("train_loss", "validation_loss"):
        loss.plot(steps, [row[name] for row in rows], label=name.replace("_", " "))
    loss.set(xlabel="step", ylabel="loss")
    loss.legend(frameon=False)
    score.plot(steps, [row["validation_score"] for row in rows])
    score.set(xlabel="step", ylabel=f"validation {metric.replace('_', ' ')}")
    figure.suptitle(title)
    figure.savefig(target, dpi=100)
