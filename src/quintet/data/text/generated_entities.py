"""Generated sentences with persons, places and organisations, as IOB2 tags.

Two things keep a table of names from solving it. Some names are a person's, a place's and an organisation's alike
(Jordan, Florence), or plain words elsewhere (May, Rose), so that only the sentence tells. And in validation and
test half of the names are drawn from lists of their own, which training never shows.
"""

from __future__ import annotations

import random

from quintet.data.options import GeneratedEntitiesOptions
from quintet.data.text.examples import TextExamples, tag_names
from quintet.data.text.generated import NOTE, distinct, words

_COUNTS = {"train": 3000, "validation": 500, "test": 1000}
_TYPES = ("LOC", "ORG", "PER")

_AMBIGUOUS = words("Jordan Florence Austin Madison Lincoln Chelsea Sydney Victoria Phoenix Houston Hudson Carter")
_FIRST = words("Anna Peter Maria Thomas Laura Simon Clara Martin Julia Daniel May Rose Grace Mark Frank Will")
# A name is a beginning and an end; three of four beginnings stand in training.
_BEGINS = words("Bar Kel Mor Tan Vel Dor Hal Lin Ros Sar Wen Gar Fen Cor Pel Nor")
_ENDS = {
    "PER": words("sen man ard ovic well ini"),
    "LOC": words("ton burg field mouth stad ona"),
    "ORG": words("tech corp sys ex onics air"),
}

# A slot takes a name of its type; all other words are outside.
_FRAMES = [
    frame.split()
    for frame in (
        "PER was born in LOC",
        "PER moved from LOC to LOC",
        "PER works for ORG",
        "PER joined ORG as chief engineer",
        "PER , who lives in LOC , resigned from ORG",
        "her uncle PER wrote to ORG",
        "ORG hired PER",
        "ORG opened an office in LOC",
        "shares of ORG fell sharply",
        "shares of ORG rose after PER resigned",
        "the board of ORG met in LOC",
        "ORG bought ORG for two million",
        "the train from LOC to LOC was late",
        "the mayor of LOC thanked PER",
        "it rained in LOC and in LOC",
        "the streets of LOC were empty",
        "she married PER in LOC",
        "his brother PER flew to LOC",
        "a spokesman for ORG said that PER would stay",
        "customers of ORG complained",
        "they will mark the exam , said PER",
        "a rose and a frank word may help , said PER",
        "the grace of the dancer impressed PER",
        "the river runs north of LOC",
        "profits at ORG doubled",
    )
]
_ENDINGS = [ending.split() for ending in ("", "", "", "on Monday", "in May", "last spring", "for the third time")]
_BEGINNINGS = [beginning.split() for beginning in ("", "", "", "Yesterday", "In May", "According to ORG ,")]


def read(options: GeneratedEntitiesOptions, name: str) -> TextExamples:
    """Sentences of the three splits, no two alike."""
    draw = random.Random(f"entities/{options.split_seed}")
    ids, official, sentences = zip(
        *distinct(
            _COUNTS,
            lambda split, _: _sentence(split != "train", draw),
            lambda sentence: tuple(word for word, _ in sentence),
        ),
        strict=True,
    )
    columns = {
        "words": [[word for word, _ in sentence] for sentence in sentences],
        "tags": [[tag for _, tag in sentence] for sentence in sentences],
    }
    source = {"took": "embedded", "path": __name__, "note": NOTE}
    return TextExamples("tags", list(ids), columns, tag_names(set(_TYPES)), list(official), source)


def _sentence(unseen: bool, draw: random.Random) -> list[tuple[str, str]]:
    frame = [*draw.choice(_BEGINNINGS), *draw.choice(_FRAMES), *draw.choice(_ENDINGS), "."]
    sentence: list[tuple[str, str]] = []
    for word in frame:
        if word in _TYPES:
            name = _name(word, unseen and draw.random() < 0.5, draw)
            sentence += [(part, f"{'I' if i else 'B'}-{word}") for i, part in enumerate(name)]
        else:
            sentence.append((word, "O"))
    first, tag = sentence[0]
    return [(first[:1].upper() + first[1:], tag), *sentence[1:]]


def _name(kind: str, unseen: bool, draw: random.Random) -> list[str]:
    if not unseen and draw.random() < 0.3:
        core = draw.choice(_AMBIGUOUS)
    else:
        known = 3 * len(_BEGINS) // 4
        core = draw.choice(_BEGINS[known:] if unseen else _BEGINS[:known]) + draw.choice(_ENDS[kind])
    form = draw.randrange(4)
    if form == 0:
        return [core]
    if kind == "PER":
        return [draw.choice(_FIRST), core] if form < 3 else ["Dr", core]
    if kind == "LOC":
        return ["New", core] if form == 1 else [core]
    return {1: [core, "Limited"], 2: ["University", "of", core], 3: [core, "&", "Sons"]}[form]
