"""Why a network that reads texts answered as it did: the words that drove it, and where its attention lay.

For a few test examples, those that the network was most sure of among the first: right ones and wrong ones.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from quintet.evaluation.attribution import Attribution, integrated_gradients
from quintet.models.transformer.encoder import SelfAttention, attention_weights
from quintet.tasks.objective import Objective, Said
from quintet.training.texts import TextInputs, TextSplit

# So many right and as many wrong answers are explained.
EACH = 2
# Of rows of at most so many tokens, whose attention can still be shown; of the first that make up so many in all.
LONGEST, CANDIDATES = 96, 4096


def explain(objective: Objective, network: nn.Module, split: TextSplit) -> list[dict[str, Any]]:
    """Plain values, as `explanations.json` keeps them; none for a task without answers to explain.

    Of each: id, `answer` and `truth` in words, `right`, `confidence`; `words` with their integrated gradients as
    `score` (the baseline has [PAD]'s vector for every word; [CLS] and [SEP] stay); `gain`, what the answer's logit
    gains over the baseline, to which scores add up if they are `complete`; `about`, the numbers of the words that the
    answer speaks of; `attention` [word word], the last layer's mean over heads, or None. A word's pieces count as one:
    attention to them is added, attention from them averaged (Clark et al. 2019, "What Does BERT Look At?", sec. 4.1).
    """
    inputs = objective.inputs
    assert isinstance(inputs, TextInputs)
    rows = _candidates(inputs, split)
    if not len(rows):
        return []
    tokens, _ = inputs.collate(split, rows)
    with torch.inference_mode():
        said = objective.said(objective.called(network)(tokens), split, rows)
    # The surest of each answer come first: two of one class may tell the same, or nothing.
    turns: Counter[tuple[str, bool]] = Counter()
    order = []
    for one in sorted(said, key=lambda one: (-one.confidence, one.row)):
        turns[one.answer, one.right] += 1
        order.append((turns[one.answer, one.right], one))
    surest = [one for _, one in sorted(order, key=lambda pair: pair[0])]
    chosen = [one for right in (True, False) for one in [s for s in surest if s.right == right][:EACH]]
    return [_explained(inputs, network, split, one) for one in chosen]


def _candidates(inputs: TextInputs, split: TextSplit) -> NDArray[np.int64]:
    """The first rows that are short enough, each all of its example."""
    examples, lengths = split.encoded.examples, inputs.lengths(split)
    rows = np.flatnonzero((np.bincount(examples)[examples] == 1) & (lengths <= LONGEST))
    return rows[lengths[rows].cumsum() <= CANDIDATES]


def _explained(inputs: TextInputs, network: nn.Module, split: TextSplit, said: Said) -> dict[str, Any]:
    tokens, _ = inputs.collate(split, np.array([said.row]))
    sources, places = _places(split, said.row, tokens.shape[1], inputs.tokenizer)
    groups = _groups(sources, places)
    found = attribution(network, tokens, inputs, said)
    words = []
    for group in groups:
        source, begin, _ = places[group[0]]
        end = places[group[-1]][2]
        special = source < 0
        before = places[group[0] - 1] if group[0] else (-1, 0, 0)
        words.append(
            {
                "text": inputs.tokenizer.id_to_token(int(tokens[0, group[0]]))
                if special
                else sources[source][begin:end],
                "space": before[0] == source and sources[source][before[2] : begin] != "",
                "special": special,
                "score": round(float(found.scores[group].sum()), 5),
            }
        )
    attention = None
    if any(isinstance(part, SelfAttention) for part in network.modules()):
        attention = in_words(attention_weights(network, tokens)[-1, 0].mean(0), groups).round(decimals=3).tolist()
    return {
        "id": str(split.ids[said.row]),
        "answer": said.answer,
        "truth": said.truth,
        "right": said.right,
        "confidence": round(said.confidence, 4),
        "gain": round(found.gain, 5),
        "complete": found.complete,
        "about": [n for n, group in enumerate(groups) if set(group) & set(said.about)],
        "words": words,
        "attention": attention,
    }


def attribution(network: nn.Module, tokens: Tensor, inputs: TextInputs, said: Said) -> Attribution:
    """Integrated gradients of what speaks for an answer, over the token vectors of a row [1 time]."""
    embedding = network.encoder.token_embedding  # type: ignore[union-attr]
    assert isinstance(embedding, nn.Embedding)
    marks = inputs.marks
    kept = (tokens == marks.first) | (tokens == marks.separator)
    with torch.no_grad():
        vectors = embedding(tokens)[0]
        baseline = embedding(torch.where(kept, tokens, marks.pad))[0]

    def value(given: Tensor) -> Tensor:
        # The tokens still say where the text ends; only their vectors are exchanged.
        handle = embedding.register_forward_hook(lambda *_: given)
        try:
            return said.logit(network(tokens.expand(len(given), -1)))
        finally:
            handle.remove()

    return integrated_gradients(value, vectors, baseline)


def in_words(attention: Tensor, groups: list[list[int]]) -> Tensor:
    """Attention [token token] between groups of tokens: to one added, from one averaged, so rows still sum to 1."""
    to = torch.stack([attention[:, group].sum(1) for group in groups], dim=1)
    return torch.stack([to[group].mean(0) for group in groups])


_Place = tuple[int, int, int]


def _places(split: TextSplit, row: int, time: int, tokenizer: Tokenizer) -> tuple[list[str], list[_Place]]:
    """The texts a row was cut from, and for each token which of them it stands in (-1: none), from where to where."""
    texts, example = split.texts, int(split.encoded.examples[row])
    own = [(begin, end) for begin, end in split.encoded.offsets[row, :time].tolist()]
    if texts.target != "span":
        source = texts["text"][example] if texts.target == "class" else " ".join(texts["words"][example])
        return [source], [(0, begin, end) if end > begin else (-1, 0, 0) for begin, end in own]
    sources = [texts["question"][example], texts["context"][example]]
    places = [(1, begin, end) if end > begin else (-1, 0, 0) for begin, end in own]
    asked = tokenizer.encode(sources[0], add_special_tokens=False).offsets
    # The question stands between [CLS] and the first [SEP]; a long one has lost its end.
    room = next(i for i, place in enumerate(places) if place[0] == 1) - 2
    places[1 : 1 + room] = [(0, begin, end) for begin, end in asked[:room]]
    return sources, places


def _groups(sources: list[str], places: list[_Place]) -> list[list[int]]:
    """Tokens that make up a word together: letters and digits without a gap, or parts of one character."""
    groups = [[0]]
    for token, (last, place) in enumerate(pairwise(places), 1):
        source, begin, _ = place
        joined = source >= 0 and last[0] == source and begin <= last[2]
        if joined and begin == last[2]:
            joined = sources[source][begin - 1].isalnum() and sources[source][begin : begin + 1].isalnum()
        if joined:
            groups[-1].append(token)
        else:
            groups.append([token])
    return groups
