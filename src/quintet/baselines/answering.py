"""Answering without networks: the words next to those that the question and the context share."""

from __future__ import annotations

import math
import re
from collections import Counter

from quintet.baselines import Fitted
from quintet.data.spec import Split
from quintet.tasks.answering import Answering
from quintet.tasks.objective import Predictions
from quintet.training.texts import TextSplit

_WORD = re.compile(r"\w+|[^\w\s]")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")
# How many words an answer may have; which is best is chosen on the validation split.
_LENGTHS = (1, 2, 3, 4)


def fit(name: str, objective: Answering, train: Split, validation: Split) -> Fitted:
    """The baseline `name` of TASKS["answering"].

    The sentence that shares the rarest words with the question is taken, the last of equals, and in it the words that
    the question lacks and that stand nearest to those it shares (a lexical-overlap picker, after the sliding window of
    Richardson, Burges, Renshaw 2013, MCTest, sec. 4). How rare a word is, training contexts say.
    """
    assert name == "word-overlap", name
    assert isinstance(train, TextSplit)
    contexts = set(train.texts["context"])
    seen = Counter(word for context in contexts for word in set(_words(context)))
    rarity = {word: math.log(len(contexts) / count) + 1e-3 for word, count in seen.items()}
    unseen = math.log(len(contexts)) + 1.0

    def answers(split: Split, length: int) -> Predictions:
        assert isinstance(split, TextSplit)
        said = [
            _answer(question, context, rarity, unseen, length)
            for question, context in zip(split.texts["question"], split.texts["context"], strict=True)
        ]
        return objective.predictions(said, split, math.nan)

    scores = {length: float(answers(validation, length).score.mean()) for length in _LENGTHS}
    best = max(scores, key=lambda length: (scores[length], -length))
    settings = {"words": best, "validation_answer_f1": scores[best]}
    return Fitted("Word overlap", lambda split: answers(split, best), settings, len(rarity))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _answer(question: str, context: str, rarity: dict[str, float], unseen: float, length: int) -> str:
    asked = set(_words(question))

    def shared(text: str) -> float:
        return sum(rarity.get(word, unseen) for word in set(_words(text)) & asked)

    sentences: list[str] = _SENTENCE.findall(context) or [context]
    _, _, chosen = max((shared(sentence), place, sentence) for place, sentence in enumerate(sentences))
    words = list(_WORD.finditer(chosen))
    known = [word[0].lower() in asked for word in words]
    places = [i for i, there in enumerate(known) if there]

    def nearness(start: int) -> tuple[int, float]:
        inside = range(start, start + length)
        fresh = sum(not known[i] and words[i][0].isalnum() for i in inside)
        gap = min((abs(i - place) for i in inside for place in places), default=0)
        return fresh, -gap

    if len(words) <= length:
        return chosen.strip()
    start = max(range(len(words) - length + 1), key=lambda i: (*nearness(i), -i))
    return chosen[words[start].start() : words[start + length - 1].end()]
