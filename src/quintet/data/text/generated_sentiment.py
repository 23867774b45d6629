"""Generated reviews, for or against, whose words alone do not tell: negation and contrast turn them.

A review is one or two clauses. A clause says something good or bad of an aspect, plainly ("the plot is dull"),
negated ("the plot is not dull", "nobody could call the plot dull") or weakened by a word that turns nothing ("very",
"rather"). In a contrast the second clause counts ("the plot is dull, but the acting is superb" is for, "although
the acting is superb, the plot is dull" is against). Each of good and bad words, plain and negated clauses, single and
contrasted, comes equally often with both labels, so counting words does little better than guessing.
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
_PLAIN = ("the {aspect} is {degree}{word}", "i found the {aspect} {degree}{word}", "what a {word} {aspect}")
_NEGATED = (
    "the {aspect} is not {degree}{word}",
    "i never found the {aspect} {degree}{word}",
    "nobody could call the {aspect} {word}",
    "the {aspect} is anything but {word}",
)
# {0} counts.
_CONTRASTS = (
    "{1} , but {0}",
    "{1} ; however , {0}",
    "although {1} , {0}",
    "{0} , even though {1}",
    "{0} , despite what some say : {1}",
)
_ADDITIONS = ("{1} and {0}", "{0} , and besides , {1}")


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
    aspect, other = draw.sample(_ASPECTS, 2)
    kind = draw.randrange(4)
    first = _clause(target, aspect, draw)
    if kind == 0:
        return f"{first} ."
    if kind == 1:
        return f"{draw.choice(_ADDITIONS).format(first, _clause(target, other, draw))} ."
    return f"{draw.choice(_CONTRASTS).format(first, _clause(1 - target, other, draw))} ."


def _clause(target: int, aspect: str, draw: random.Random) -> str:
    negated = draw.random() < 0.5
    word = draw.choice(_GOOD if (target == 1) != negated else _BAD)
    return draw.choice(_NEGATED if negated else _PLAIN).format(aspect=aspect, degree=draw.choice(_DEGREES), word=word)
