"""The words that drove an answer are found, whatever the network, and stand in the text where they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from quintet.data.spec import DataSpec
from quintet.data.text.store import TOKENIZER, Texts
from quintet.data.text.tokenizer import train_tokenizer
from quintet.evaluation.attribution import TOLERANCE
from quintet.tasks.answering import Answering
from quintet.tasks.classification import Classification
from quintet.tasks.explanation import EACH, explain, in_words
from quintet.tasks.objective import Objective
from quintet.tasks.pretraining import Pretraining
from quintet.tasks.tagging import Tagging
from quintet.training.settings import Training

MODELS = {
    "textcnn": {"family": "cnn", "name": "textcnn", "settings": {"embed_dim": 16, "num_maps": 8, "dropout": 0.0}},
    "lstm": {"family": "rnn", "name": "lstm", "settings": {"hidden_size": 16, "pooling": "mean"}},
    "encoder": {"family": "transformer", "name": "encoder",
                "settings": {"embed_dim": 16, "num_layers": 1, "num_heads": 2, "dropout": 0.0}},
    "bert": {"family": "bert", "name": "bert",
             "settings": {"embed_dim": 16, "num_layers": 2, "num_heads": 2, "dropout": 0.0, "attention_dropout": 0.0}},
}  # fmt: skip
FILLERS = ["the", "film", "was", "long", "and", "its", "plot", "went", "on", ",", "as", "did", "we"]
TRAINING = Training.model_validate({"budget": {"epochs": 1}, "optimiser": {"lr": 0.01}})


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that has seen neither planted word, and cuts both into pieces."""
    folder = tmp_path_factory.mktemp("vocabulary")
    letters = " ".join("excellent dreadful"[i : i + 1] for i in range(18))
    train_tokenizer([" ".join(FILLERS), letters, "xceln dreaful"], "wordpiece", 120, True).save(str(folder / TOKENIZER))
    return folder


def made(task: type[Objective], vocabulary: Path, classes: tuple[str, ...], target: str) -> Objective:
    spec = DataSpec("x", "text", target, (40, 0, 0, 3), classes, {}, {}, (), (), 0, {}, "")
    return task(spec, vocabulary)


@pytest.fixture(scope="module")
def reviews() -> Texts:
    """One word decides: 'excellent' or 'dreadful', somewhere among others."""
    rng = np.random.default_rng(0)
    texts, targets = [], []
    for number in range(64):
        words = rng.choice(FILLERS, rng.integers(3, 8)).tolist()
        words.insert(rng.integers(len(words) + 1), ("dreadful", "excellent")[number % 2])
        texts.append(" ".join(words))
        targets.append(number % 2)
    return Texts([f"r{i}" for i in range(64)], {"text": texts, "target": targets})


@pytest.fixture(scope="module", params=MODELS)
def explained(
    request: pytest.FixtureRequest, vocabulary: Path, reviews: Texts
) -> tuple[str, list[dict[str, Any]], Texts]:
    """What explains the answers of a small network that has learnt these reviews."""
    torch.manual_seed(0)
    objective = made(Classification, vocabulary, ("bad", "good"), "class")
    network = objective.network(MODELS[request.param])
    split = objective.inputs.encoded(reviews)  # type: ignore[attr-defined]
    tokens, targets = objective.inputs.collate(split, np.arange(64))
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        loss = objective.loss(network, tokens, targets, TRAINING)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if float(loss.detach()) < 0.02:
            break
    assert float(loss.detach()) < 0.3
    return request.param, explain(objective, network.eval(), split), reviews


def test_the_word_that_decides_drives_the_answer(explained: tuple[str, list[dict[str, Any]], Texts]) -> None:
    _, found, _ = explained
    right = [one for one in found if one["right"]]
    assert len(right) == EACH == len({one["answer"] for one in right})
    for one in right:
        assert one["answer"] == one["truth"]
        strongest = max(one["words"], key=lambda word: abs(word["score"]))
        assert strongest["text"] == {"good": "excellent", "bad": "dreadful"}[one["answer"]]


def test_scores_of_words_add_up_to_what_the_logit_gained(explained: tuple[str, list[dict[str, Any]], Texts]) -> None:
    name, found, _ = explained
    for one in found:
        gap = abs(sum(word["score"] for word in one["words"]) - one["gain"])
        allowed = TOLERANCE * max(abs(one["gain"]), 0.1)
        assert (gap <= allowed + 0.001) if one["complete"] else (gap >= allowed - 0.001)
        # A BERT that has learnt this by heart jumps from one answer to the other on the way.
        assert one["complete"] or name == "bert"
        assert all(word["score"] == 0 for word in one["words"] if word["special"])
    # A text of nothing but padding is taken for one of the classes, whose logit then has nothing to gain.
    assert max(abs(one["gain"]) for one in found) > 0.5


