"""Style transfer: an image of one domain as one of the other that shows the same, learnt without pairs.

The two classes of a data set are its domains. Each image of a split is translated into the other domain. What ranks is
the harmonic mean of content, how much of the image is kept, and style, how probable the other domain is. So neither an
image left as it was (which keeps all) nor one that has nothing to do with it (which may be of the domain) counts.

A classifier that has only met real images is easily deceived: dimmed digits are outlines to it. So style counts only
where the judge's features lie within the neighbourhood of a real image of the domain, as in `precision`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import DataSpec, Split
from quintet.errors import UserError
from quintet.evaluation.statistics import Figure, Mean, Measure
from quintet.models.build import build_translator
from quintet.tasks import TASKS, pictures
from quintet.tasks.generation.distances import NEIGHBOURS, FrechetDistance, manifolds
from quintet.tasks.generation.judge import Judge, judge_of
from quintet.tasks.objective import Objective, Predictions
from quintet.training.adversarial import GAMES
from quintet.training.inputs import BlackToWhite
from quintet.training.settings import Training

_BATCH, _SHOWN = 256, 10
# What eyes take for brightness of red, green and blue (Rec. 601).
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Restyled(Predictions):
    """Translated images; `target` is the domain that each was to reach, `prediction` the one the judge sees.

    images      uint8 [example channel height width], translated
    originals   likewise, as they were; `domain` [example] is theirs, 0 or 1
    returned    likewise, translated there and back
    real        the judge's features of the originals [example feature]
    features    those of the translated images, likewise
    """

    images: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    originals: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    returned: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    domain: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    real: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    features: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


class DomainDistance:
    """The Fréchet distance of images translated into a domain to real ones of it; the mean of both directions."""

    def __init__(self, found: Restyled) -> None:
        self.frechet = FrechetDistance(found.real, found.features)
        self.domain = found.domain

    def __call__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """One distance for each row of `weights` [resample example]."""
        return np.asarray((self.towards(0, weights) + self.towards(1, weights)) / 2)

    def towards(self, domain: int, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """That of one direction."""
        return self.frechet.between(weights * (self.domain == domain), weights * (self.domain != domain))


class Translated(nn.Module):
    """Images as ones of the second domain: what a network's work and speed are measured on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        domains = torch.ones(len(images), dtype=torch.long, device=images.device)
        translated: Tensor = self.network.translator(images, domains)  # type: ignore[operator]
        return translated


