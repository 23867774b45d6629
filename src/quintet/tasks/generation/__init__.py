"""Generation: making images like those of the data, by adversarial training or by likelihood, ranked by coverage.

Row i of the predictions pairs test image i with made image i, whose latent is the i-th of a fixed sequence and whose
class, for a conditional network, is that of test image i. The two of a pair have nothing else in common, so
resampling rows resamples both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import DataSpec, Split
from quintet.evaluation.statistics import Figure, Mean, Measure
from quintet.models.build import build_generator
from quintet.tasks import pictures
from quintet.tasks.generation import distances, styles
from quintet.tasks.generation.judge import Judge, judge_of
from quintet.tasks.objective import Objective, Predictions
from quintet.training.adversarial import GAMES
from quintet.training.inputs import BlackToWhite
from quintet.training.settings import Training

if TYPE_CHECKING:
    from quintet.tasks.generation.inception import Inception

# Made at once.
_BATCH = 256
# Steps between two latents, and how many such pairs are shown.
_STEPS, _PAIRS = 10, 5
# Images in a row of other pictures; sources of coarse styles; the truncations that are shown, from none to all.
_ROW, _COARSE, TRUNCATIONS = 10, 4, (1.0, 0.7, 0.5, 0.0)


@dataclass(frozen=True)
class Made(Predictions):
    """Made images beside real ones; see the module. `target` and `prediction` are classes, as the judge sees them.

    images      uint8 [example channel height width], as made
    real        features of the real images [example feature]
    features    those of the made images, likewise
    recited     uint8 like images, the nearest training image of each made one
    inception   features of real and made images by Inception, where its weights were given
    """

    images: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    recited: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    real: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    features: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    probabilities: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    inception: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class Known:
    """Of the real images of a split: features, training images as rows of 0 to 1 and the nearest of them."""

    features: NDArray[np.float64]
    train: NDArray[np.float32]
    nearest: distances.Neighbours
    inception: NDArray[np.float64] | None


class Drawn(nn.Module):
    """As many made images as it is given: what a generator's work and speed are measured on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        latent = torch.zeros(len(images), self.network.latent_dim, device=images.device)  # type: ignore[call-overload]
        labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
        made: Tensor = self.network.generate(latent, labels if self.network.conditional else None)  # type: ignore[operator]
        return made


