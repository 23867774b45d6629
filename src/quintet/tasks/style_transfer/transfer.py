"""The game of style transfer: translators between two domains, and for each domain a discriminator."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quintet.tasks.game import Game
from quintet.training.adversarial import diff_augment


class Transfer(Game):
    """For each image of a batch one of the other domain is drawn at random and translated into its domain.

    So nothing pairs, and a batch may hold any number of images of each domain (Zhu et al. 2017 have one of both). The
    translators minimise besides the game's loss what an image loses on the way there and back, weighed by
    `training.adversarial.cycle` (eq. 2), and how much they change an image that is of their domain, weighed by
    `identity` (sec. 5.2, there half of `cycle`). The paper's store of earlier images is left out.
    """

    maker = "translator"

    @cached_property
    def _rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The training images of each domain."""
        domain = np.asarray(self.train_split.targets)
        return np.flatnonzero(domain == 0), np.flatnonzero(domain == 1)

    def _sides(
        self, images: Tensor, labels: Tensor | None
    ) -> tuple[Callable[[], Tensor], Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        assert labels is not None
        settings, live = self.training_settings.adversarial, self.live
        sources = self._others(labels).contiguous(memory_format=self.memory_format)

        def make() -> Tensor:
            made: Tensor = live.translator(sources, labels)
            return made

        def verdicts(these: Tensor) -> Tensor:
            found: Tensor = live.discriminator(diff_augment(these, settings.augment), labels)
            return found

        def error(fake: Tensor) -> Tensor:
            lost = (live.translator(fake, 1 - labels) - sources).abs().mean()
            changed = (live.translator(images, labels) - images).abs().mean() if settings.identity else 0.0
            total: Tensor = settings.cycle * lost + settings.identity * changed
            return total

        return make, verdicts, error

    def _others(self, labels: Tensor) -> Tensor:
        """For each label a training image of the other domain, as the network reads it."""
        # torch's generator is seeded for each step, so what follows from it can be found again.
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        rows = np.array([rng.choice(self._rows[1 - label]) for label in labels.tolist()])
        stored, _ = self.objective.inputs.collate(self.train_split, rows)
        images = self.objective.inputs.network_input(stored.to(self.device))
        return images if self.augment is None else self.augment(images)
