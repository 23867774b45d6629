"""Pre-training: a text with [MASK] in it; what may stand there out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from quintet.serving.adapter import BadInput, Row, Type
from quintet.serving.texts import TEXT_FILES, TextAdapter

if TYPE_CHECKING:
    from quintet.tasks.pretraining import Pretraining

_CANDIDATES = 5


class MaskedWordFiller(TextAdapter):
    """Says what each [MASK] of a text may stand for, as a pre-trained network was taught to.

    The answer has `masks`, each with its place (`begin`, `end`, in characters) and the `candidates`, the five likeliest
    tokens and their probabilities, the likeliest first.
    """

    objective: Pretraining
    noun = "text"
    takes: ClassVar[Mapping[str, Type]] = {"text": "string"}
    gives: ClassVar[Mapping[str, Type]] = {"masks": "any"}
    suffixes = TEXT_FILES

    def example(self) -> Row:
        return {"text": "The cat sat on the [MASK]."}

    def task_on(self, spec: Any, vocabulary: Path) -> Pretraining:
        from quintet.tasks.pretraining import Pretraining

        return Pretraining(spec, vocabulary=vocabulary)

    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        super().load(weights, files)
        self.inputs.tokenizer.encode_special_tokens = False  # here [MASK] is meant

    def read(self, row: Row) -> tuple[list[int], list[tuple[int, int]]]:
        """The tokens, and where each stands in the text."""
        text = super().read(row)["text"]
        marks, room = self.inputs.marks, self.inputs.length - 2
        cut = self.inputs.tokenizer.encode(text, add_special_tokens=False)
        if marks.mask not in cut.ids:
            raise BadInput("there is no [MASK] in the text")
        if len(cut.ids) > room:
            raise BadInput(f"the text has {len(cut.ids)} tokens; this model takes {room} at most")
        others = {marks.pad, marks.first, marks.separator}
        return [marks.unknown if token in others else token for token in cut.ids], cut.offsets

    def answer(self, inputs: Sequence[tuple[list[int], list[tuple[int, int]]]]) -> list[Row]:
        import torch

        marks, tokenizer = self.inputs.marks, self.inputs.tokenizer
        rows = [torch.tensor([marks.first, *tokens, marks.separator]) for tokens, _ in inputs]
        shown = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=marks.pad)
        with torch.inference_mode():
            words, _ = self.network(shown, shown == marks.mask)
        likeliest, tokens = words.double().softmax(-1).topk(min(_CANDIDATES, words.shape[-1]))
        candidates = [
            {tokenizer.id_to_token(token): p for token, p in zip(chosen, sure, strict=True)}
            for chosen, sure in zip(tokens.tolist(), likeliest.tolist(), strict=True)
        ]
        guesses = iter(candidates)  # in the order of reading
        return [
            {
                "masks": [
                    {"begin": begin, "end": end, "candidates": next(guesses)}
                    for token, (begin, end) in zip(ids, offsets, strict=True)
                    if token == marks.mask
                ]
            }
            for ids, offsets in inputs
        ]
