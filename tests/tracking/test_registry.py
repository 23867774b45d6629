from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from quintet.errors import UserError
from quintet.models.build import build_encoder
from quintet.models.heads import Classifier
from quintet.tracking.journal import Journal
from quintet.tracking.registry import log_model, model_of, register, versions
from quintet.tracking.store import Store
from quintet.tracking.sync import sync
from quintet.training.images import normalise
from tests.tracking.conftest import send

NAME = "classification-digits"


def spec(channels: int = 1) -> dict[str, Any]:
    return {
        "kind": "image",
        "shape": [channels, 8, 8],
        "classes": ["zero", "one", "two"],
        "mean": [0.3] * channels,
        "std": [0.2] * channels,
    }


SETTINGS = {"task": "classification", "model": {"family": "rnn", "name": "gru", "settings": {"hidden_size": 6}}}


def network(channels: int = 1) -> Classifier:
    encoder = build_encoder("rnn", "gru", "image", (channels, 8, 8), SETTINGS["model"]["settings"])  # type: ignore[arg-type]
    return Classifier(encoder, 3).eval()


def train(journal: Journal, seed: int = 0) -> Classifier:
    """A journal with a model in it, of a network that was not trained."""
    torch.manual_seed(seed)
    made = network()
    weights = journal.path.with_name("weights.safetensors")
    save_file(made.state_dict(), weights)
    journal.start(f"gru-digits seed {seed}", experiment="classification")
    journal.model(weights, settings=SETTINGS, spec=spec(), tags={"seed": str(seed)})
    journal.end()
    return made


def load(store: Store, uri: str) -> mlflow.pyfunc.PyFuncModel:
    # load_model knows no client; outside tests the store is MLflow's default, or named by MLFLOW_TRACKING_URI.
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store.uri)
    try:
        return mlflow.pyfunc.load_model(uri)
    finally:
        mlflow.set_tracking_uri(before)
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def test_the_model_in_mlflow_answers_as_the_network_does(store: Store, journal: Journal) -> None:
    made = train(journal)
    run_id = send(store, journal)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    model = model_of(store, run_id)
    assert model is not None
    answers = load(store, model.model_uri).predict(pd.DataFrame({"image": images.tolist()}))
    expected = made(normalise(torch.from_numpy(images)[:, None], [0.3], [0.2])).softmax(-1)
    for answer, probabilities in zip(answers, expected.tolist(), strict=True):
        assert list(answer["probabilities"]) == ["zero", "one", "two"]
        assert list(answer["probabilities"].values()) == pytest.approx(probabilities, abs=1e-6)
        assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].__getitem__)
        assert answer["confidence"] == max(answer["probabilities"].values())


def test_the_model_has_signature_example_and_no_pickle(store: Store, journal: Journal) -> None:
    train(journal)
    run_id = send(store, journal)
    model = model_of(store, run_id)
    assert model is not None
    assert (model.source_run_id, model.tags["seed"]) == (run_id, "0")
    assert [m.model_id for m in store.client.get_run(run_id).outputs.model_outputs] == [model.model_id]
    folder = Path(model.artifact_location.removeprefix("file://"))
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files >= {"MLmodel", "served_model.py", "input_example.json", "artifacts/weights.safetensors"}
    assert not [f for f in files if f.endswith((".pkl", ".pt", ".pth", ".bin"))]
    loaded = load(store, model.model_uri)
    assert loaded.metadata.get_input_schema().input_names() == ["image"]
    assert loaded.metadata.get_output_schema().input_names() == ["class", "confidence", "probabilities"]
    [answer] = loaded.predict(loaded.input_example)
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_a_model_is_kept_once(store: Store, journal: Journal) -> None:
    train(journal)
    run_id = send(store, journal)
    again = log_model(store, run_id, journal.path.with_name("weights.safetensors"), settings=SETTINGS, spec=spec())
    model = model_of(store, run_id)
    assert model is not None
    assert again == model.model_uri
    assert len(store.client.search_logged_models(["1"])) == 1


def test_a_half_written_model_is_written_again(store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    train(journal)
    with monkeypatch.context() as patch:
        patch.setattr(store.client, "log_model_artifacts", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            send(store, journal)
    run_id = send(store, journal)
    model = model_of(store, run_id)
    assert model is not None
    load(store, model.model_uri)


def test_a_rebuilt_database_has_the_model_again(store: Store, journal: Journal, empty_database: Path) -> None:
    train(journal)
    send(store, journal)
    shutil.rmtree(store.root / "mlruns")
    shutil.copy(empty_database, store.root / "mlflow.db")
    new = Store(f"sqlite:///{store.root}//mlflow.db", root=store.root)
    sync([store.root / "outputs"], new)
    [run] = new.client.search_runs(["1"])
    assert model_of(new, run.info.run_id) is not None


def test_a_model_is_registered_once(store: Store, journal: Journal, tmp_path: Path) -> None:
    train(journal)
    first = send(store, journal)
    other = Journal(tmp_path / "outputs/other/journal.jsonl")
    train(other, seed=1)
    other.close()
    second = send(store, other)
    tags = {"experiment": "gru-digits", "seed": "0", "validation_accuracy": "0.9"}
    assert register(store, NAME, first, tags) == "1"
    assert register(store, NAME, second, {}) == "2"
    assert register(store, NAME, first, {}) == "1"
    found = versions(store, NAME)
    assert {number: version.run_id for number, version in found.items()} == {"1": first, "2": second}
    assert found["1"].tags == tags


def test_a_run_without_a_model_is_not_registered(store: Store, full_journal: Journal) -> None:
    with pytest.raises(UserError, match="has no model to register"):
        register(store, NAME, send(store, full_journal), {})


def test_logging_a_model_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from quintet.tracking.store import Store; from quintet.tracking.journal import Journal\n"
        "from quintet.tracking.projection import project; from quintet.tracking.registry import register\n"
        "root = Path(sys.argv[1]); j = Journal(root / 'journal.jsonl'); (root / 'w').touch()\n"
        "j.start('run', experiment='classification')\n"
        "j.model(root / 'w', settings={'task': 'classification'}, spec={'kind': 'image', 'shape': [1, 8, 8]})\n"
        "store = Store(root=root); register(store, 'n', project(store, j.path), {})\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
