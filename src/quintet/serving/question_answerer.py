"""Question answering: a question and a context in; the part of the context that answers it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from quintet.serving.adapter import BadInput, Row, Type
from quintet.serving.tables import TABLES
from quintet.serving.texts import TextAdapter

if TYPE_CHECKING:
    from quintet.tasks.answering import Answering


class QuestionAnswerer(TextAdapter):
    """Answers questions with a part of their `context`: `answer`, from character `begin` to before `end`.

    The `score` is the probability of the answer's first token times that of its last. A long context is read through
    windows that overlap; a question that would leave no room for it is refused.
    """

    objective: Answering
    noun = "question"
    takes: ClassVar[Mapping[str, Type]] = {"question": "string", "context": "string"}
    gives: ClassVar[Mapping[str, Type]] = {"answer": "string", "begin": "long", "end": "long", "score": "double"}
    suffixes = TABLES

    def example(self) -> Row:
        return {
            "question": "Where is Mary?",
            "context": "John went to the garden. Mary walked to the kitchen.",
        }

    def task_on(self, spec: Any, vocabulary: Path) -> Answering:
        from quintet.tasks.answering import Answering

        return Answering(spec, vocabulary=vocabulary)

    def read(self, row: Row) -> Row:
        from quintet.data.text.encode import question_room

        made: Row = super().read(row)
        room = question_room(self.inputs.length)
        tokens = len(self.inputs.tokenizer.encode(made["question"], add_special_tokens=False))
        if tokens > room:
            raise BadInput(f"the question has {tokens} tokens; this model takes {room} at most")
        return made

    def answer(self, inputs: Sequence[Row]) -> list[Row]:
        import torch

        from quintet.data.text.store import Texts

        ids = [str(number) for number in range(len(inputs))]
        asked = {column: [row[column] for row in inputs] for column in self.takes}
        unknown: dict[str, list[Any]] = {"answers": [[] for _ in ids], "starts": [[] for _ in ids], "group": ids}
        split = self.inputs.encoded(Texts(ids, {**asked, **unknown}))
        found, _ = self.objective.answer(self.network, split, torch.device("cpu"))
        return [
            {"answer": row["context"][a.begin : a.end], "begin": a.begin, "end": a.end, "score": a.probability}
            for row, a in zip(inputs, found, strict=True)
        ]
