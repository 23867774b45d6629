"""The tasks on texts: what is learnt, which answer belongs to which example, and what it is worth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from quintet.data.text.store import Texts, save_texts
from quintet.evaluation import statistics
from quintet.models.heads import PreTrained, Span
from quintet.tasks.pretraining import Pretraining
from quintet.training import texts as training_texts
from quintet.training.settings import Training
from tests.tasks.texts import CLASSES, LONG, MODELS, TEXTS, asked, columns, tagged, task_on

CPU = torch.device("cpu")
TRAINING = Training.model_validate({"budget": {"epochs": 1}, "batch_size": 8, "optimiser": {"lr": 0.01}})


class Oracle(nn.Module):
    """Answers each token by a table: rows of `outputs` by token id."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, tokens: Tensor) -> Tensor:
        return self.outputs[tokens]


class OracleOfSpans(Oracle):
    def forward(self, tokens: Tensor) -> Span:  # type: ignore[override]
        start, end = self.outputs[tokens].unbind(-1)
        return Span(start, end)


class OracleOfTexts(Oracle):
    def forward(self, tokens: Tensor) -> Tensor:
        return self.outputs[tokens[:, 1]]


class Guesser(nn.Module):
    """Guesses the token `word` everywhere, sure by `logit`, and that all pairs follow; keeps what it was shown."""

    def __init__(self, vocabulary: int, word: int = 7, logit: float = 0.0) -> None:
        super().__init__()
        self.logits = torch.zeros(vocabulary)
        self.logits[word] = logit
        self.shown: list[tuple[Tensor, Tensor]] = []

    def forward(self, tokens: Tensor, chosen: Tensor) -> PreTrained:
        self.shown.append((tokens, chosen))
        return PreTrained(self.logits.expand(int(chosen.sum()), -1), torch.tensor([[0.0, 1.0]]).expand(len(tokens), -1))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches in every prediction, the longest rows first."""
    monkeypatch.setattr(training_texts, "_PREDICTION_TOKENS", 40)


# -- learning


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TEXTS)
def test_every_family_learns_a_batch_by_heart(task: str, model: str, tmp_path: Path, monkeypatch: Any) -> None:
    torch.manual_seed(0)
    objective = task_on(task, tmp_path)
    split = objective.inputs.encoded(TEXTS[task])
    if task == "pretraining":
        # The same words hidden at every step, those of prediction: what is left tells them by heart.
        shown, chosen = objective.hide(
            torch.from_numpy(split.inputs.astype(np.int64)), torch.Generator().manual_seed(0)
        )
        monkeypatch.setattr(
            objective, "hide", lambda tokens, _=None: (shown[:, : tokens.shape[1]], chosen[:, : tokens.shape[1]])
        )
    network = objective.network(MODELS[model])
    optimiser = torch.optim.Adam(network.parameters(), lr=0.004)
    inputs, targets = objective.inputs.collate(split, np.arange(len(split)))
    before = objective.predict(network.eval(), split, CPU)
    network.train()
    for _ in range(80):
        optimiser.zero_grad()
        objective.loss(network, inputs, targets, TRAINING).backward()
        optimiser.step()
    found = objective.predict(network.eval(), split, CPU)
    assert found.score.sum() / found.weight.sum() >= 0.9
    assert found.right.mean() >= 0.9
    assert found.loss < before.loss / 2


# -- whose answer it is


def test_tags_of_a_sentence_read_in_windows_come_back_word_by_word(tmp_path: Path) -> None:
    texts = TEXTS["tagging"]
    objective = task_on("tagging", tmp_path)
    split = objective.inputs.encoded(texts)
    assert len(split) > len(texts), "one sentence is longer than a row"
    outputs = torch.zeros(objective.inputs.shape[1], 5)
    for words, tags in zip(texts["words"], texts["tags"], strict=True):
        for word, tag in zip(words, tags, strict=True):
            [token] = objective.inputs.tokenizer.encode(word, add_special_tokens=False).ids
            outputs[token, CLASSES["tagging"].index(tag)] = 20
    found = objective.predict(Oracle(outputs).eval(), split, CPU)
    assert found.ids.tolist() == texts.ids
    assert found.right.all()
    assert found.prediction.tolist() == [
        *("Ann (PER); Bob (PER); Rome (LOC)", "Ann Hill (PER); Bob (PER); New York (LOC)", "Rome (LOC)", "none"),
    ]
    assert found.loss == pytest.approx(0, abs=1e-6)


def test_answers_come_from_the_window_that_speaks_most_for_one_and_never_from_elsewhere(tmp_path: Path) -> None:
    places = ["attic", "cellar", "stable"]
    texts = asked(
        *(
            (f"Where is {place} ?", f"Bob is in the {place} . {' '.join(LONG * i)} .", [place])
            for i, place in enumerate(places)
        ),
        ("Where is nobody ?", f"{' '.join(LONG)} hall hall", ["hall"]),
    )
    objective = task_on("answering", tmp_path, texts)
    split = objective.inputs.encoded(texts)
    assert len(split) > 6
    outputs = torch.zeros(objective.inputs.shape[1], 2)
    for word, logit in {**dict.fromkeys(places, 9.0), "hall": 5.0, "gate": 3.0, "?": 30.0}.items():
        outputs[objective.inputs.tokenizer.token_to_id(word)] = logit
    outputs[2], outputs[3] = 40.0, 40.0  # [CLS] and [SEP]
    network = OracleOfSpans(outputs).eval()
    found = objective.predict(network, split, CPU)
    assert found.ids.tolist() == texts.ids
    assert found.prediction.tolist() == [*places, "hall hall"] or found.prediction.tolist() == [*places, "hall"]
    assert found.score[:3].tolist() == [1, 1, 1]
    answers, _ = objective.answer(network, split, CPU)
    assert all(0 <= answer.probability <= 1 for answer in answers)


def test_classes_come_back_in_the_order_of_the_texts(tmp_path: Path) -> None:
    texts = columns(
        text=[f"{word} {' '.join(LONG[:n])}" for n, word in enumerate(["up", "down"] * 6)], target=[1, 0] * 6
    )
    objective = task_on("classification", tmp_path, texts)
    outputs = torch.zeros(objective.inputs.shape[1], 2)
    outputs[objective.inputs.tokenizer.token_to_id("up"), 1] = 4
    outputs[objective.inputs.tokenizer.token_to_id("down"), 0] = 4
    found = objective.predict(OracleOfTexts(outputs).eval(), objective.inputs.encoded(texts), CPU)
    assert found.ids.tolist() == texts.ids
    assert found.right.all()
    assert found.more["confidence"] == pytest.approx(np.full(12, 1 / (1 + np.exp(-4))), abs=1e-6)


# -- what it is worth


def test_entity_figures_are_those_by_hand(tmp_path: Path) -> None:
    texts = tagged("Ann/PER met Bob/PER Hill/PER", "in Rome/LOC", "nobody met Ann/PER")
    objective = task_on("tagging", tmp_path, texts)
    said = [["B-PER", "O", "B-PER", "O"], ["O", "B-PER"], ["O", "O", "B-PER"]]
    found = objective.predictions(said, objective.inputs.encoded(texts), loss=0.0)
    # There are 4 entities, 4 were said, 2 are right: Ann twice; Bob without Hill and Rome as a person are not.
    figures = {"entity_precision": 2 / 4, "entity_recall": 2 / 4, "entity_f1": 1 / 2, "word_accuracy": 7 / 9}
    assert objective.metrics(found) == pytest.approx(figures)
    assert found.right.tolist() == [False, False, True]
    assert float(found.score.sum() / found.weight.sum()) == pytest.approx(figures["entity_f1"])


def test_answers_are_worth_what_squad_says(tmp_path: Path) -> None:
    objective = task_on("answering", tmp_path)
    texts = TEXTS["answering"]
    found = objective.predictions(["The garden!", "in the kitchen", ""], objective.inputs.encoded(texts), loss=0.0)
    # "the" is an article: exact; 'in kitchen' against 'kitchen' has precision 1/2, recall 1; nothing said is nothing.
    assert found.score == pytest.approx([1, 2 / 3, 0])
    assert objective.metrics(found) == pytest.approx({"exact_match": 1 / 3, "answer_f1": 5 / 9})


def test_figures_of_pretraining_are_those_by_hand(tmp_path: Path) -> None:
    objective = task_on("pretraining", tmp_path)
    split, vocabulary = objective.inputs.encoded(TEXTS["pretraining"]), objective.inputs.shape[1]
    [word] = Counter(split.inputs[split.inputs > 4].tolist()).most_common(1)[0][:1]
    found = objective.predict(Guesser(vocabulary, word, logit=1e-6).eval(), split, CPU)
    _, chosen = objective.hide(torch.from_numpy(split.inputs.astype(np.int64)), torch.Generator().manual_seed(0))
    hits = (split.inputs == word) & chosen.numpy()
    assert found.score.tolist() == hits.sum(1).tolist()
    figures = objective.metrics(found)
    assert figures["masked_accuracy"] == pytest.approx(hits.sum() / chosen.sum().item())
    assert figures["next_accuracy"] == pytest.approx(split.targets.mean())
    assert figures["perplexity"] == pytest.approx(vocabulary, rel=1e-4), "all tokens are alike to it"
    assert len(set(found.ids)) == len(found) == len(split)
    assert (found.prediction == "next").all()
    interval = statistics.estimate([objective.measures(found)["perplexity"]], len(found), resamples=20)
    assert interval.low <= interval.value <= interval.high


# -- hidden words


def test_a_seventh_of_the_words_is_to_be_guessed_and_most_of_them_are_hidden(tmp_path: Path) -> None:
    objective = task_on("pretraining", tmp_path)
    vocabulary, marks = objective.inputs.shape[1], objective.inputs.marks
    tokens = torch.randint(marks.mask + 1, vocabulary, (1500, 64), generator=torch.Generator().manual_seed(1))
    tokens[:, 0], tokens[:, 30], tokens[:, 50], tokens[:, 51:] = (
        marks.first,
        marks.separator,
        marks.separator,
        marks.pad,
    )
    shown, chosen = objective.hide(tokens, torch.Generator().manual_seed(2))
    words = tokens > marks.mask
    assert not chosen[~words].any()
    assert torch.equal(shown[~chosen], tokens[~chosen])
    assert chosen[words].float().mean() == pytest.approx(0.15, abs=0.005)
    hidden, same = shown[chosen] == marks.mask, shown[chosen] == tokens[chosen]
    assert hidden.float().mean() == pytest.approx(0.8, abs=0.015)
    assert (~hidden & ~same).float().mean() == pytest.approx(0.1 * (1 - 1 / (vocabulary - 5)), abs=0.012)
    assert (shown[chosen][~hidden] > marks.mask).all(), "no word is exchanged for a special token"


def test_training_hides_other_words_at_each_step_and_prediction_the_same_for_any_network(tmp_path: Path) -> None:
    objective: Pretraining = task_on("pretraining", tmp_path)
    split, vocabulary = objective.inputs.encoded(TEXTS["pretraining"]), objective.inputs.shape[1]
    one, other = Guesser(vocabulary).eval(), Guesser(vocabulary, word=9, logit=3.0).eval()
    for seed, network in enumerate((one, other)):
        torch.manual_seed(seed)
        objective.predict(network, split, CPU)
    for (shown, chosen), (again, as_well) in zip(one.shown, other.shown, strict=True):
        assert torch.equal(shown, again)
        assert torch.equal(chosen, as_well)
    one.shown.clear()
    inputs, targets = objective.inputs.collate(split, np.arange(len(split)))
    for _ in range(2):
        objective.loss(one, inputs, targets, TRAINING)
    assert not torch.equal(one.shown[0][1], one.shown[1][1])


def test_a_batch_in_which_nothing_is_hidden_has_a_finite_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = task_on("pretraining", tmp_path)
    monkeypatch.setattr("quintet.tasks.pretraining.CHOSEN", 1e-9)
    network = objective.network(MODELS["gru"])
    inputs, targets = objective.inputs.collate(objective.inputs.encoded(TEXTS["pretraining"]), np.arange(2))
    loss = objective.loss(network, inputs, targets, TRAINING)
    loss.backward()
    assert torch.isfinite(loss)


# -- rows and shares


def test_a_batch_is_as_long_as_its_longest_row(tmp_path: Path) -> None:
    for task, texts in TEXTS.items():
        objective = task_on(task, tmp_path)
        split = objective.inputs.encoded(texts)
        lengths = objective.inputs.lengths(split)
        assert lengths.tolist() == [int(np.flatnonzero(row).max()) + 1 for row in split.inputs]
        order = np.concatenate(list(objective.inputs.batches(split)))
        assert sorted(order.tolist()) == list(range(len(split)))
        assert (np.diff(lengths[order]) <= 0).all(), "like lengths together"
        for rows in (np.array([int(lengths.argmin())]), np.arange(len(split))):
            inputs, targets = objective.inputs.collate(split, rows)
            assert inputs.shape == (len(rows), lengths[rows].max())
            assert targets.shape == ((*inputs.shape,) if task == "tagging" else np.shape(split.targets[rows]))


def test_a_share_of_the_labels_has_each_class_alike_and_is_drawn_by_seed(tmp_path: Path) -> None:
    texts = columns(text=[f"film {i}" for i in range(100)], target=[int(i < 20) for i in range(100)])
    objective = task_on("classification", tmp_path, texts)
    save_texts(tmp_path, "train", texts)

    def drawn(share: float, seed: int) -> dict[str, int]:
        split = objective.inputs.load("train", share, seed)
        assert split.texts.ids == split.ids.tolist()
        return dict(zip(split.ids.tolist(), split.targets.tolist(), strict=True))

    some = drawn(0.1, 0)
    assert Counter(some.values()) == {1: 2, 0: 8}
    assert some == drawn(0.1, 0)
    assert some.keys() != drawn(0.1, 1).keys()
    assert some.keys() < drawn(0.5, 0).keys() < drawn(1.0, 0).keys()
    assert Counter(drawn(0.01, 0).values()) == {1: 1, 0: 1}, "one of each class at least"
    assert all(texts["target"][texts.ids.index(name)] == target for name, target in some.items())


def test_a_share_of_sentences_keeps_words_with_their_tags(tmp_path: Path) -> None:
    texts = tagged(*(f"word{i}/LOC and more" for i in range(10)))
    objective = task_on("tagging", tmp_path, texts)
    save_texts(tmp_path, "train", texts)
    split = objective.inputs.load("train", 0.3, 5)
    assert len(split.texts) == 3
    assert [words[0] for words in split.texts["words"]] == [f"word{name[2:]}" for name in split.texts.ids]


def test_quotes_are_the_texts_by_id(tmp_path: Path) -> None:
    for task in ("classification", "tagging", "answering"):
        objective = task_on(task, tmp_path)
        quotes: dict[str, list[Any]] = objective.quotes(objective.inputs.encoded(TEXTS[task]))
        assert quotes["id"] == TEXTS[task].ids
        assert len(quotes["text"]) == len(TEXTS[task])
        assert all(isinstance(text, str) and text for text in quotes["text"])


def test_texts_that_nobody_labelled_can_be_read(tmp_path: Path) -> None:
    """As serving does: a question whose answer is not known."""
    objective = task_on("answering", tmp_path)
    known = TEXTS["answering"]
    unknown = Texts(known.ids, {**known.columns, "answers": [[]] * 3, "starts": [[]] * 3})
    split, with_answers = (objective.inputs.encoded(texts) for texts in (unknown, known))
    assert np.array_equal(split.inputs, with_answers.inputs)
    assert not split.targets.any()
