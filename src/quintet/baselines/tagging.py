"""Tagging without networks: each word's most frequent tag."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.objective import Predictions
from quintet.tasks.tagging import Tagging
from quintet.training.texts import TextSplit


def fit(name: str, objective: Tagging, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["tagging"]; a word that training lacks is no entity."""
    assert name == "most-frequent-tag", name
    assert isinstance(train, TextSplit)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for words, tags in zip(train.texts["words"], train.texts["tags"], strict=True):
        for word, tag in zip(words, tags, strict=True):
            counts[word][tag] += 1
    # Of equally frequent tags the first by name, so that the order of sentences does not matter.
    usual = {word: min((-count, tag) for tag, count in seen.items())[1] for word, seen in counts.items()}

    def predict(split: Split) -> Predictions:
        assert isinstance(split, TextSplit)
        tags = [[usual.get(word, "O") for word in words] for words in split.texts["words"]]
        return objective.predictions(tags, split, math.nan)

    return Fitted("Most frequent tag of each word", predict, {}, len(usual))
