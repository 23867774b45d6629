"""Generated stories with questions whose answer is a span of the story, in the spirit of bAbI (Weston et al. 2015).

Persons move between places and take things. A question asks where somebody is, who has a thing, or what somebody took
last. The last of several facts about it counts, so the answer is the place, person or thing of that sentence, and
other stories' facts of the same words mislead.
"""

from __future__ import annotations

import random
from typing import Any

from quintet.data.options import GeneratedStoriesOptions
from quintet.data.text.examples import TextExamples
from quintet.data.text.generated import NOTE, distinct, words

_COUNTS = {"train": 6000, "validation": 500, "test": 1000}
_PERSONS = words("Mary John Sandra Daniel Emma Peter Lucy Henry")
_PLACES = words("kitchen garden office bathroom hallway bedroom cellar attic")
_THINGS = words("apple football book lamp letter bottle")
_MOVES = ("{person} went to the {place} .", "{person} moved to the {place} .", "{person} is back in the {place} .")
_TAKES = ("{person} took the {thing} .", "{person} picked up the {thing} .", "{person} got the {thing} .")
_SENTENCES = (3, 6)

_Story = tuple[str, str, str, int]


def read(options: GeneratedStoriesOptions, name: str) -> TextExamples:
    """Stories of the three splits, no two alike, each with one question."""
    draw = random.Random(f"stories/{options.split_seed}")
    ids, official, stories = zip(
        *distinct(_COUNTS, lambda split, _: _story(draw), lambda story: (story[0], story[1])), strict=True
    )
    columns: dict[str, list[Any]] = {
        "question": [question for question, _, _, _ in stories],
        "context": [context for _, context, _, _ in stories],
        "answers": [[answer] for _, _, answer, _ in stories],
        "starts": [[start] for _, _, _, start in stories],
        "group": list(ids),
    }
    source = {"took": "embedded", "path": __name__, "note": NOTE}
    return TextExamples("span", list(ids), columns, (), list(official), source)


def _story(draw: random.Random) -> _Story:
    """Question, story, answer, and where in the story the answer begins."""
    persons, things = draw.sample(_PERSONS, 3), draw.sample(_THINGS, 3)
    text = ""
    # For each question that can be asked, the answer so far: the last fact overwrites those before.
    known: dict[str, tuple[str, int]] = {}
    for _ in range(draw.randint(*_SENTENCES)):
        person, place, thing = draw.choice(persons), draw.choice(_PLACES), draw.choice(things)
        moves = draw.random() < 0.6
        sentence = draw.choice(_MOVES if moves else _TAKES).format(person=person, place=place, thing=thing)
        text += " " if text else ""
        if moves:
            known[f"Where is {person} ?"] = place, len(text) + sentence.index(f" {place} ") + 1
        else:
            known[f"Who has the {thing} ?"] = person, len(text)
            known[f"What did {person} take last ?"] = thing, len(text) + sentence.index(f" {thing} ") + 1
        text += sentence
    question = draw.choice(sorted(known))
    answer, start = known[question]
    return question, text, answer, start