class Generation(Objective):
    """Networks make images from latents; they have a discriminator or a loss of their own (`layers.generative`)."""

    def __init__(self, spec: DataSpec, prepared: Path | None = None, vocabulary: Path | None = None) -> None:
        super().__init__(spec, prepared, vocabulary)
        self.inputs = BlackToWhite(spec, prepared)
        self.inception: Inception | None = None
        self._known: tuple[Split, Known] | None = None

    @cached_property
    def judge(self) -> Judge:
        """The network whose features and classes images are compared by; trained when first asked for, and kept."""
        return judge_of(self.spec, self.inputs.load("train"))

    def ready(self) -> None:
        _ = self.judge

    def look_with(self, inception: Path, where: str) -> None:
        # Imported where its weights are given: torchvision takes long to load.
        from quintet.tasks.generation.inception import Inception

        self.inception = Inception(inception, where)

    def network(self, model: Mapping[str, Any]) -> nn.Module:
        return build_generator(model, self.spec.shape, len(self.spec.classes))

    def called(self, network: nn.Module) -> nn.Module:
        return Drawn(network)

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor, training: Training) -> Tensor:
        """The likelihood's loss, or the sum of both players'; a game's steps are made in `game`."""
        labels = targets if network.conditional else None
        if hasattr(network, "loss"):
            likelihood: Tensor = network.loss(inputs, labels).mean()  # type: ignore[operator]
            return likelihood
        game = GAMES[training.adversarial.loss]
        fake = network.generator(torch.randn(len(inputs), network.latent_dim), labels)  # type: ignore[operator, call-overload]
        real_logits, fake_logits = (network.discriminator(images, labels) for images in (inputs, fake))  # type: ignore[operator]
        return game.discriminator(real_logits, fake_logits) + game.generator(fake_logits)

    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Predictions:
        labels = torch.from_numpy(np.array(split.targets))
        latent = latents(len(split), int(network.latent_dim))  # type: ignore[arg-type]
        return self.beside(self.make(network, latent, labels, device), split, bool(network.conditional))

    @torch.inference_mode()
    def make(
        self, network: nn.Module, latent: Tensor, labels: Tensor, device: torch.device, truncation: float = 1.0
    ) -> UInt8[np.ndarray, "image channel height width"]:
        """Images of `latent` by `network`, in eval mode, as bytes; `truncation` as in `styles.truncated`."""
        assert not network.training
        made = []
        for start in range(0, len(latent), _BATCH):
            its = labels[start : start + _BATCH].to(device) if network.conditional else None
            made.append(_bytes(styles.truncated(network, latent[start : start + _BATCH].to(device), its, truncation)))
        return np.concatenate(made)

    def beside(self, images: NDArray[np.uint8], split: Split, conditional: bool) -> Made:
        """Made images (as many as the split has) compared with those of the split and with the training images."""
        known = self._known_of(split)
        real = known.features
        by_inception = None
        if self.inception and known.inception is not None:
            by_inception = known.inception, self.inception.look(images)
        features, probabilities = self.judge.look(images)
        found = distances.manifolds(real, features)
        near = distances.nearest(_rows(images), known.train)
        classes, seen = np.array(self.spec.classes), probabilities.argmax(1)
        more: dict[str, NDArray[Any]] = {
            "precise": found.precise,
            "recalled": found.recalled,
            "density": found.density,
            "copied": distances.copied(near, known.nearest),
            "nearest_train_distance": near.distance,
            "nearest_real_distance": distances.nearest(features, real).distance,
            "seen": seen,
        }
        if conditional:
            more["of_class"] = (seen == np.asarray(split.targets)).astype(np.float64)
        return Made(
            ids=np.asarray(split.ids),
            target=classes[np.asarray(split.targets)],
            prediction=classes[seen],
            score=found.covered,
            weight=np.ones(len(split)),
            right=found.covered > 0,
            loss=distances.frechet_distance(real, features),
            more=more,
            images=images,
            recited=np.asarray(self.inputs.load("train").inputs[near.row]),
            real=real,
            features=features,
            probabilities=probabilities,
            inception=by_inception,
        )

    def _known_of(self, split: Split) -> Known:
        """What is to be known of a split's real images, which are the same for each epoch and each seed."""
        if self._known is None or self._known[0] is not split:
            images, train = np.asarray(split.inputs), _rows(np.asarray(self.inputs.load("train").inputs))
            by_inception = self.inception.look(images) if self.inception else None
            known = Known(self.judge.look(images)[0], train, distances.nearest(_rows(images), train), by_inception)
            self._known = split, known
        return self._known[1]

    def measures(self, found: Predictions) -> dict[str, Measure]:
        assert isinstance(found, Made)
        more = found.more
        measures: dict[str, Measure] = {
            "coverage": Mean(found.score),
            "frechet_distance": Figure(distances.FrechetDistance(found.real, found.features), (0.0, np.inf)),
            "kernel_distance": Figure(distances.KernelDistance(found.real, found.features)),
            "precision": Mean(more["precise"]),
            "recall": Mean(more["recalled"]),
            "density": Mean(more["density"]),
            "classifier_score": Figure(
                lambda weights: distances.classifier_scores(found.probabilities, weights),
                (1.0, float(len(self.spec.classes))),
            ),
            "copied": Mean(more["copied"]),
        }
        if found.inception is not None:
            measures["inception_fid"] = Figure(distances.LinearFrechetDistance(*found.inception), (0.0, np.inf))
            measures["inception_kid"] = Figure(distances.KernelDistance(*found.inception))
        if "of_class" in more:
            measures["class_accuracy"] = Mean(more["of_class"])
        return measures

    def write(self, folder: Path, found: Mapping[int, Predictions]) -> list[str]:
        """`generation.json`: what the figures are to be read beside; pictures of each seed's images.

        Samples by class, as the judge sees them; those nearest to a training image above that image; the worst, which
        are those that the judge's features place farthest from any test image.
        """
        files = ["generation.json"]
        first = next(iter(found.values()))
        assert isinstance(first, Made)
        counts = {}
        for seed, made in found.items():
            assert isinstance(made, Made)
            seen = made.more["seen"]
            counts[str(seed)] = np.bincount(seen, minlength=len(self.spec.classes)).tolist()
            nearest = made.more["nearest_train_distance"].argsort(kind="stable")[:_ROW]
            worst = (-made.more["nearest_real_distance"]).argsort(kind="stable")[:_ROW]
            shown = {
                "samples": pictures.sorted_by_class(made.images, seen),
                "neighbours": np.stack([made.images[nearest], made.recited[nearest]]),
                "worst": made.images[worst][None],
            }
            files += [pictures.save_grid(rows, folder, kind, seed) for kind, rows in shown.items()]
        beside = {
            "features": f"a network trained here on {self.spec.name}, for use within one report",
            "judge_accuracy": self.judge.accuracy,
            "images": len(first),
            "floor": self._bounds(first, "train"),
            "ceiling": self._bounds(first, "noise"),
            "classes": list(self.spec.classes),
            "made_of_class": counts,
        }
        if self.inception:
            beside["inception"] = {"network": self.inception.name, "sha256": self.inception.digest}
        (folder / "generation.json").write_text(json.dumps(beside, indent=1), encoding="utf8")
        return files

    def draw(self, network: nn.Module, split: Split, folder: Path, seed: int) -> list[str]:
        """Walks between latents, truncation, and the mixing of styles where the network has some."""
        cpu, latent = torch.device("cpu"), latents(len(split), int(network.latent_dim))  # type: ignore[arg-type]
        labels = torch.from_numpy(np.array(split.targets))
        walked = self.make(network, way(latent), labels[:_PAIRS].repeat_interleave(_STEPS), cpu)
        first, its = latent[:_ROW], labels[:_ROW]
        shown = {
            "interpolation": walked.reshape(_PAIRS, _STEPS, *self.spec.shape),
            "truncation": np.stack([self.make(network, first, its, cpu, amount) for amount in TRUNCATIONS]),
        }
        if styles.has_styles(network):
            with torch.inference_mode():
                mixed = styles.mixed(network, first, its if network.conditional else None, _COARSE)
            shown["mixing"] = _bytes(mixed.flatten(0, 1)).reshape(*mixed.shape)
            shown["mixing"][0, 0] = 255
        return [pictures.save_grid(rows, folder, kind, seed) for kind, rows in shown.items()]

    def _bounds(self, found: Made, what: str) -> dict[str, float]:
        """Distances of real images to training images (the floor), or to noise (the ceiling)."""
        if what == "train":
            train = self.inputs.load("train").inputs
            images = np.asarray(train[np.random.default_rng(0).permutation(len(train))[: len(found)]])
        else:
            images = np.random.default_rng(0).integers(0, 256, found.images.shape, np.uint8)
        features, _ = self.judge.look(images)
        real = found.real[: len(features)]
        bounds = {}
        if self.inception and found.inception:
            pair = found.inception[0][: len(images)], self.inception.look(images)
            bounds = {
                "inception_fid": distances.LinearFrechetDistance(*pair).value,
                "inception_kid": distances.kernel_distance(*pair),
            }
        return bounds | {
            "frechet_distance": distances.frechet_distance(real, features),
            "kernel_distance": distances.kernel_distance(real, features),
            "coverage": float(distances.manifolds(real, features).covered.mean()),
        }


def latents(count: int, latent_dim: int, seed: int = 0) -> Tensor:
    """The first `count` of a fixed sequence of latents; what is measured has that of seed 0, at every epoch."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, latent_dim), np.float32))


def _bytes(images: Tensor) -> NDArray[np.uint8]:
    """Images from -1 to 1 as they are stored."""
    return np.asarray(((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy())


def _rows(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each image as a row of numbers from 0 to 1."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def way(latent: Tensor) -> Tensor:
    """From each of the first latents to the next, along the great circle, where latents are as likely as the ends."""
    ends = latent[torch.arange(_PAIRS + 1) % len(latent)]
    angle = torch.linspace(0, torch.pi / 2, _STEPS)
    start, end = ends[:-1, None], ends[1:, None]
    return (start * angle.cos()[:, None] + end * angle.sin()[:, None]).flatten(0, 1)
