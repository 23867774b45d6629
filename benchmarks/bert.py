"""Our fine-tuning step of a BERT against transformers' own network of the same size in a bare loop."""

from __future__ import annotations

import logging
import time
import warnings
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.steps import fitted
from benchmarks.turns import LEAST_STEPS, ROUNDS, SECONDS, alternate, table
from quintet.data.spec import DataSpec
from quintet.data.text.store import Texts
from quintet.data.text.tokenizer import train_tokenizer
from quintet.tasks.classification import Classification
from quintet.tasks.supervised import Supervised
from quintet.training.precision import Precision, choose
from quintet.training.settings import Training
from quintet.training.texts import TextSplit

BATCH, TIME, VOCABULARY = 32, 128, 2000
# BERT-mini (Turc et al. 2019, Well-Read Students Learn Better).
SETTINGS = {"embed_dim": 256, "num_layers": 4, "num_heads": 4}


def run() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    print(f"BERT-mini, classification, batch {BATCH} x {TIME} tokens, steps a second, median of {ROUNDS} turns.")
    with TemporaryDirectory() as folder:
        objective, split = _data(Path(folder))
        fp32 = Precision("32-true", torch.contiguous_format, "")
        example = objective.inputs.example(BATCH, torch.device("cpu"))
        auto = choose("auto", _network(objective), example, on_gpu=False)
        found = alternate(
            {
                "transformers, bare loop, fp32": partial(_theirs, split, objective.inputs.shape[1]),
                "ours, fp32": partial(_ours, objective, split, fp32),
                f"ours, auto ({auto.lightning})": partial(_ours, objective, split, auto),
            }
        )
    print(table(found), flush=True)


def _data(folder: Path) -> tuple[Classification, TextSplit]:
    """Random words, as many a text as fill the longest row."""
    words = [f"w{number}" for number in range(VOCABULARY)]
    rng = np.random.default_rng(0)
    drawn = [" ".join(rng.choice(words, TIME)) for _ in range(20 * BATCH)]
    train_tokenizer([" ".join(words)], "wordpiece", 2 * VOCABULARY, True).save(str(folder / "tokenizer.json"))
    spec = DataSpec(
        "random", "text", "class", (TIME, 0, 0, 3), ("no", "yes"), {"train": len(drawn)}, {}, (), (), 0, {}, ""
    )
    objective = Classification(spec, None, folder)
    targets = rng.integers(0, 2, len(drawn)).tolist()
    split = objective.inputs.encoded(  # type: ignore[attr-defined]
        Texts([str(i) for i in range(len(drawn))], {"text": drawn, "target": targets})
    )
    return objective, split


def _network(objective: Classification) -> torch.nn.Module:
    torch.manual_seed(0)
    return objective.network({"family": "bert", "name": "bert", "settings": SETTINGS})


def _ours(objective: Classification, split: TextSplit, precision: Precision) -> float:
    training = Training.model_validate({"budget": {"steps": 10**9}, "batch_size": BATCH, "optimiser": {"lr": 1e-4}})
    return fitted(Supervised("bench", _network(objective), objective, split, split, training, 0), precision)


def _theirs(split: TextSplit, vocabulary: int) -> float:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=SETTINGS["embed_dim"],
        num_hidden_layers=SETTINGS["num_layers"],
        num_attention_heads=SETTINGS["num_heads"],
        intermediate_size=4 * SETTINGS["embed_dim"],
        max_position_embeddings=TIME,
    )
    network = BertForSequenceClassification(config).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    tokens, targets = torch.from_numpy(split.inputs).long(), torch.from_numpy(split.targets)
    steps, start = 0, 0.0
    for chosen in torch.arange(len(tokens)).repeat(100).split(BATCH):
        optimiser.zero_grad()
        loss = network(tokens[chosen], attention_mask=tokens[chosen] != 0, labels=targets[chosen]).loss
        loss.backward()
        optimiser.step()
        steps += 1
        # The first steps warm up: kernels are picked, memory is taken.
        if steps == 2:
            start = time.perf_counter()
        elif steps >= 2 + LEAST_STEPS and time.perf_counter() - start >= SECONDS:
            break
    return (steps - 2) / (time.perf_counter() - start)
