"""Pre-training without networks: always the most frequent token, always the more frequent kind of pair."""

from __future__ import annotations

import math

import numpy as np
import torch

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.objective import Predictions
from quintet.tasks.pretraining import Pretraining


def fit(name: str, objective: Pretraining, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["pretraining"], with the frequencies of the training texts as probabilities."""
    assert name == "most-frequent", name
    size, marks = objective.inputs.shape[1], objective.inputs.marks
    counts = np.bincount(train.inputs.ravel(), minlength=size).astype(float)
    counts[[marks.pad, marks.first, marks.separator]] = 0
    # One is added to each, so that a token that training lacks is improbable and not impossible (Laplace).
    log_share = np.log((counts + 1) / (counts + 1).sum())
    usual, follows = int(counts.argmax()), int(np.bincount(train.targets, minlength=2).argmax())
    share = float(np.mean(train.targets == follows))

    def predict(split: Split) -> Predictions:
        tokens = torch.from_numpy(split.inputs.astype(np.int64))
        _, chosen = objective.hide(tokens, torch.Generator().manual_seed(0))
        places = chosen.numpy()
        hits = ((split.inputs == usual) & places).sum(axis=1).astype(float)
        nll = -np.where(places, log_share[split.inputs], 0).sum(axis=1)
        right = (split.targets == follows).astype(float)
        follows_nll = -np.log(np.where(right > 0, share, max(1 - share, math.ulp(1.0))))
        return objective.predictions(split, hits, places.sum(axis=1).astype(float), nll, follows_nll, right)

    return Fitted("Most frequent token", predict, {}, size)