class StyleTransfer(Objective):
    """Networks translate images into the domain that they are told (`layers.generative`)."""

    def __init__(self, spec: DataSpec, prepared: Path | None = None, vocabulary: Path | None = None) -> None:
        super().__init__(spec, prepared, vocabulary)
        # Of a CSV the classes are known now and not before.
        if len(spec.classes) != TASKS["style_transfer"].num_classes:
            what = f"has {len(spec.classes)} classes, and task style_transfer takes them for its two domains"
            raise UserError(f"data set {spec.name}", what, "take one with two")
        for split in ("validation", "test"):
            fewest = min(spec.class_counts.get(split, [NEIGHBOURS + 1]))
            if fewest <= NEIGHBOURS:
                what = f"has {fewest} images of a domain in its {split} split, which are too few to compare with"
                raise UserError(f"data set {spec.name}", what, f"task style_transfer needs {NEIGHBOURS + 1}")
        self.inputs = BlackToWhite(spec, prepared)

    @cached_property
    def judge(self) -> Judge:
        """The network that tells the domains apart; trained when first asked for, and kept."""
        return judge_of(self.spec, self.inputs.load("train"))

    def ready(self) -> None:
        _ = self.judge

    def network(self, model: Mapping[str, Any]) -> nn.Module:
        return build_translator(model, self.spec.shape)

    def called(self, network: nn.Module) -> nn.Module:
        return Translated(network)

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor, training: Training) -> Tensor:
        """The sum of both players' and of what is lost on the way back; the game's steps are made in `transfer`."""
        game = GAMES[training.adversarial.loss]
        made: Tensor = network.translator(inputs, 1 - targets)  # type: ignore[operator]
        back: Tensor = network.translator(made, targets)  # type: ignore[operator]
        real_logits: Tensor = network.discriminator(inputs, targets)  # type: ignore[operator]
        fake_logits: Tensor = network.discriminator(made, 1 - targets)  # type: ignore[operator]
        return (
            game.discriminator(real_logits, fake_logits)
            + game.generator(fake_logits)
            + training.adversarial.cycle * (back - inputs).abs().mean()
        )

    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Restyled:
        originals, domain = np.array(split.inputs), np.array(split.targets)
        translated = self.translate(network, originals, 1 - domain, device)
        return self.restyled(translated, self.translate(network, translated, domain, device), split)

    @torch.inference_mode()
    def translate(
        self,
        network: nn.Module,
        images: UInt8[np.ndarray, "image channel height width"],
        domains: NDArray[np.int64],
        device: torch.device,
    ) -> UInt8[np.ndarray, "image channel height width"]:
        """The images, as stored, as `network`, in eval mode, sees them in `domains` [image]."""
        assert not network.training
        made = []
        for start in range(0, len(images), _BATCH):
            some = self.inputs.network_input(torch.from_numpy(images[start : start + _BATCH])).to(device)
            into = torch.from_numpy(domains[start : start + _BATCH]).to(device)
            found = network.translator(some, into).float()  # type: ignore[operator]
            made.append(((found + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu())
        return np.asarray(torch.cat(made).numpy())

    def restyled(self, images: NDArray[np.uint8], returned: NDArray[np.uint8], split: Split) -> Restyled:
        """What `images`, each a split's image in the other domain, are worth; `returned` are they translated back."""
        originals, domain = np.array(split.inputs), np.array(split.targets)
        features, probabilities = self.judge.look(images)
        real, _ = self.judge.look(originals)
        probability = probabilities[np.arange(len(images)), 1 - domain]
        precise = np.zeros(len(images))
        for each in (0, 1):
            precise[domain != each] = manifolds(real[domain == each], features[domain != each]).precise
        style = probability * precise
        content = kept(images, originals, domain)
        score = 2 * content * style / np.maximum(content + style, 1e-12)
        classes = np.array(self.spec.classes)
        error = np.abs(returned.astype(np.float64) - originals).reshape(len(images), -1).mean(1) / 255
        return Restyled(
            ids=np.asarray(split.ids),
            target=classes[1 - domain],
            prediction=classes[probabilities.argmax(1)],
            score=score,
            weight=np.ones(len(images)),
            right=score > 0.5,
            loss=float(1 - score.mean()),
            more={
                "content": content,
                "style": style,
                "probability": probability,
                "precise": precise,
                "cycle_error": error,
            },
            images=images,
            originals=originals,
            returned=returned,
            domain=domain,
            real=real,
            features=features,
        )

    def measures(self, found: Predictions) -> dict[str, Measure]:
        assert isinstance(found, Restyled)
        return {
            "transfer": Mean(found.score),
            "content": Mean(found.more["content"]),
            "style": Mean(found.more["style"]),
            "probability": Mean(found.more["probability"]),
            "precision": Mean(found.more["precise"]),
            "frechet_distance": Figure(DomainDistance(found), (0.0, np.inf)),
            "cycle_error": Mean(found.more["cycle_error"]),
        }

    def write(self, folder: Path, found: Mapping[int, Predictions]) -> list[str]:
        """`transfer.json`: the judge's accuracy and the figures by direction; for each seed the first of each domain.

        A picture's rows are images of the first domain as they were, translated, and translated back; then likewise
        those of the second.
        """
        files, directions = ["transfer.json"], {}
        for seed, one in found.items():
            assert isinstance(one, Restyled)
            distance, everyone = DomainDistance(one), np.ones((1, len(one)))
            directions[str(seed)] = {
                label: {
                    "transfer": float(one.score[rows].mean()),
                    **{key: float(values[rows].mean()) for key, values in one.more.items()},
                    "frechet_distance": float(distance.towards(domain, everyone)[0]),
                }
                for domain, label in enumerate(self.spec.classes)
                for rows in [one.domain != domain]
            }
            count = min(_SHOWN, *np.bincount(one.domain, minlength=2))
            shown = np.stack(
                [
                    images[one.domain == domain][:count]
                    for domain in (0, 1)
                    for images in (one.originals, one.images, one.returned)
                ]
            )
            files.append(pictures.save_grid(shown, folder, "transfer", seed))
        beside = {"judge_accuracy": self.judge.accuracy, "into": directions}
        (folder / "transfer.json").write_text(json.dumps(beside, indent=1), encoding="utf8")
        return files


def kept(images: NDArray[np.uint8], originals: NDArray[np.uint8], domain: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much of each original its image has, [image]: 1 for all, 0 for no more than of any other original.

    The correlation of their luminance, r, beside the mean one with the other originals of the same domain, r0:
    (r - r0) / (1 - r0), at least 0. Without r0 an image that ignores its original would have what all images share.
    """
    made, real = _standardised(images), _standardised(originals)
    own = (made * real).sum(1)
    share = np.zeros(len(images))
    for each in np.unique(domain):
        rows = domain == each
        others = max(1, rows.sum() - 1)
        chance = ((made[rows] @ real[rows].T).sum(1) - own[rows]) / others
        share[rows] = (own[rows] - chance) / np.maximum(1 - chance, 1e-9)
    return share.clip(0, 1)


def _standardised(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Luminances [image pixel] of mean 0 and length 1; 0 where an image has none but one."""
    channels = images.shape[1]
    weights = np.array(_LUMA) if channels == 3 else np.full(channels, 1 / channels)
    luminance = np.tensordot(images.astype(np.float64), weights, (1, 0)).reshape(len(images), -1)
    centred = luminance - luminance.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9))
