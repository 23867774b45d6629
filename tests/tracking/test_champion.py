from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from quintet.tracking import champion
from quintet.tracking.champion import Candidate, contend
from quintet.tracking.registry import aliases, versions
from quintet.tracking.store import Store

NAME = "classification-digits"


@pytest.fixture
def candidate(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Candidate]:
    """Makes candidates that are right on the first `right` of 200 validation examples, with runs of their own."""

    def register(store: Store, name: str, run_id: str, tags: dict[str, str]) -> str:
        """Without a model, which costs a second and decides nothing."""
        if not store.client.search_registered_models(f"name = '{name}'"):
            store.client.create_registered_model(name)
        known = {v.run_id: number for number, v in versions(store, name).items()}
        return known.get(run_id) or str(store.client.create_model_version(name, "file:///", run_id, tags=tags).version)

    monkeypatch.setattr(champion, "register", register)
    experiment_id = store.experiment_id("classification")

    def make(experiment: str, right: int, seeds: int = 1, examples: int = 200) -> Candidate:
        rows = [
            {"seed": seed, "id": f"digits/{i}", "score": float(i < right), "weight": 1.0}
            for seed in range(seeds)
            for i in np.random.default_rng(seed).permutation(examples).tolist()
        ]
        run = store.client.create_run(experiment_id)
        return Candidate(
            task="classification",
            data="digits",
            experiment=experiment,
            run_id=run.info.run_id,
            digest="sha256:1",
            rows=pa.Table.from_pylist(rows),
            higher_is_better=True,
        )

    return make


def test_the_champion_moves_only_to_what_validation_shows_to_be_better(
    store: Store, candidate: Callable[..., Candidate]
) -> None:
    first, slightly, clearly = candidate("lenet", 150), candidate("gru", 153), candidate("resnet", 170, seeds=3)
    assert contend(store, first) == f"{NAME}: lenet is champion: the first"
    verdict = contend(store, slightly)
    assert verdict.startswith(f"{NAME}: gru is challenger: not better than lenet (version 1) (validation +0.015, p = ")
    assert aliases(store, NAME) == {"champion": "1", "challenger": "2"}
    tags = versions(store, NAME)["2"].tags
    assert (tags["experiment"], tags["against"], tags["difference"]) == ("gru", "1", "+0.015")
    assert float(tags["p_value"]) == 0.25  # three examples differ, all in one direction: 2 / 2**3
    assert "better than lenet (version 1)" in contend(store, clearly)
    assert aliases(store, NAME) == {"champion": "3", "challenger": "2"}
    history = versions(store, NAME)
    assert history["1"].tags["replaced_by"] == "3"
    assert float(history["3"].tags["p_value"]) < 0.001
    # What was worse contends again, now against another.
    assert "gru is challenger: not better than resnet (version 3)" in contend(store, slightly)
    assert aliases(store, NAME)["champion"] == "3"


def test_the_same_candidate_changes_nothing(store: Store, candidate: Callable[..., Candidate]) -> None:
    first, second = candidate("lenet", 150), candidate("gru", 120)
    contend(store, first)
    verdict = contend(store, second)
    before = versions(store, NAME)
    assert contend(store, first) == f"{NAME}: lenet stays champion"
    assert contend(store, second).partition(": ")[2] == verdict.partition("is ")[2]
    after = versions(store, NAME)
    assert [v.tags for v in after.values()] == [v.tags for v in before.values()]
    assert aliases(store, NAME) == {"champion": "1", "challenger": "2"}


def test_where_less_is_better_the_lower_score_wins(store: Store, candidate: Callable[..., Candidate]) -> None:
    contend(store, replace(candidate("lenet", 150), higher_is_better=False))
    assert "gru is champion: better" in contend(store, replace(candidate("gru", 100), higher_is_better=False))
    assert "vit is challenger" in contend(store, replace(candidate("vit", 180), higher_is_better=False))


def test_what_can_not_be_compared_takes_over_and_says_so(store: Store, candidate: Callable[..., Candidate]) -> None:
    contend(store, candidate("lenet", 190))
    other_data = replace(candidate("gru", 100), digest="sha256:2")
    words = "is champion: takes over from lenet (version 1), with which it can not be compared: the data have changed"
    assert words in contend(store, other_data)
    fewer = replace(candidate("vit", 100, examples=150), digest="sha256:2")
    assert "can not be compared: the validation examples have changed" in contend(store, fewer)
    run = store.client.get_run(fewer.run_id)
    shutil.rmtree(Path(run.info.artifact_uri.removeprefix("file://")) / "champion")
    last = replace(candidate("lstm", 90, examples=150), digest="sha256:2")
    assert "can not be compared: its validation rows are not kept" in contend(store, last)
    assert aliases(store, NAME) == {"champion": "4"}
    assert [versions(store, NAME)[n].tags.get("replaced_by") for n in "1234"] == ["2", "3", "4", None]


def test_what_a_crash_left_undecided_is_decided_again(
    store: Store, candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    contend(store, candidate("lenet", 100))
    better = candidate("gru", 190)
    with monkeypatch.context() as patch:
        patch.setattr(store.client, "set_registered_model_alias", lambda *_: (_ for _ in ()).throw(OSError("away")))
        with pytest.raises(OSError, match="away"):
            contend(store, better)
    assert "gru is champion: better than lenet" in contend(store, better)
    assert aliases(store, NAME) == {"champion": "2"}
