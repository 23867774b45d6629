"""Pictures of one run for MLflow's pages; the report draws its own."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure


def curves(file: Path, title: str, target: Path) -> None:
    """Losses and validation accuracy over steps, from a run's curves.csv, as PNG."""
    with open(file, newline="", encoding="utf8") as f:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(f)]
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(9, 3.5))
    loss, accuracy = figure.subplots(1, 2)
    for name in ("train_loss", "validation_loss"):
        loss.plot(steps, [row[name] for row in rows], label=name.replace("_", " "))
    loss.set(xlabel="step", ylabel="nats")
    loss.legend(frameon=False)
    accuracy.plot(steps, [row["validation_accuracy"] for row in rows])
    accuracy.set(xlabel="step", ylabel="validation accuracy")
    figure.suptitle(title)
    figure.savefig(target, dpi=100)


def confusion(counts: Mapping[str, Any], title: str, target: Path) -> None:
    """A confusion matrix (rows true, columns predicted) as PNG, shaded by share of the true class."""
    matrix, classes = np.array(counts["matrix"]), counts["classes"]
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6, 6))
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    # With many classes the numbers would be a blur.
    if len(classes) <= 20:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(target, dpi=100)
