"""Classification: one class per example, learnt by cross-entropy, ranked by accuracy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import Split
from quintet.evaluation.statistics import Figure, Mean, Measure, calibration_error, macro_f1
from quintet.models.build import build_classifier
from quintet.tasks.objective import Objective, Predictions, Said
from quintet.training.settings import Training
from quintet.training.texts import TextSplit


class Classification(Objective):
    """Networks give logits [batch class]."""

    def network(self, model: Mapping[str, Any]) -> nn.Module:
        return build_classifier(model, self.inputs.kind, self.inputs.shape, len(self.spec.classes))

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor, training: Training) -> Tensor:
        return F.cross_entropy(network(inputs), targets, label_smoothing=training.label_smoothing)

    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Predictions:
        return self.predictions(self.log_probabilities(network, split, device), split)

    def log_probabilities(self, network: nn.Module, split: Split, device: torch.device) -> Tensor:
        """[example class], float, in the split's order; its targets do not matter."""
        log_probabilities = torch.empty(len(split), len(self.spec.classes))
        for rows, logits, _ in self.outputs(network, split, device):
            log_probabilities[torch.from_numpy(rows)] = F.log_softmax(logits.float(), 1).cpu()
        return log_probabilities

    def predictions(self, log_probabilities: Tensor, split: Split) -> Predictions:
        """From log-probabilities [example class], float, in the split's order."""
        target = torch.from_numpy(np.array(split.targets))
        confidence, prediction = log_probabilities.exp().max(1)
        nll = -log_probabilities.gather(1, target[:, None])[:, 0].double().numpy()
        classes = np.array(self.spec.classes)
        right = (prediction == target).numpy()
        return Predictions(
            ids=np.asarray(split.ids),
            target=classes[target],
            prediction=classes[prediction],
            score=right.astype(np.float64),
            weight=np.ones(len(split)),
            right=right,
            loss=float(nll.mean()),
            more={
                "actual": target.numpy(),
                "predicted": prediction.numpy(),
                "confidence": confidence.double().numpy(),
                "nll": nll,
            },
        )

    def said(self, output: Any, split: Split, rows: NDArray[np.int64]) -> list[Said]:
        confidence, predicted = output.float().softmax(1).max(1)
        classes, said = self.spec.classes, []
        for row, sure, number in zip(rows.tolist(), confidence.tolist(), predicted.tolist(), strict=True):
            actual = int(split.targets[row])
            said.append(
                Said(
                    row=row,
                    answer=classes[number],
                    truth=classes[actual],
                    right=number == actual,
                    confidence=sure,
                    logit=itemgetter((slice(None), number)),
                    about=(0,),
                )
            )
        return said

    def quotes(self, split: Split) -> dict[str, list[str]]:
        assert isinstance(split, TextSplit)
        return {"id": split.texts.ids, "text": split.texts["text"]}

    def measures(self, found: Predictions) -> dict[str, Measure]:
        actual, predicted = found.more["actual"], found.more["predicted"]
        confidence, classes = found.more["confidence"], len(self.spec.classes)
        return {
            "accuracy": Mean(found.score),
            "macro_f1": Figure(lambda weights: macro_f1(actual, predicted, classes, weights), (0.0, 1.0)),
            "nll": Mean(found.more["nll"]),
            "calibration_error": Figure(lambda weights: calibration_error(confidence, found.score, weights), (0, 1)),
        }

    def write(self, folder: Path, found: Mapping[int, Predictions]) -> list[str]:
        """`confusion.json`, counts over all seeds (rows are true classes), and its picture."""
        size = len(self.spec.classes)
        matrix = np.zeros((size, size), np.int64)
        for one in found.values():
            np.add.at(matrix, (one.more["actual"], one.more["predicted"]), 1)
        counts = {"classes": list(self.spec.classes), "matrix": matrix.tolist()}
        (folder / "confusion.json").write_text(json.dumps(counts), encoding="utf8")
        _draw(matrix, self.spec.classes, folder / "confusion.png")
        return ["confusion.json", "confusion.png"]


def _draw(matrix: np.ndarray, classes: tuple[str, ...], target: Path) -> None:
    """A confusion matrix (rows true, columns predicted) as PNG, shaded by share of the true class."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # Only evaluation draws.
    from matplotlib.figure import Figure as Picture

    figure = Picture(figsize=(6, 6))
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set(title="all seeds, test split", xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    # With many classes the numbers would be a blur.
    if len(classes) <= 20:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(target, dpi=100)
