from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pandas as pd
import pytest
import torch
from mlflow.pyfunc import scoring_server

from quintet.data.spec import DataSpec
from quintet.data.text.store import TOKENIZER
from quintet.errors import UserError
from quintet.serving import ADAPTERS, make_adapter
from quintet.serving.adapter import Adapter, BadInput, Row, Type
from quintet.tasks.generation import Generation
from quintet.tracking.journal import Journal
from quintet.tracking.registry import model_of
from quintet.tracking.serving import BadRequest, ServedModel
from quintet.tracking.store import Store
from quintet.training.weights import save_weights
from tests.tasks.texts import MODELS, task_on
from tests.tracking.conftest import send
from tests.tracking.test_registry import load


class Finder(Adapter):
    """Says where in a text a word stands: two columns in, a file of its own beside the weights."""

    noun = "question"
    takes: ClassVar[Mapping[str, Type]] = {"word": "string", "text": "string"}
    gives: ClassVar[Mapping[str, Type]] = {"start": "long", "words": "list of string"}
    suffixes = (".txt",)

    def example(self) -> Row:
        return {"word": "b", "text": "a b"}

    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        self.known = files["vocabulary"].read_text().split()

    def read(self, row: Row) -> tuple[str, str]:
        if row["word"] not in self.known:
            raise BadInput(f"'{row['word']}' is no word of this model")
        return row["word"], row["text"]

    def inputs_of(self, file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
        raise NotImplementedError

    def answer(self, inputs: Sequence[tuple[str, str]]) -> list[Row]:
        return [{"start": text.find(word), "words": text.split()} for word, text in inputs]


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch, journal: Journal, store: Store) -> Callable[[Row], httpx.Response]:
    """MLflow's own server around a model of a task that only the table knows."""
    monkeypatch.setitem(ADAPTERS, ("finding", "text"), f"{__name__}:Finder")
    for name in ("weights.safetensors", "words.txt"):
        journal.path.with_name(name).write_text("a b")
    journal.start("run", experiment="finding")
    journal.model(
        journal.path.with_name("weights.safetensors"),
        settings={"task": "finding"},
        spec={"kind": "text"},
        files={"vocabulary": journal.path.with_name("words.txt")},
    )
    model = model_of(store, send(store, journal))
    assert model is not None
    app = scoring_server.init(load(store, model.model_uri))

    async def post(body: Row) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://served") as client:
            return await client.post("/invocations", json=body)

    return lambda body: asyncio.run(post(body))


def test_a_task_of_the_table_is_kept_and_served_with_its_columns_and_files(
    finder: Callable[[Row], httpx.Response],
) -> None:
    rows = [{"word": "b", "text": "a b"}, {"word": "a", "text": "a b"}]
    columns = {name: [row[name] for row in rows] for name in ("word", "text")}
    split = {"columns": ["word", "text"], "data": [["b", "a b"], ["a", "a b"]]}
    for body in ({"dataframe_records": rows}, {"inputs": columns}, {"dataframe_split": split}):
        answer = finder(body)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"predictions": [{"start": 2, "words": ["a", "b"]}, {"start": 0, "words": ["a", "b"]}]}
    rows[1]["word"] = "c"
    answer = finder({"dataframe_records": rows})
    assert (answer.status_code, answer.json()["message"]) == (400, "question 1: 'c' is no word of this model")
    for body in (
        {"dataframe_records": [{"word": "a"}]},
        {"dataframe_records": [{"word": "a", "text": 5}]},
        {"inputs": {"word": ["a", "b"], "text": ["a"]}},
    ):
        answer = finder(body)
        assert answer.status_code == 400, answer.text


