"""What served networks of texts answer is what the tasks predict, with places in the text that was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quintet.data.text.store import TOKENIZER
from quintet.serving import make_adapter
from quintet.serving.adapter import BadInput
from quintet.serving.files import predict_files
from quintet.serving.texts import MAX_CHARACTERS, TextAdapter
from quintet.training.weights import save_weights
from tests.tasks.texts import LONG, MODELS, TEXTS, task_on

TASKS = tuple(TEXTS)


@pytest.fixture
def served(tmp_path: Path) -> Callable[..., tuple[TextAdapter, Any]]:
    """The adapter of an untrained network whose answers vary, and the objective to compare with."""

    def make(task: str, model: str = "gru") -> tuple[TextAdapter, Any]:
        torch.manual_seed(0)
        objective = task_on(task, tmp_path)
        network = objective.network(MODELS[model])
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(std=0.5)
        save_weights(network.state_dict(), tmp_path / "weights.safetensors")
        spec = json.loads(json.dumps(asdict(objective.spec)))
        adapter = make_adapter({"task": task, "model": MODELS[model]}, spec)
        assert isinstance(adapter, TextAdapter)
        adapter.load(tmp_path / "weights.safetensors", {"tokenizer": tmp_path / TOKENIZER})
        return adapter, objective

    return make


@pytest.mark.parametrize("task", TASKS)
def test_the_example_is_answered_with_the_fields_it_promises(task: str, served: Callable[..., Any]) -> None:
    adapter, _ = served(task)
    example = adapter.example()
    assert set(example) == set(adapter.takes)
    [answer] = adapter.answer([adapter.read(example)])
    assert set(answer) == set(adapter.gives)
    json.dumps(answer)


def test_a_text_has_the_class_that_the_task_predicts_and_says_what_was_not_read(served: Callable[..., Any]) -> None:
    adapter, objective = served("classification")
    texts = [*TEXTS["classification"]["text"], "film " * 23 + "\n", "film " * 22]
    answers = adapter.answer([adapter.read({"text": text}) for text in texts])
    found = objective.predict(adapter.network, objective.inputs.encoded(TEXTS["classification"]), torch.device("cpu"))
    assert [answer["class"] for answer in answers[:6]] == found.prediction.tolist()
    assert [answer["confidence"] for answer in answers[:6]] == pytest.approx(found.more["confidence"].tolist())
    for answer in answers:
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["confidence"] == answer["probabilities"][answer["class"]]
    # Rows of 24 tokens hold 22 words.
    assert [answer["unread"] for answer in answers] == [0] * 6 + [len(" film"), 0]


def test_entities_stand_where_they_say_also_beyond_a_window(served: Callable[..., Any]) -> None:
    adapter, objective = served("tagging")
    sentences = [" ".join(words) for words in TEXTS["tagging"]["words"]]
    answers = adapter.answer([adapter.read({"text": text}) for text in sentences])
    found = objective.predict(adapter.network, objective.inputs.encoded(TEXTS["tagging"]), torch.device("cpu"))
    said = ["; ".join(f"{e['text']} ({e['type']})" for e in answer["entities"]) or "none" for answer in answers]
    assert said == found.prediction.tolist()
    assert any(e["begin"] > 80 for e in answers[1]["entities"]), "the second sentence is read in two windows"
    for text, answer in zip(sentences, answers, strict=True):
        for entity in answer["entities"]:
            assert text[entity["begin"] : entity["end"]] == entity["text"]
            assert 0 < entity["score"] <= 1
    # White space and punctuation are where they were.
    text = "  Ann,\n(Bob)\tRome!"
    [answer] = adapter.answer([adapter.read({"text": text})])
    assert all(text[e["begin"] : e["end"]] == e["text"] for e in answer["entities"])


def test_answers_are_cut_from_the_context_that_was_sent(served: Callable[..., Any]) -> None:
    adapter, objective = served("answering")
    texts = TEXTS["answering"]
    rows = [{"question": q, "context": c} for q, c in zip(texts["question"], texts["context"], strict=True)]
    answers = adapter.answer([adapter.read(row) for row in rows])
    found = objective.predict(adapter.network, objective.inputs.encoded(texts), torch.device("cpu"))
    assert [answer["answer"] for answer in answers] == found.prediction.tolist()
    for row, answer in zip(rows, answers, strict=True):
        assert row["context"][answer["begin"] : answer["end"]] == answer["answer"]
        assert 0 < answer["score"] <= 1
    with pytest.raises(BadInput, match="the question has 23 tokens; this model takes 10 at most"):
        adapter.read({"question": " ".join(LONG), "context": "a"})


def test_hidden_words_are_guessed_in_their_places(served: Callable[..., Any]) -> None:
    adapter, _ = served("pretraining", "encoder")
    texts = ["the [MASK] sat on the [MASK] .", "[MASK] [SEP]"]
    answers = adapter.answer([adapter.read({"text": text}) for text in texts])
    for text, answer in zip(texts, answers, strict=True):
        assert [text[m["begin"] : m["end"]] for m in answer["masks"]] == ["[MASK]"] * text.count("[MASK]")
        for mask in answer["masks"]:
            likely = list(mask["candidates"].values())
            assert len(likely) == 5
            assert likely == sorted(likely, reverse=True)
            assert 0 < sum(likely) <= 1
    # One by one they are the same: the shorter text was padded.
    alone = [adapter.answer([adapter.read({"text": text})])[0]["masks"][-1]["candidates"] for text in texts]
    for one, together in zip(alone, answers, strict=True):
        assert one == pytest.approx(together["masks"][-1]["candidates"], rel=1e-4)
    for text, reason in (("no mask", r"no \[MASK\]"), ("[MASK] " + "the " * 23, "24 tokens; this model takes 22")):
        with pytest.raises(BadInput, match=reason):
            adapter.read({"text": text})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (5, "the text is no text"),
        (None, "the text is no text"),
        (["a"], "the text is no text"),
        ("", "the text is empty"),
        (" \n\t", "the text is empty"),
        ("a" * (MAX_CHARACTERS + 1), "the text has 100,001 characters; the limit is 100,000"),
        ("a \ud800", "half a character"),
    ],
    ids=["number", "nothing", "list", "empty", "blank", "long", "surrogate"],
)
@pytest.mark.parametrize("task", ["classification", "tagging", "pretraining"])
def test_a_bad_text_is_refused_with_its_reason(task: str, text: Any, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        make_adapter({"task": task}, {"kind": "text"}).read({"text": text})


def test_strange_texts_have_answers(served: Callable[..., Any]) -> None:
    strange = ["\x00", "\u0301", "🙂🙂", "ﷺ" * 50, "a" * 3000, "\u200b", "[SEP] [CLS]", "=" * 500]
    for task in ("classification", "tagging"):
        adapter, _ = served(task)
        assert len(adapter.answer([adapter.read({"text": text}) for text in strange])) == len(strange)
    adapter, _ = served("answering")
    answers = adapter.answer([adapter.read({"question": "who ?", "context": text}) for text in strange])
    assert all(context[a["begin"] : a["end"]] == a["answer"] for context, a in zip(strange, answers, strict=True))


# -- files


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf8").splitlines()]


def test_tables_and_text_files_are_answered_row_by_row(served: Callable[..., Any], tmp_path: Path) -> None:
    adapter, _ = served("classification")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("a good film\n")
    (folder / "b.csv").write_bytes('\ufeffid,text\n1,a bad film\n\n2,"not,\ngood"\n3\n4,\n5,good\n'.encode())
    (folder / "c.tsv").write_text("text\tid\ngood\t1\n")
    (folder / "d.jsonl").write_text('{"text": "bad"}\n\n{"txt": 1}\n[1]\nnot json\n{"text": 5}\n')
    (folder / "e.csv").write_text("words\nx\n")
    (folder / "f.txt").write_bytes(b"good\n\xff\xfe")
    (folder / "g.csv").write_text('text\ngood\n"open\n')
    (folder / "h.pdf").touch()
    result = predict_files(adapter, [folder], tmp_path / "out.jsonl", skip_bad=True)
    rows = lines(tmp_path / "out.jsonl")
    assert [row["input"].removeprefix(f"{folder}/") for row in rows] == [
        *("a.txt", "b.csv:2", "b.csv:4", "b.csv:8", "c.tsv:2", "d.jsonl:1", "g.csv:2"),
    ]
    assert {name.removeprefix(f"{folder}/"): reason for name, reason in result.bad.items()} == {
        "b.csv:6": "1 fields where the first line has 2",
        "b.csv:7": "the text is empty",
        "d.jsonl:3": "there is no 'text'",
        "d.jsonl:4": "the line is no object, such as {…}",
        "d.jsonl:5": "the line is no JSON",
        "d.jsonl:6": "the text is no text",
        "e.csv": "no column 'text' in its first line, 'words'",
        "f.txt": "line 2 is not UTF-8",
        "g.csv": "line 3 is no row of a CSV (unexpected end of data)",
    }
    assert result.passed_over == [str(folder / "h.pdf")]


def test_entities_and_questions_go_into_every_kind_of_table(served: Callable[..., Any], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    tagger, _ = served("tagging")
    (tmp_path / "a.txt").write_text("Ann met Bob in Rome")
    for suffix in ("jsonl", "parquet", "csv"):
        predict_files(tagger, [tmp_path / "a.txt"], tmp_path / f"out.{suffix}")
    [row] = lines(tmp_path / "out.jsonl")
    assert row["entities"], "the made-up network finds some"
    [kept] = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert json.loads(kept["entities"]) == row["entities"]
    assert json.dumps(row["entities"])[:10].replace('"', '""') in (tmp_path / "out.csv").read_text()
    answerer, _ = served("answering")
    (tmp_path / "q.csv").write_text("question,context\nWhere is Bob ?,Bob is in the hall .\n")
    predict_files(answerer, [tmp_path / "q.csv"], tmp_path / "answers.parquet")
    [answer] = pq.read_table(tmp_path / "answers.parquet").to_pylist()
    assert "Bob is in the hall ."[answer["begin"] : answer["end"]] == answer["answer"]
    assert np.isfinite(answer["score"])
    with pytest.raises(BadInput, match=r"a file of another kind; it takes: \.csv, \.tsv, \.jsonl"):
        next(answerer.inputs_of(tmp_path / "a.txt"))
