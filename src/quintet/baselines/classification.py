"""Classification without networks: the most frequent class, and logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.classification import Classification
from quintet.tasks.objective import Predictions

# Inverse strengths of L2 regularisation that logistic regression chooses from, on the validation split.
_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_ITERATIONS = 200


def fit(name: str, objective: Classification, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["classification"]."""
    if name == "most-frequent":
        dummy = DummyClassifier(strategy="prior").fit(_flat(train), train.targets)
        return _fitted("Most frequent class", objective, dummy, {}, len(dummy.classes_))
    assert name == "logistic-regression", name
    best: tuple[float, Any, float] | None = None
    for strength in _STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3))
        model.fit(_flat(train), train.targets)
        accuracy = float(model.score(_flat(validation), validation.targets))
        if best is None or accuracy > best[0]:
            best = accuracy, model, strength
    assert best is not None
    accuracy, model, strength = best
    parameters = int(model[-1].coef_.size + model[-1].intercept_.size)
    chosen = {"C": strength, "validation_accuracy": accuracy}
    return _fitted("Logistic regression", objective, model, chosen, parameters)


def _fitted(title: str, objective: Classification, model: Any, settings: dict[str, Any], parameters: int) -> Fitted:
    def predict(split: Split) -> Predictions:
        log_probabilities = _log_probabilities(model, _flat(split), len(objective.spec.classes))
        return objective.predictions(torch.from_numpy(log_probabilities), split)

    return Fitted(title, predict, settings, parameters)


def _flat(split: Split) -> np.ndarray:
    return np.asarray(split.inputs, np.float32).reshape(len(split), -1) / 255


def _log_probabilities(model: Any, features: Any, num_classes: int) -> np.ndarray:
    """[example class]; a class that training lacked gets what is left over: next to nothing."""
    tiny = np.finfo(np.float64).tiny
    probabilities = np.full((features.shape[0], num_classes), tiny)
    probabilities[:, model.classes_] = np.maximum(model.predict_proba(features), tiny)
    return np.asarray(np.log(probabilities))
