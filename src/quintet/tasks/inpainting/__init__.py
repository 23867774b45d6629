"""Inpainting: what a square hole in an image held, ranked by the peak signal-to-noise ratio within the hole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.data.spec import DataSpec, Split
from quintet.evaluation.statistics import Mean, Measure
from quintet.models.build import build_translator
from quintet.tasks import pictures
from quintet.tasks.objective import Objective, Predictions
from quintet.training.inputs import BlackToWhite
from quintet.training.settings import Training

# A hole that is filled to the last bit has no noise; images have 8 bits, so this is beyond any real repair.
_MOST_DB = 60.0
_BATCH, _SHOWN = 256, 10


@dataclass(frozen=True)
class Repaired(Predictions):
    """`score` is the PSNR in each image's hole, in dB; `images` uint8 [example channel height width] are repaired."""

    images: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    originals: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))


class Inpainting(Objective):
    """Networks translate images with a hole, which is grey (0), to images without (`models.layers.generative`)."""

    def __init__(self, spec: DataSpec, prepared: Path | None = None, vocabulary: Path | None = None) -> None:
        super().__init__(spec, prepared, vocabulary)
        self.inputs = BlackToWhite(spec, prepared)

    def network(self, model: Mapping[str, Any]) -> nn.Module:
        return build_translator(model, self.spec.shape)

    def called(self, network: nn.Module) -> nn.Module:
        return network.translator  # type: ignore[return-value]

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor, training: Training) -> Tensor:
        """The mean absolute error, and what the discriminator says; the game's steps are made in `repair`."""
        hole = holes(len(inputs), self.spec.shape, np.random.default_rng(0))
        broken = inputs.masked_fill(hole, 0.0)
        whole: Tensor = network.translator(broken)  # type: ignore[operator]
        verdicts: Tensor = network.discriminator(broken, whole)  # type: ignore[operator]
        return (whole - inputs).abs().mean() + verdicts.mean()

    def predict(self, network: nn.Module, split: Split, device: torch.device) -> Repaired:
        return self.repaired(self.fill(network, np.array(split.inputs), self.holes_of(split), device), split)

    @torch.inference_mode()
    def fill(
        self,
        network: nn.Module,
        images: UInt8[np.ndarray, "image channel height width"],
        hole: Bool[Tensor, "image 1 height width"],
        device: torch.device,
    ) -> UInt8[np.ndarray, "image channel height width"]:
        """The images, as stored, with what `network`, in eval mode, puts into their holes."""
        assert not network.training
        filled = []
        for start in range(0, len(images), _BATCH):
            some = torch.from_numpy(images[start : start + _BATCH])
            broken = (
                self.inputs.network_input(some).to(device).masked_fill(hole[start : start + _BATCH].to(device), 0.0)
            )
            made = ((network.translator(broken).float() + 1) * 127.5).round().clamp(0, 255)  # type: ignore[operator]
            filled.append(torch.where(hole[start : start + _BATCH], made.to(torch.uint8).cpu(), some))
        return np.asarray(torch.cat(filled).numpy())

    def holes_of(self, split: Split) -> Tensor:
        """The holes of a split's images, always the same."""
        return holes(len(split), self.spec.shape, np.random.default_rng(0))

    def repaired(self, filled: NDArray[np.uint8], split: Split) -> Repaired:
        """What `filled` images (of which the holes count) are worth as repairs of a split."""
        originals, hole = np.array(split.inputs), self.holes_of(split).numpy()
        images = np.where(hole, filled, originals)
        error = (images.astype(np.float64) - originals) / 255
        inside = hole.reshape(len(hole), -1).sum(1) * originals.shape[1]
        squared = np.square(error).reshape(len(error), -1).sum(1) / inside
        absolute = np.abs(error).reshape(len(error), -1).sum(1) / inside
        psnr = np.minimum(_MOST_DB, -10 * np.log10(np.maximum(squared, 1e-12)))
        classes = np.array(self.spec.classes)[np.asarray(split.targets)]
        return Repaired(
            ids=np.asarray(split.ids),
            target=classes,
            prediction=np.array([f"{value:.1f} dB" for value in psnr]),
            score=psnr,
            weight=np.ones(len(split)),
            # Half of the range off, on average over the hole, is no repair.
            right=psnr > 20,
            loss=float(absolute.mean()),
            more={"absolute_error": absolute, "ssim": ssim(images, originals)},
            images=images,
            originals=originals,
        )

    def measures(self, found: Predictions) -> dict[str, Measure]:
        return {
            "psnr": Mean(found.score),
            "ssim": Mean(found.more["ssim"]),
            "absolute_error": Mean(found.more["absolute_error"]),
        }

    def write(self, folder: Path, found: Mapping[int, Predictions]) -> list[str]:
        """For each seed the first images, the worst repairs and the best: with the hole, repaired, as they were."""
        files = []
        for seed, one in found.items():
            assert isinstance(one, Repaired)
            hole = holes(len(one), self.spec.shape, np.random.default_rng(0)).numpy()
            broken = np.where(hole, np.uint8(128), one.originals)
            order = one.score.argsort(kind="stable")
            for kind, rows in (
                ("repairs", np.arange(len(one))),
                ("worst-repairs", order),
                ("best-repairs", order[::-1]),
            ):
                shown = np.stack([images[rows[:_SHOWN]] for images in (broken, one.images, one.originals)])
                files.append(pictures.save_grid(shown, folder, kind, seed))
        return files


def holes(count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Bool[Tensor, "image 1 height width"]:
    """True within a square of half the shorter side, anywhere inside each image (Pathak et al. 2016, sec. 3.3)."""
    _, height, width = shape
    side = max(1, min(height, width) // 2)
    top = rng.integers(0, height - side + 1, count)[:, None, None, None]
    left = rng.integers(0, width - side + 1, count)[:, None, None, None]
    rows, columns = np.arange(height)[:, None], np.arange(width)
    return torch.from_numpy((rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side))


def ssim(images: NDArray[np.uint8], originals: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Structural similarity of each pair of images [image channel height width]; 1 where they are the same.

    Wang et al. 2004, "Image quality assessment", eq. 13 with the paper's constants, averaged over channels and the
    places of a square window, which fits the smaller side; beyond the edges images go on mirrored, as in torchmetrics.
    """
    window = min(11, (min(images.shape[2:]) - 1) // 2 * 2 + 1)
    edge = window // 2
    a, b = (F.pad(torch.from_numpy(some).double(), [edge] * 4, "reflect") for some in (images, originals))

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, window, stride=1)

    luminance, contrast = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + luminance) * (2 * covariance + contrast)
    found: NDArray[np.float64] = (
        (alike / ((mean_a**2 + mean_b**2 + luminance) * (variances + contrast))).flatten(1).mean(1).numpy()
    )
    return found