def test_words_in_their_order_are_the_text(explained: tuple[str, list[dict[str, Any]], Texts]) -> None:
    _, found, reviews = explained
    for one in found:
        assert plain(one) == reviews["text"][int(one["id"][1:])]
        assert [word["text"] for word in one["words"] if word["special"]] == ["[CLS]", "[SEP]"]
        assert one["about"] == [0]


def test_attention_between_words_still_sums_to_one(explained: tuple[str, list[dict[str, Any]], Texts]) -> None:
    name, found, _ = explained
    for one in found:
        if name in ("encoder", "bert"):
            attention = np.array(one["attention"])
            assert attention.shape == (len(one["words"]),) * 2
            assert attention.sum(1) == pytest.approx(1, abs=0.0006 * len(attention))
            assert (attention >= 0).all()
        else:
            assert one["attention"] is None


def plain(one: dict[str, Any]) -> str:
    words = [word for word in one["words"] if not word["special"]]
    return "".join(" " * word["space"] + word["text"] for word in words)


def test_to_a_words_pieces_attention_is_added_and_from_them_averaged() -> None:
    attention = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.7, 0.2, 0.1]])
    found = in_words(attention, [[0], [1, 2]])
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5], [0.4, 0.6]]))


def wired(network: nn.Module) -> nn.Module:
    """Heads start at zero and then say nothing; this one says something."""
    torch.nn.init.normal_(network.head.weight)  # type: ignore[union-attr,arg-type]
    return network.eval()


def test_of_tags_the_word_that_is_spoken_of_is_named(vocabulary: Path) -> None:
    torch.manual_seed(0)
    objective = made(Tagging, vocabulary, ("B-X", "I-X", "O"), "tags")
    sentences = [["the", "excellent", "film"], ["it", "went", "on", "dreadful"], ["the", "plot", ",", "excellent"]]
    texts = Texts(
        ["a", "b", "c"], {"words": sentences, "tags": [["O", "B-X", "O"], ["O"] * 3 + ["B-X"], ["O"] * 3 + ["B-X"]]}
    )
    split = objective.inputs.encoded(texts)  # type: ignore[attr-defined]
    found = explain(objective, wired(objective.network(MODELS["bert"])), split)
    assert json.loads(json.dumps(found)) == found != []
    for one in found:
        assert plain(one) == " ".join(sentences["abc".index(one["id"])])
        (about,) = one["about"]
        word = sentences["abc".index(one["id"])].index(one["words"][about]["text"])
        assert one["truth"] == texts["tags"]["abc".index(one["id"])][word]
        assert one["right"] == (one["answer"] == one["truth"])


def test_of_answers_question_and_context_are_told_apart(vocabulary: Path) -> None:
    torch.manual_seed(0)
    objective = made(Answering, vocabulary, (), "span")
    question, context = "what was the film ?", "the film was excellent , and its plot went on"
    columns = {
        "question": [question],
        "context": [context],
        "answers": [["excellent"]],
        "starts": [[13]],
        "group": [""],
    }
    split = objective.inputs.encoded(Texts(["q"], columns))  # type: ignore[attr-defined]
    (one,) = explain(objective, wired(objective.network(MODELS["encoder"])), split)
    marks = [n for n, word in enumerate(one["words"]) if word["special"]]
    assert [one["words"][n]["text"] for n in marks] == ["[CLS]", "[SEP]", "[SEP]"]
    asked, read = ({**one, "words": one["words"][a:b]} for a, b in ((0, marks[1]), (marks[1], None)))
    assert (plain(asked), plain(read)) == (question, context)
    said = {**one, "words": [one["words"][n] for n in one["about"]]}
    # An answer may begin within a word.
    assert one["answer"] in plain(said)
    assert all(n > marks[1] for n in one["about"])


def test_a_pre_training_has_nothing_to_explain(vocabulary: Path) -> None:
    objective = made(Pretraining, vocabulary, ("random", "next"), "next")
    texts = Texts(["a", "b"], {"sentences": [["the film was long", "and its plot went on"] * 3] * 2})
    split = objective.inputs.encoded(texts)
    assert len(split) > 0
    assert explain(objective, objective.network(MODELS["bert"]).eval(), split) == []