def test_a_network_of_texts_is_kept_with_its_tokenizer_and_answers_over_http(
    journal: Journal, store: Store, tmp_path: Path
) -> None:
    objective = task_on("tagging", tmp_path)
    network = objective.network(MODELS["gru"])
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([0.0, 0, 0, 9, 0]))  # every word is a person
    save_weights(network.state_dict(), tmp_path / "weights.safetensors")
    journal.start("run", experiment="tagging")
    journal.model(
        tmp_path / "weights.safetensors",
        settings={"task": "tagging", "model": MODELS["gru"]},
        spec=asdict(objective.spec),
        files={"tokenizer": tmp_path / TOKENIZER},
    )
    model = model_of(store, send(store, journal))
    assert model is not None
    app = scoring_server.init(load(store, model.model_uri))

    async def post(*bodies: Row) -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://served") as client:
            return [await client.post("/invocations", json=body) for body in bodies]

    good, bad, empty, wrong, absent = asyncio.run(
        post(
            {"inputs": ["Ann (met)", "Bob"]},
            {"dataframe_records": [{"text": "Ann"}, {"text": 5}]},
            {"dataframe_records": [{"text": "Ann"}, {"text": " "}]},
            {"dataframe_records": [{"words": "Ann"}]},
            {},
        )
    )
    assert good.status_code == 200, good.text
    first, second = ([e["text"] for e in answer["entities"]] for answer in good.json()["predictions"])
    assert (first, second) == (["Ann", "(", "met", ")"], ["Bob"])
    assert good.json()["predictions"][0]["entities"][2]["begin"] == 5
    assert (empty.status_code, empty.json()["message"]) == (400, "text 1: the text is empty")
    assert [answer.status_code for answer in (bad, wrong, absent)] == [400] * 3


def test_a_generator_makes_pictures_over_http_and_refuses_what_makes_no_sense(
    journal: Journal, store: Store, tmp_path: Path
) -> None:
    settings = {"family": "cnn", "name": "vae", "settings": {"latent_dim": 4, "width": 4, "conditional": True}}
    spec = DataSpec("bars", "image", "class", (1, 8, 8), ("a", "b"), {}, {}, (0.5,), (0.2,), 0, {}, "bars-1")
    network = Generation(spec).network(settings)
    save_weights(network.state_dict(), tmp_path / "weights.safetensors")
    journal.start("run", experiment="generation")
    journal.model(
        tmp_path / "weights.safetensors", settings={"task": "generation", "model": settings}, spec=asdict(spec)
    )
    model = model_of(store, send(store, journal))
    assert model is not None
    app = scoring_server.init(load(store, model.model_uri))

    async def post(*bodies: Row) -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://served") as client:
            return [await client.post("/invocations", json=body) for body in bodies]

    whole = {"seed": 3, "class": "b", "truncation": 0.5, "count": 2}
    full, mixed, *bad = asyncio.run(
        post(
            {"dataframe_records": [whole]},
            {"dataframe_records": [{"seed": 3}, whole]},
            {"dataframe_records": [{**whole, "class": "c"}]},
            {"dataframe_records": [whole, {**whole, "truncation": 2}]},
            {"dataframe_records": [{**whole, "count": 65}]},
            {"dataframe_records": [{"class": "b"}]},
            {"dataframe_records": [whole] * 17},
            {"dataframe_records": [{}]},
            {},
        )
    )
    assert full.status_code == 200, full.text
    [answer] = full.json()["predictions"]
    assert answer["classes"] == ["b", "b"]
    assert [base64.b64decode(image)[1:4] for image in answer["images"]] == [b"PNG"] * 2
    # A row that leaves columns out takes their defaults, also beside one that does not.
    assert mixed.status_code == 200, mixed.text
    assert [len(row["images"]) for row in mixed.json()["predictions"]] == [1, 2]
    assert mixed.json()["predictions"][1] == answer
    assert [response.status_code for response in bad] == [400] * 7
    assert bad[0].json()["message"] == "row 0: unknown class 'c'; it takes: a, b"
    assert bad[1].json()["message"].startswith("row 1: truncation 2; it takes")
    assert bad[2].json()["message"] == "row 0: count 65; it takes 1 to 64"
    assert bad[4].json()["message"] == "17 rows in one request; it takes 1 to 16"


def test_a_request_of_too_many_images_is_refused() -> None:
    model = ServedModel()
    model.adapter = make_adapter({"task": "classification"}, {"kind": "image"})
    with pytest.raises(BadRequest, match="1025 images in one request; it takes 1 to 1024") as caught:
        model.predict(None, pd.DataFrame({"image": [""] * 1025}))
    assert caught.value.get_http_status_code() == 400
    assert json.loads(caught.value.serialize_as_json())["message"].startswith("1025 images")
    with pytest.raises(BadRequest, match="0 images in one request"):
        model.predict(None, pd.DataFrame({"image": [[]]}))


def test_a_task_that_can_not_be_served_is_told() -> None:
    with pytest.raises(UserError, match=r"translation of text data can not be served yet; what can: classification of"):
        make_adapter({"task": "translation"}, {"kind": "text"})
