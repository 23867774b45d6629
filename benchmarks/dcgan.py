"""Our training step of a DCGAN against the loop of PyTorch's own example over the same networks."""

from __future__ import annotations

import logging
import time
import warnings
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.steps import fitted
from benchmarks.turns import LEAST_STEPS, ROUNDS, SECONDS, alternate, table
from quintet.data.spec import DataSpec, Split
from quintet.models.build import build_generator
from quintet.models.gan.dcgan import DCGAN
from quintet.tasks.game import Game
from quintet.tasks.generation import Generation
from quintet.tasks.objective import Objective
from quintet.training.precision import Precision, choose
from quintet.training.settings import Training

BATCH, SHAPE = 64, (1, 28, 28)
LR, BETAS = 2e-4, (0.5, 0.999)


class _Unjudged(Generation):
    """Only steps are timed, so no judge is trained."""

    def ready(self) -> None:
        pass


class _Unwatched(Game):
    """Likewise nothing is measured between them."""

    def on_train_epoch_end(self) -> None:
        pass


def run() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    print(f"DCGAN, {SHAPE[1]} x {SHAPE[2]}, batch {BATCH}, steps of both players a second, median of {ROUNDS} turns.")
    split = _images()
    spec = DataSpec("random", "image", "class", SHAPE, tuple("0123456789"), {}, {}, (0.5,), (0.25,), 0, {}, "")
    objective = _Unjudged(spec)
    example = objective.inputs.example(BATCH, torch.device("cpu"))
    auto = choose("auto", objective.called(_network()), example, on_gpu=False)
    fp32 = Precision("32-true", auto.memory_format, "")
    found = alternate(
        {
            "bare loop, fp32": partial(_bare, split),
            "ours, fp32": partial(_ours, objective, split, fp32),
            f"ours, auto ({auto.lightning})": partial(_ours, objective, split, auto),
        }
    )
    print(table(found), flush=True)


def _images() -> Split:
    rng = np.random.default_rng(0)
    count = 20 * BATCH
    pixels = rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    return Split(np.arange(count).astype(str), pixels, rng.integers(0, 10, count))


def _network() -> DCGAN:
    torch.manual_seed(0)
    network = build_generator({"family": "gan", "name": "dcgan", "settings": {}}, SHAPE, 10)
    assert isinstance(network, DCGAN)
    return network


def _ours(objective: Objective, split: Split, precision: Precision) -> float:
    """Steps a second of the training stage's own module, which averages the generator besides."""
    training = Training.model_validate(
        {"budget": {"steps": 10**9}, "batch_size": BATCH, "optimiser": {"lr": LR, "betas": BETAS}}
    )
    network = _network().to(memory_format=precision.memory_format)  # type: ignore[call-overload]
    task = _Unwatched("bench", network, objective, split, split, training, 0, precision.memory_format)
    return fitted(task, precision)


def _bare(split: Split) -> float:
    """Steps a second of `pytorch/examples:dcgan/main.py`'s loop: real images, made ones, then the generator's turn."""
    network = _network().train()
    maker, critic = network.generator, network.discriminator
    makers = torch.optim.AdamW(maker.parameters(), LR, BETAS, weight_decay=0.0)
    critics = torch.optim.AdamW(critic.parameters(), LR, BETAS, weight_decay=0.0)
    pixels, one, zero = torch.from_numpy(split.inputs), torch.ones(BATCH), torch.zeros(BATCH)
    steps, start = 0, 0.0
    for chosen in torch.randperm(len(pixels)).repeat(100).split(BATCH):
        critics.zero_grad()
        F.binary_cross_entropy_with_logits(critic(pixels[chosen].float() / 127.5 - 1), one).backward()  # type: ignore[no-untyped-call]
        made = maker(torch.randn(BATCH, network.latent_dim))
        F.binary_cross_entropy_with_logits(critic(made.detach()), zero).backward()  # type: ignore[no-untyped-call]
        critics.step()
        makers.zero_grad()
        F.binary_cross_entropy_with_logits(critic(made), one).backward()  # type: ignore[no-untyped-call]
        makers.step()
        steps += 1
        # The first steps warm up: kernels are picked, memory is taken.
        if steps == 2:
            start = time.perf_counter()
        elif steps >= 2 + LEAST_STEPS and time.perf_counter() - start >= SECONDS:
            break
    return (steps - 2) / (time.perf_counter() - start)
