"""The game of inpainting: a translator fills holes, a discriminator tells filled images from whole ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from quintet.tasks.game import Game
from quintet.tasks.inpainting import holes
from quintet.training.adversarial import diff_augment


class Repair(Game):
    """A new hole for each image and step. The translator minimises its absolute error as well as the game's loss.

    `training.adversarial.reconstruction` weighs the error, as in pix2pix (eq. 4), for every network: the context
    encoder's paper has the squared error, which blurs more (Isola et al. 2017, sec. 3.1).
    """

    maker = "translator"

    def _sides(
        self, images: Tensor, labels: Tensor | None
    ) -> tuple[Callable[[], Tensor], Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        settings, live = self.training_settings.adversarial, self.live
        # torch's generator is seeded for each step, so what follows from it can be found again.
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        hole = holes(len(images), self.objective.spec.shape, rng).to(self.device)
        broken = images.masked_fill(hole, 0.0)

        def make() -> Tensor:
            # Outside the hole the translator has nothing to prove.
            return torch.where(hole, live.translator(broken), images)

        def verdicts(these: Tensor) -> Tensor:
            # Both are changed alike, so that they still belong together.
            channels = images.shape[1]
            both = diff_augment(torch.cat([broken, these], 1), settings.augment)
            found: Tensor = live.discriminator(both[:, :channels], both[:, channels:])
            return found

        def error(fake: Tensor) -> Tensor:
            share = hole.float().mean()
            return settings.reconstruction * (fake - images).abs().mean() / share

        return make, verdicts, error
