"""Generated reviews, for or against, whose words alone do not tell: negation and contrast turn them.

A review has one to three clauses. A clause says something good or bad of an aspect, plainly ("the plot is dull"),
negated ("nobody could call the plot dull") or negated twice ("nobody could deny that the plot is dull"). In a
contrast one side counts ("the plot is dull , but the acting is superb" is for, "although the acting is superb , the
plot is dull" is against). Good and bad words, negations and connectives come equally often with both labels, so that
counting words does no better than guessing.
"""

from __future__ import annotations

import random

from quintet.data import DATASETS
from quintet.data.options import GeneratedSentimentOptions
from quintet.data.text.examples import TextExamples
from quintet.data.text.generated import NOTE, distinct, words

_COUNTS = {"train": 4000, "validation": 500, "test": 1000}
_GOOD = words("superb wonderful brilliant charming clever delightful gripping moving lovely fresh witty excellent")
_BAD = words("dull awful boring clumsy tedious bland dreadful silly weak stale dreary poor")
_ASPECTS = words("plot acting music script camera dialogue story cast ending pace humour editing")
_DEGREES = ("", "", "very ", "rather ", "really ", "quite ")
_PLAIN = (
    "the {aspect} is {degree}{word}",
    "i found the {aspect} {degree}{word}",
    "i thought the {aspect} {degree}{word}",
)
_NEGATED = (
    "the {aspect} is not {degree}{word}",
    "i never found the {aspect} {degree}{word}",
    "nobody could call the {aspect} {word}",
    "the {aspect} is anything but {word}",
)
_TWICE = (
    "nobody could deny that the {aspect} is {degree}{word}",
    "it is not true that the {aspect} is not {degree}{word}",
    "i would not call the {aspect} anything but {word}",
)
# {0} counts.
_CONTRASTS = (
    "{1} , but {0}",
    "{1} ; however , {0}",
    "although {1} , {0}",
    "{0} , even though {1}",
    "{0} , despite what some say : {1}",
)
_ADDITIONS = ("{0} and {1}", "{0} , and besides , {1}")


def read(options: GeneratedSentimentOptions, name: str) -> TextExamples:
    """Reviews of the three splits, no two alike."""
    draw = random.Random(f"sentiment/{options.split_seed}")
    ids, official, reviews = zip(
        *distinct(_COUNTS, lambda split, index: (_review(index % 2, draw), index % 2), lambda review: review[0]),
        strict=True,
    )
    columns = {"text": [text for text, _ in reviews], "target": [target for _, target in reviews]}
    source = {"took": "embedded", "path": __name__, "note": NOTE}
    classes = DATASETS["generated-sentiment"].classes
    return TextExamples("class", list(ids), columns, classes, list(official), source)


def _review(target: int, draw: random.Random) -> str:
    aspects = draw.sample(_ASPECTS, 3)
    clauses = [_clause(target, aspects[0], draw)]
    if draw.random() < 0.3:
        clauses.append(_clause(target, aspects[1], draw))
    review = draw.choice(_ADDITIONS).format(*clauses) if len(clauses) > 1 else clauses[0]
    if draw.random() < 0.7:
        review = draw.choice(_CONTRASTS).format(review, _clause(1 - target, aspects[2], draw))
    return f"{review} ."


def _clause(target: int, aspect: str, draw: random.Random) -> str:
    frames = draw.choice((_PLAIN, _NEGATED, _TWICE))
    word = draw.choice(_GOOD if (target == 1) != (frames is _NEGATED) else _BAD)
    return draw.choice(frames).format(aspect=aspect, degree=draw.choice(_DEGREES), word=word)
