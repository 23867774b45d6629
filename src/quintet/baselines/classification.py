"""Classification without networks: the most frequent class, and logistic regression on pixels or words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.classification import Classification
from quintet.tasks.objective import Predictions
from quintet.training.texts import TextSplit

_ITERATIONS = 200
_TITLES = {"logistic-regression": "Logistic regression", "tf-idf": "TF-IDF + logistic regression"}
# Inverse strengths of L2 regularisation that logistic regression chooses from, on the validation split.
_STRENGTHS = {"logistic-regression": (0.001, 0.01, 0.1, 1.0), "tf-idf": (0.3, 1.0, 3.0, 10.0, 30.0)}


def fit(name: str, objective: Classification, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["classification"]."""
    if name == "most-frequent":
        dummy = DummyClassifier(strategy="prior").fit(_features(train), train.targets)
        return _fitted("Most frequent class", objective, dummy, {}, len(dummy.classes_))
    if name == "word-vectors":
        return _word_vectors(objective, train, validation)
    best: tuple[float, Any, float] | None = None
    features = StandardScaler() if name == "logistic-regression" else _tf_idf()
    seen = features.fit_transform(_features(train)), features.transform(_features(validation))
    for strength in _STRENGTHS[name]:
        model = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3).fit(seen[0], train.targets)
        accuracy = float(model.score(seen[1], validation.targets))
        if best is None or accuracy > best[0]:
            best = accuracy, model, strength
    assert best is not None
    accuracy, model, strength = best
    parameters = int(model.coef_.size + model.intercept_.size)
    chosen = {"C": strength, "validation_accuracy": accuracy}
    return _fitted(_TITLES[name], objective, Pipeline([("features", features), ("model", model)]), chosen, parameters)


def _tf_idf() -> Any:
    # Imported for texts alone.
    from quintet.baselines.texts import tf_idf

    return tf_idf()


def _word_vectors(objective: Classification, train: Split, validation: Split) -> Fitted:
    from quintet.baselines.texts import BagOfWordVectors

    _, vocabulary, pad, _ = objective.inputs.shape
    bag = BagOfWordVectors(train, validation, vocabulary, pad, len(objective.spec.classes))

    def predict(split: Split) -> Predictions:
        return objective.predictions(torch.from_numpy(bag.log_probabilities(split)), split)

    settings = {"epoch": bag.epoch, "validation_accuracy": bag.accuracy}
    return Fitted("Bag of word vectors", predict, settings, bag.parameters)


def _fitted(title: str, objective: Classification, model: Any, settings: dict[str, Any], parameters: int) -> Fitted:
    def predict(split: Split) -> Predictions:
        log_probabilities = _log_probabilities(model, _features(split), len(objective.spec.classes))
        return objective.predictions(torch.from_numpy(log_probabilities), split)

    return Fitted(title, predict, settings, parameters)


def _features(split: Split) -> Any:
    """Texts as they are, images as rows of pixels from 0 to 1."""
    if isinstance(split, TextSplit):
        return split.texts["text"]
    return np.asarray(split.inputs, np.float32).reshape(len(split), -1) / 255


def _log_probabilities(model: Any, features: Any, num_classes: int) -> np.ndarray:
    """[example class]; a class that training lacked gets what is left over: next to nothing."""
    tiny = np.finfo(np.float64).tiny
    probabilities = np.full((len(features), num_classes), tiny)
    probabilities[:, model.classes_] = np.maximum(model.predict_proba(features), tiny)
    return np.asarray(np.log(probabilities))
