"""Answering: the words of a text that answer a question, learnt as first and last token, ranked by SQuAD's F1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import Split
from quintet.evaluation.statistics import Mean, Measure
from quintet.models.build import build_encoder
from quintet.models.heads import Span, SpanPicker
from quintet.tasks.answering.answers import best_span, exact_match, f1
from quintet.tasks.objective import Objective, Predictions, Said
from quintet.training.settings import Training
from quintet.training.texts import TextSplit

# As in the authors' code (google-research/bert:run_squad.py, max_answer_length).
LONGEST_ANSWER = 30


class Answer(NamedTuple):
    """Characters `begin` to before `end` of a context; none of them if no window has words of it.

    `probability` is that of its first token times that of its last, in the window that it was found in; windows are
    compared by `logit`, the sum of the two.
    """

    begin: int
    end: int
    probability: float
    logit: float


class Answering(Objective):
    """Networks give logits of an answer's first and last token; [CLS] stands for an answer outside the window."""

    def network(self, model: Mapping[str, Any]) -> nn.Module:
        return SpanPicker(
            build_encoder(model["family"], model["name"], self.inputs.kind, self.inputs.shape, model["settings"])
        )

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor, training: Training) -> Tensor:
        start, end = network(inputs)
        # Padding has minus infinity, which label smoothing would make an endless loss.
        return (F.cross_entropy(start, targets[:, 0]) + F.cross_entropy(end, targets[:, 1])) / 2

    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Predictions:
        assert isinstance(split, TextSplit)
        found, loss = self.answer(network, split, device)
        contexts = split.texts["context"]
        return self.predictions([c[a.begin : a.end] for a, c in zip(found, contexts, strict=True)], split, loss)

    def answer(self, network: nn.Module, split: TextSplit, device: torch.device) -> tuple[list[Answer], float]:
        """The likeliest answer to each question, over all windows of its context, and the mean loss of the rows."""
        best = [Answer(0, 0, 0.0, -math.inf)] * len(split.texts)
        nll = 0.0
        for rows, (start, end), targets in self.outputs(network, split, device):
            start, end = start.float().cpu(), end.float().cpu()
            nll += float(F.cross_entropy(start, targets[:, 0], reduction="sum")) / 2
            nll += float(F.cross_entropy(end, targets[:, 1], reduction="sum")) / 2
            total = (start.logsumexp(1) + end.logsumexp(1)).tolist()
            for row, first, last, every in zip(rows, start.numpy(), end.numpy(), total, strict=True):
                example = int(split.encoded.examples[row])
                span = best_span(first, last, split.encoded.offsets[row, : len(first)], LONGEST_ANSWER)
                if span is not None and span.score > best[example].logit:
                    best[example] = Answer(span.begin, span.end, math.exp(span.score - every), span.score)
        return best, nll / len(split)

    def predictions(self, said: Sequence[str], split: TextSplit, loss: float) -> Predictions:
        """From an answer to each question."""
        accepted = split.texts["answers"]
        exact = np.array([exact_match(s, a) for s, a in zip(said, accepted, strict=True)], np.float64)
        return Predictions(
            ids=np.array(split.texts.ids),
            target=np.array([answers[0] for answers in accepted]),
            prediction=np.array(said),
            score=np.array([f1(s, a) for s, a in zip(said, accepted, strict=True)]),
            weight=np.ones(len(said)),
            right=exact == 1,
            loss=loss,
            more={"exact": exact},
        )

    def said(self, output: Any, split: Split, rows: NDArray[np.int64]) -> list[Said]:
        assert isinstance(split, TextSplit)
        starts, ends = (part.float() for part in output)
        said = []
        for index, row in enumerate(rows.tolist()):
            offsets, example = split.encoded.offsets[row, : starts.shape[1]], int(split.encoded.examples[row])
            span = best_span(starts[index].numpy(), ends[index].numpy(), offsets, LONGEST_ANSWER)
            if span is None:
                continue
            context = offsets[:, 1] > offsets[:, 0]
            first = int(np.flatnonzero(context & (offsets[:, 0] == span.begin))[0])
            last = int(np.flatnonzero(context & (offsets[:, 1] == span.end))[-1])
            answer, accepted = split.texts["context"][example][span.begin : span.end], split.texts["answers"][example]
            said.append(
                Said(
                    row=row,
                    answer=answer,
                    truth=accepted[0],
                    right=exact_match(answer, accepted) == 1,
                    confidence=float(starts[index].softmax(0)[first] * ends[index].softmax(0)[last]),
                    logit=partial(_logit, first, last),
                    about=tuple(range(first, last + 1)),
                )
            )
        return said

    def quotes(self, split: Split) -> dict[str, list[str]]:
        assert isinstance(split, TextSplit)
        return {
            "id": split.texts.ids,
            "text": [f"{q}\n{c}" for q, c in zip(split.texts["question"], split.texts["context"], strict=True)],
        }

    def measures(self, found: Predictions) -> dict[str, Measure]:
        return {"answer_f1": Mean(found.score), "exact_match": Mean(found.more["exact"])}


def _logit(first: int, last: int, spans: Span) -> Tensor:
    """What speaks for an answer of these tokens, [row]."""
    return spans.start[:, first] + spans.end[:, last]
