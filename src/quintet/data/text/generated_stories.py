"""Generated stories with questions whose answer is a span of the story, in the spirit of bAbI (Weston et al. 2015).

Persons move between places and take things; a question asks where somebody is or what somebody took. The last fact of
its kind about that person counts: facts about others mislead, and so do earlier ones. Who is asked about is drawn so
that the most recent fact is seldom the answer, or networks would learn that much and stop there.
"""

from __future__ import annotations

import random
from typing import Any

from quintet.data.options import GeneratedStoriesOptions
from quintet.data.text.examples import TextExamples
from quintet.data.text.generated import NOTE, distinct, words

_COUNTS = {"train": 5000, "validation": 500, "test": 1000}
_PERSONS = words("Mary John Sandra Daniel")
_PLACES = words("kitchen garden office bathroom hallway bedroom cellar attic")
_THINGS = words("apple football book lamp letter bottle")
_MOVES = ("{person} went to the {said} .", "{person} ran to the {said} .", "{person} moved to the {said} .")
_TAKES = ("{person} took up the {said} .", "{person} picked up the {said} .")
_SENTENCES = (3, 5)

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
    persons = draw.sample(_PERSONS, 3)
    text = ""
    # For each question that can be asked, the answer so far: the last fact overwrites those before.
    known: dict[str, tuple[str, int]] = {}
    for _ in range(draw.randint(*_SENTENCES)):
        person, moves = draw.choice(persons), draw.random() < 0.75
        said = draw.choice(_PLACES if moves else _THINGS)
        sentence = draw.choice(_MOVES if moves else _TAKES).format(person=person, said=said)
        question = f"Where is {person} ?" if moves else f"What did {person} take ?"
        text += " " if text else ""
        known.pop(question, None)
        known[question] = said, len(text) + sentence.rindex(said)
        text += sentence
    *earlier, latest = known
    question = draw.choice(earlier) if earlier and draw.random() < 0.6 else draw.choice([*earlier, latest])
    answer, start = known[question]
    return question, text, answer, start
