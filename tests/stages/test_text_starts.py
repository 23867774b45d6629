"""What a network of texts starts from: a published checkpoint, a pre-training of ours, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from quintet.data.spec import save_spec
from quintet.data.text.store import TOKENIZER, save_texts
from quintet.data.text.tokenizer import load_tokenizer
from quintet.errors import UserError
from quintet.models.bert.pretrained import from_transformers
from quintet.serving import make_adapter
from quintet.stages import declared, evaluate, train
from quintet.tasks.objective import load_objective
from quintet.tracking.journal import read
from tests.tasks.texts import TEXTS, task_on

# A step that changes next to nothing, so that the weights are those it began with.
STILL = {"budget": {"steps": 2}, "batch_size": 2, "optimiser": {"lr": 1e-12, "weight_decay": 0.0}}
BERT = {"family": "bert", "name": "bert"}
SMALL = {"embed_dim": 8, "num_layers": 1, "num_heads": 2}
TEXT = "not a good film at all , but long"
WORDS = [*TEXT.split(), "bad", "and", "from", "the", "first"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A folder with prepared texts; what the stages declare is what the test puts into the mapping."""
    monkeypatch.chdir(tmp_path)
    shown: dict[str, Any] = {"seeds": [0], "training": STILL, "trainer": {"accelerator": "cpu"}}
    monkeypatch.setattr(declared, "parameters", lambda stage: shown)
    monkeypatch.setattr(declared, "code_digest", lambda stage: "")
    for task, length in (("classification", 12), ("pretraining", 20)):
        folder = Path("data/prepared", task)
        folder.mkdir(parents=True)
        spec = task_on(task, folder, length=length).spec
        counts = dict.fromkeys(("train", "validation", "test"), len(TEXTS[task]))
        save_spec(folder, replace(spec, counts=counts, source={"took": "made up"}))
        for split in counts:
            save_texts(folder, split, TEXTS[task])
    return shown


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A BERT with random weights as `save_pretrained` writes it; its special tokens are not the first of all."""
    pieces = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = Tokenizer(WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    from tokenizers.pre_tokenizers import BertPreTokenizer

    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.enable_truncation(4)
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{f"{k}_token": v for k, v in names.items()})
    folder = tmp_path / "published"
    fast.save_pretrained(folder)
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=30,
        hidden_dropout_prob=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def encoder_of(run: str) -> dict[str, torch.Tensor]:
    weights = load_file(Path("outputs/runs", run, "train/seed-0/weights.safetensors"))
    return {name.removeprefix("encoder."): w for name, w in weights.items() if name.startswith("encoder.")}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """The same weights, but for positions that only one of them knows."""
    assert one.keys() == other.keys()
    return all(
        torch.allclose(a[: len(b)], b[: len(a)], atol=1e-6) for a, b in ((one[name], other[name]) for name in one)
    )


def test_a_published_checkpoint_is_trained_measured_and_served_with_its_own_tokenizer(
    project: dict[str, Any], checkpoint: Path
) -> None:
    model = {**BERT, "pretrained": str(checkpoint), "settings": {"attention_dropout": 0.0}}
    project["experiments"] = {"from-hub": {"data": "classification", "task": "classification", "model": model}}
    project["evaluation"] = {"resamples": 5, "latency_batches": [1], "latency_seconds": 0.01}
    train.train("from-hub")
    out = Path("outputs/runs/from-hub/train")
    settings = json.loads((out / "settings.json").read_text())
    sizes = {"embed_dim": 16, "num_layers": 2, "num_heads": 4, "mlp_ratio": 1.5}
    assert settings["model"]["settings"] == {**sizes, "dropout": 0.2, "attention_dropout": 0.0}
    published = from_transformers(BertModel.from_pretrained(checkpoint).state_dict(), 2)
    assert same(encoder_of("from-hub"), published)
    assert len(encoder_of("from-hub")["position_embedding.weight"]) == 12
    assert load_tokenizer(out).encode(TEXT, add_special_tokens=False).tokens == TEXT.split()
    start = read(out / "seed-0/journal.jsonl")[0]
    assert len(start["params"]["starts_from"]) == 64

    evaluate.evaluate("from-hub")
    measured = Path("outputs/runs/from-hub/evaluate")
    assert json.loads((measured / "evaluation.json").read_text())["title"] == "BERT 2/16, pre-trained"
    [kept] = [e for e in read(measured / "seed-0/journal.jsonl") if e["event"] == "model"]
    assert kept["files"] == {"tokenizer": f"../../train/{TOKENIZER}"}
    adapter = make_adapter(kept["settings"], kept["spec"])
    files = {name: measured / "seed-0" / file for name, file in kept["files"].items()}
    adapter.load(measured / "seed-0" / kept["weights"], files)
    [answer] = adapter.answer([adapter.read({"text": "not a good film"})])
    assert answer["class"] in ("good", "bad")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2"}'), "is a gpt2 checkpoint"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "can not be read"),
        (lambda folder: [f.unlink() for f in folder.glob("tokenizer*")], "the tokenizer of"),
    ],
    ids=["another network", "damaged weights", "no tokenizer"],
)
def test_a_checkpoint_that_can_not_be_read_is_told_with_its_place(
    project: dict[str, Any], checkpoint: Path, spoil: Callable[[Path], Any], reason: str
) -> None:
    spoil(checkpoint)
    entry = {"data": "classification", "task": "classification", "model": {**BERT, "pretrained": str(checkpoint)}}
    project["experiments"] = {"x": entry}
    with pytest.raises(UserError, match=rf"params\.yaml: experiments\.x\.model\.pretrained: .*{reason}"):
        train.train("x")


def test_a_fine_tuning_starts_from_its_pretraining_unless_it_is_fresh(project: dict[str, Any]) -> None:
    project["pretraining"] = {
        "pre": {"data": "pretraining", "task": "pretraining", "model": {**BERT, "settings": SMALL}},
    }
    tuned = {"data": "classification", "task": "classification", "pretrained": "pre"}
    project["finetuning"] = {"tuned": tuned, "control": {**tuned, "fresh": True}}
    train.train("pre", "pretraining")
    train.train("tuned", "finetuning")
    train.train("control", "finetuning")
    # It reads texts of up to 12 tokens, the pre-training of up to 20.
    assert len(encoder_of("tuned")["position_embedding.weight"]) == 12
    assert same(encoder_of("tuned"), encoder_of("pre"))
    assert not same(encoder_of("control"), encoder_of("pre"))
    vocabularies = {Path("outputs/runs", run, "train", TOKENIZER).read_text() for run in ("pre", "tuned", "control")}
    assert len(vocabularies) == 1, "all cut texts with the pre-training's vocabulary"


def test_other_weights_or_another_tokenizer_never_resume_a_stale_training(project: dict[str, Any]) -> None:
    from quintet.experiment import experiment

    entry = {"data": "classification", "task": "classification", "model": {**BERT, "settings": SMALL}}
    made = experiment("x", entry, [0], STILL, {}, declared.plain_where)
    own = load_objective("classification", Path("data/prepared/classification"))
    other = load_objective("classification", Path("data/prepared/classification"), Path("data/prepared/pretraining"))
    for name in ("a", "b"):
        Path(name).write_text(name)
    keys = {
        train._key(made, objective, "", weights)
        for objective in (own, other)
        for weights in (None, Path("a"), Path("b"))
    }
    assert len(keys) == 6
