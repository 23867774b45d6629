"""Our training step against the same network in a bare PyTorch loop."""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.turns import LEAST_STEPS, ROUNDS, SECONDS, alternate, ratio
from quintet.data.spec import DataSpec, Split
from quintet.models.build import build_classifier
from quintet.tasks.classification import Classification
from quintet.tasks.supervised import Supervised
from quintet.training.images import network_input, normalise
from quintet.training.precision import Precision, choose
from quintet.training.settings import Training

# In an epoch. Fewer would make the validation after each, which the bare loop has not, look like a cost of steps.
BATCHES = 100


@dataclass(frozen=True)
class Case:
    """A network and the batches it is trained on."""

    title: str
    family: str
    name: str
    shape: tuple[int, int, int]
    batch: int
    settings: dict[str, Any] = field(default_factory=dict)

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return build_classifier(
            {"family": self.family, "name": self.name, "settings": self.settings}, "image", self.shape, 10
        )


_VIT = {"patch_size": 4, "embed_dim": 64, "num_layers": 4, "num_heads": 4, "mlp_ratio": 2.0, "dropout": 0.0}
CASES = (
    Case("LeNet-5, 28 x 28, batch 128", "cnn", "lenet", (1, 28, 28), 128),
    Case("ResNet-20, 32 x 32, batch 128", "cnn", "resnet-cifar", (3, 32, 32), 128),
    Case("ResNet-18, 32 x 32, batch 128", "cnn", "resnet", (3, 32, 32), 128),
    Case("ViT (64 wide, 4 layers), 28 x 28, batch 128", "transformer", "vit", (1, 28, 28), 128, _VIT),
    Case("LSTM by rows, 28 x 28, batch 128", "rnn", "lstm", (1, 28, 28), 128),
)


def run() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    threads = torch.get_num_threads()
    print(f"Training steps a second on {threads} thread(s), median of {ROUNDS} turns of {SECONDS:g} s or more.")
    print("'bare' is the network in a plain fp32 PyTorch loop over the same batches in memory; 'fp32' and 'auto' are")
    print("what the training stage does for `precision: 32-true` and `auto`, memory format included.")
    print(f"{'':45} {'bare':>8} {'fp32':>8} {'auto':>8}   {'fp32/bare':18} {'auto/bare':18} auto is")
    for case in CASES:
        spec, split = _data(case)
        example = network_input(spec, case.batch, torch.device("cpu"))
        fp32, auto = (choose(asked, case.network(), example, on_gpu=False) for asked in ("32-true", "auto"))
        found = alternate(
            {
                "bare": partial(_bare, case, spec, split),
                "fp32": partial(_ours, case, spec, split, fp32),
                "auto": partial(_ours, case, spec, split, auto),
            }
        )
        bare, plain, best = (median(rates) for rates in found.values())
        channels = ", channels last" if auto.memory_format is torch.channels_last else ""
        print(
            f"{case.title:45} {bare:8.2f} {plain:8.2f} {best:8.2f}   {ratio(found['fp32'], found['bare']):18} "
            f"{ratio(found['auto'], found['bare']):18} {auto.lightning}{channels}",
            flush=True,
        )
    print("Goal: fp32/bare at least 0.97.\n")


def _data(case: Case) -> tuple[DataSpec, Split]:
    rng = np.random.default_rng(0)
    examples = BATCHES * case.batch
    pixels = rng.integers(0, 256, (examples, *case.shape), dtype=np.uint8)
    split = Split(np.arange(examples).astype(str), pixels, rng.integers(0, 10, examples))
    channels = case.shape[0]
    spec = DataSpec(
        "random", "image", "class", case.shape, tuple("0123456789"), {"train": examples}, {}, (0.5,) * channels,
        (0.25,) * channels, 0, {}, "",
    )  # fmt: skip
    return spec, split


def _bare(case: Case, spec: DataSpec, split: Split) -> float:
    """Steps a second of the shortest loop that does the same: batch, normalise, forward, backward, AdamW."""
    network = case.network().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    inputs, targets = torch.from_numpy(split.inputs), torch.from_numpy(split.targets)
    generator = torch.Generator().manual_seed(0)
    steps, end = 0, float("inf")
    # The first steps warm up: kernels are picked, memory is taken.
    while steps < 2 + LEAST_STEPS or time.perf_counter() < end:
        for chosen in torch.randperm(len(inputs), generator=generator).split(case.batch):
            loss = F.cross_entropy(network(normalise(inputs[chosen], spec.mean, spec.std)), targets[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            steps += 1
            if steps == 2:
                start = time.perf_counter()
                end = start + SECONDS
            if steps >= 2 + LEAST_STEPS and time.perf_counter() >= end:
                break
    return (steps - 2) / (time.perf_counter() - start)


class _Clock(pl.Callback):
    """Times the steps after the first two and ends the training when the time is up."""

    def __init__(self) -> None:
        self.steps = 0
        self.start = self.end = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.steps += 1
        self.end = time.perf_counter()
        if self.steps == 2:
            self.start = self.end
        elif self.steps >= 2 + LEAST_STEPS and self.end - self.start >= SECONDS:
            trainer.should_stop = True

    @property
    def rate(self) -> float:
        return (self.steps - 2) / (self.end - self.start)


def _ours(case: Case, spec: DataSpec, split: Split, precision: Precision) -> float:
    """Steps a second of the training stage's own module and Trainer."""
    training = Training.model_validate(
        {"budget": {"steps": 10**9}, "batch_size": case.batch, "optimiser": {"lr": 1e-3}}
    )
    validation = Split(split.ids[:2], split.inputs[:2], split.targets[:2])
    network = case.network().to(memory_format=precision.memory_format)  # type: ignore[call-overload]
    return fitted(
        Supervised("bench", network, Classification(spec), split, validation, training, 0, precision.memory_format),
        precision,
    )


def fitted(task: Supervised, precision: Precision) -> float:
    """Steps a second of a module in a Trainer like the training stage's."""
    clock = _Clock()
    with TemporaryDirectory() as folder:
        pl.Trainer(
            accelerator="cpu",
            precision=precision.lightning,  # type: ignore[arg-type]
            max_epochs=-1,
            max_steps=10**9,
            callbacks=[clock],
            logger=False,
            enable_checkpointing=False,
            deterministic="warn",
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        ).fit(task)
    return clock.rate
