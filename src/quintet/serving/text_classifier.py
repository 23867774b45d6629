"""Classification of texts: a text in; the class and its probability out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from quintet.serving.adapter import Row, Type
from quintet.serving.texts import TEXT_FILES, TextAdapter

if TYPE_CHECKING:
    from quintet.tasks.classification import Classification


class TextClassifier(TextAdapter):
    """Classifies texts. For each the answer has `class`, its `confidence`, and `probabilities` by class.

    A text longer than the model reads loses its end: `unread` is how many characters at the end were not read.
    """

    objective: Classification
    noun = "text"
    takes: ClassVar[Mapping[str, Type]] = {"text": "string"}
    gives: ClassVar[Mapping[str, Type]] = {
        "class": "string",
        "confidence": "double",
        "probabilities": "map of double",
        "unread": "long",
    }
    suffixes = TEXT_FILES

    def example(self) -> Row:
        return {"text": "It could have been longer, and nobody would have minded."}

    def task_on(self, spec: Any, vocabulary: Path) -> Classification:
        from quintet.tasks.classification import Classification

        return Classification(spec, vocabulary=vocabulary)

    def answer(self, inputs: Sequence[Row]) -> list[Row]:
        import torch

        from quintet.data.text.store import Texts

        texts = [row["text"] for row in inputs]
        ids = [str(number) for number in range(len(texts))]
        split = self.inputs.encoded(Texts(ids, {"text": texts, "target": [0] * len(texts)}))
        found = self.objective.log_probabilities(self.network, split, torch.device("cpu")).double().exp()
        full = split.inputs[:, -1] != self.inputs.marks.pad
        ends = split.encoded.offsets[:, :, 1].max(axis=1)
        classes = self.spec["classes"]
        return [
            {
                "class": classes[best],
                "confidence": row[best],
                "probabilities": dict(zip(classes, row, strict=True)),
                # White space at the end is nothing that could be read.
                "unread": len(text.rstrip()) - int(end) if cut and text[end:].strip() else 0,
            }
            for text, row, best, cut, end in zip(
                texts, found.tolist(), found.argmax(1).tolist(), full, ends, strict=True
            )
        ]
