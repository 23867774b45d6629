"""Tagging: a text in; its entities with their places, types and scores out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from quintet.serving.adapter import Row, Type
from quintet.serving.texts import TEXT_FILES, TextAdapter

if TYPE_CHECKING:
    from quintet.tasks.tagging import Tagging

# Words, as files of tagged sentences mostly have them: letters and digits together, other signs one by one.
_WORD = re.compile(r"\w+|[^\w\s]")


class EntityTagger(TextAdapter):
    """Finds entities. The answer has `entities`, each with `text`, `type`, `begin`, `end` and `score`.

    `begin` and `end` count characters of the text that was sent, the first being 0, `end` that behind the last. The
    score is the probability of the least certain word of the entity. A long text is read window by window.
    """

    objective: Tagging
    noun = "text"
    takes: ClassVar[Mapping[str, Type]] = {"text": "string"}
    gives: ClassVar[Mapping[str, Type]] = {"entities": "any"}
    suffixes = TEXT_FILES

    def example(self) -> Row:
        return {"text": "Grace Austin flew from Florence to Sydney."}

    def task_on(self, spec: Any, vocabulary: Path) -> Tagging:
        from quintet.tasks.tagging import Tagging

        return Tagging(spec, vocabulary=vocabulary)

    def answer(self, inputs: Sequence[Row]) -> list[Row]:
        import torch

        from quintet.data.text.store import Texts
        from quintet.tasks.tagging.entities import entities

        texts = [row["text"] for row in inputs]
        places = [[found.span() for found in _WORD.finditer(text)] for text in texts]
        words = [[text[begin:end] for begin, end in spans] for text, spans in zip(texts, places, strict=True)]
        columns = {"words": words, "tags": [["O"] * len(sentence) for sentence in words]}
        split = self.inputs.encoded(Texts([str(number) for number in range(len(texts))], columns))
        tagged = self.objective.tag(self.network, split, torch.device("cpu"))
        answers: list[Row] = []
        for text, spans, tags, sure in zip(texts, places, tagged.tags, tagged.probabilities, strict=True):
            found = []
            for entity in entities(tags):
                begin, end = spans[entity.start][0], spans[entity.end - 1][1]
                score = min(sure[entity.start : entity.end])
                found.append({"text": text[begin:end], "type": entity.kind, "begin": begin, "end": end, "score": score})
            answers.append({"entities": found})
        return answers
