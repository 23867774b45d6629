"""How generators learn: two players in turn, or one network by its likelihood; in Lightning's manual optimisation."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quintet.errors import UserError
from quintet.tasks import pictures
from quintet.tasks.objective import Predictions
from quintet.tasks.supervised import Supervised
from quintet.training.adversarial import (
    GAMES,
    diff_augment,
    follow,
    gradient_penalty,
    path_length_penalty,
    path_lengths,
    r1,
)
from quintet.training.batches import Batch, seed_generators, step_seed
from quintet.training.optim import optimiser, rate

log = logging.getLogger(__name__)

# A penalty on path lengths is taken as often, on half the batch, its mean followed at that rate (Karras et al. 2020).
_PATH_EVERY, _PATH_DECAY = 4, 0.01
# Below this share of the real images' diversity made images are all but one; above that share of right verdicts the
# discriminator has won. Before that share of the budget neither means anything.
_COLLAPSED, _SATURATED, _EARLY = 0.1, 0.99, 0.2
# No process's rank: what is drawn for all processes together.
_EVERYONE = -1
# So many images are kept of each epoch, and so many of those epochs are shown one above the other.
_WATCHED, _SHOWN = 10, 12
# So many pictures, of five rows, are logged in the course of a training.
_LOGGED, _ROWS = 8, 5


class Game(Supervised):
    """Trains `live`, a copy of `network`; `network`, which is measured and kept, averages its generator over steps.

    One batch is one step, whatever the number of optimisers and of the discriminator's steps. Besides what `Supervised`
    logs (`train_loss` is the discriminator's, log 4 = 1.39 where it can tell nothing) it logs `generator_loss`,
    `discriminator_right` (the share of its verdicts that are) and `diversity` (the deviation of made images, pixel by
    pixel, over that of real ones), and warns when the game is lost. A logger that takes images (`log_image`, as some of
    Lightning's do) gets some of the validation's, called `samples`.
    """

    # What the network calls the player that is not its discriminator.
    maker = "generator"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False
        self.live: Any = copy.deepcopy(self.network)
        self.network.requires_grad_(False)
        self.adversarial = hasattr(self.network, "discriminator")
        settings = self.training_settings.adversarial
        if settings.path_length and not hasattr(getattr(self.live, "generator", None), "styles"):
            where = f"experiment {self.name}: training.adversarial.path_length"
            raise UserError(where, "this generator has no styles", "set it to 0, or take stylegan")
        self.register_buffer("path_mean", torch.zeros(()))
        self.path_mean: Tensor
        # Sums over the epoch of what the game is watched by, and how many steps they are of.
        self._watched: list[Tensor] = []
        self._sums, self._count = [0.0, 0.0], 0
        self.history: list[np.ndarray] = []
        self._diversity = 0.0
        self._logged = 0
        # What was warned of, each kind of trouble once: its name, the epoch, the words.
        self.troubles: list[dict[str, Any]] = []
        self._latents = torch.Generator()

    # -- Lightning's hooks

    def configure_optimizers(self) -> Any:
        own = self.training_settings.optimiser
        if not self.adversarial:
            return optimiser(self.live, own)
        other = own.model_copy(update={"lr": self.training_settings.adversarial.discriminator_lr or own.lr})
        return [optimiser(getattr(self.live, self.maker), own), optimiser(self.live.discriminator, other)]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        step = self.trainer.global_step
        seed_generators(step_seed(self.seed, step, self.trainer.global_rank), self.device)
        self._latents = torch.Generator(self.device).manual_seed(step_seed(self.seed, step, _EVERYONE))
        share = rate(self.training_settings.schedule, self.progress)
        own = self.training_settings.optimiser.lr
        for lr, each in zip(
            (own, self.training_settings.adversarial.discriminator_lr or own), self.trainer.optimizers, strict=False
        ):
            for group in each.param_groups:
                group["lr"] = lr * share

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        stored, targets = batch
        images = self.objective.inputs.network_input(stored)
        if self.augment is not None:
            images = self.augment(images)
        images = images.contiguous(memory_format=self.memory_format)
        labels = targets if getattr(self.live, "conditional", False) else None
        step = self.trainer.global_step
        loss = self._play(images, labels, step) if self.adversarial else self._fit(images, labels)
        self._follow(step)
        self._losses.append((step + 1, loss.detach()))
        if len(self._losses) >= (1 if self.device.type == "cpu" else 50):
            self.fetch_losses()

    def on_train_epoch_end(self) -> None:
        self.network.requires_grad_(False)
        if self.adversarial:
            # What is kept of the discriminator is as it is now; only generators are averaged.
            self.network.discriminator.load_state_dict(self.live.discriminator.state_dict())  # type: ignore[union-attr]
        super().on_train_epoch_end()
        self.log("diversity", self._diversity)
        if self.adversarial:
            loss, right = (self._mean_over_processes(total / max(1, self._count)) for total in self._sums)
            self.log_dict({"generator_loss": loss, "discriminator_right": right}, rank_zero_only=False)
            if right > _SATURATED:
                self._warn("saturation", f"the discriminator is right on {right:.1%} of all images: it has won")
        self._sums, self._count = [0.0, 0.0], 0

    def watched(self, found: Predictions) -> None:
        """Keep some of the validation's images, and see whether they are all alike."""
        images = found.images  # type: ignore[attr-defined]
        self.history.append(images[:_WATCHED])
        self._log_some(images)
        real = np.asarray(self.validation_split.inputs)
        self._diversity = float(images.std(0).mean() / max(1e-9, real.std(0).mean()))
        if self._diversity < _COLLAPSED:
            share = f"{self._diversity:.1%}"
            self._warn("collapse", f"made images differ by {share} of what real ones do: the generator has collapsed")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["quintet"] |= {
            "sums": self._sums,
            "count": self._count,
            "history": [torch.from_numpy(images) for images in self.history],
            "logged": self._logged,
            "troubles": self.troubles,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        own = checkpoint["quintet"]
        self._sums, self._count = own["sums"], own["count"]
        self.history = [images.numpy() for images in own["history"]]
        self._logged, self.troubles = own["logged"], own["troubles"]

    def fetch_losses(self) -> None:
        super().fetch_losses()
        if self._watched:
            sums = torch.stack(self._watched).float().sum(0).tolist()
            self._sums = [a + b for a, b in zip(self._sums, sums, strict=True)]
            self._count += len(self._watched)
            self._watched.clear()

    def write(self, folder: Path) -> list[str]:
        """The same latents through the training, and `game.json`: which epochs are shown, and what was warned of.

        `samples.gif` has every epoch; `samples.png` some, one above the other.
        """
        shown = np.unique(np.linspace(0, len(self.history) - 1, _SHOWN).round().astype(int))
        pictures.save(pictures.grid(np.stack([self.history[i] for i in shown])), folder / "samples.png")
        pictures.animate([pictures.grid(images[None]) for images in self.history], folder / "samples.gif")
        game = {"epochs": [int(i) + 1 for i in shown], "troubles": self.troubles}
        (folder / "game.json").write_text(json.dumps(game, indent=1), encoding="utf8")
        return ["samples.png", "samples.gif", "game.json"]

    # -- steps

    def _fit(self, images: Tensor, labels: Tensor | None) -> Tensor:
        loss: Tensor = self.live.loss(images, labels).mean()
        self._step(self.optimizers(), self.live, loss)
        return loss

    def _play(self, images: Tensor, labels: Tensor | None, step: int) -> Tensor:
        settings = self.training_settings.adversarial
        game, live = GAMES[settings.loss], self.live
        generator_steps, discriminator_steps = self.optimizers()  # type: ignore[attr-defined]
        # Lightning counts the steps of every optimiser; the generator's are the batches.
        discriminator_steps._on_before_step = discriminator_steps._on_after_step = _nothing

        make, verdicts, more = self._sides(images, labels)
        live.discriminator.requires_grad_(True)
        for turn in range(settings.discriminator_steps):
            last = turn == settings.discriminator_steps - 1
            with torch.set_grad_enabled(last):  # the last images are the generator's own to learn from
                fake = make()
            real_logits, fake_logits = verdicts(images), verdicts(fake.detach())
            loss = discriminator_loss = game.discriminator(real_logits, fake_logits)
            if step % settings.penalty_every == 0:
                loss = loss + settings.penalty_every * self._penalty(verdicts, images, fake.detach())
            self._step(discriminator_steps, live.discriminator, loss)
        live.discriminator.requires_grad_(False)
        generator_loss = game.generator(verdicts(fake))
        loss = generator_loss + more(fake)
        if settings.path_length and step % _PATH_EVERY == 0:
            loss = loss + settings.path_length * _PATH_EVERY * self._path_penalty(len(images) // 2, labels)
        self._step(generator_steps, getattr(live, self.maker), loss)
        right = 0.5 * ((real_logits > game.boundary).float().mean() + (fake_logits < game.boundary).float().mean())
        self._watched.append(torch.stack([generator_loss.detach().float(), right.detach()]))
        # Either player may be the one that overflows.
        return torch.where(torch.isfinite(generator_loss), discriminator_loss, generator_loss)

    def _sides(
        self, images: Tensor, labels: Tensor | None
    ) -> tuple[Callable[[], Tensor], Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """What makes images, what judges images, and what else the maker minimises of those it made."""
        live, changes = self.live, self.training_settings.adversarial.augment

        def make() -> Tensor:
            made: Tensor = live.generator(self._latent(len(images)), labels)
            return made

        def verdicts(these: Tensor) -> Tensor:
            found: Tensor = live.discriminator(diff_augment(these, changes), labels)
            return found

        return make, verdicts, lambda fake: torch.zeros((), device=self.device)

    def _latent(self, count: int) -> Tensor:
        """`count` latents: this process's share of those that one process would draw, as of the examples."""
        processes, size = self.trainer.world_size, int(self.live.latent_dim)
        drawn = torch.randn(count * processes, size, generator=self._latents, device=self.device)
        return drawn[self.trainer.global_rank :: processes]

    def _penalty(self, verdicts: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        settings, total = self.training_settings.adversarial, torch.zeros((), device=self.device)
        # Slopes are small numbers that are squared: never in 16 bits.
        with torch.autocast(self.device.type, enabled=False):
            if settings.r1:
                total = total + settings.r1 * r1(verdicts, real.float())
            if settings.gradient_penalty:
                total = total + settings.gradient_penalty * gradient_penalty(verdicts, real.float(), fake.float())
        return total

    def _path_penalty(self, count: int, labels: Tensor | None) -> Tensor:
        generator = self.live.generator
        with torch.autocast(self.device.type, enabled=False):
            styles = generator.styles(self._latent(count), None if labels is None else labels[:count])
            lengths = path_lengths(generator.synthesis(styles), styles)
            self.path_mean.lerp_(lengths.detach().mean(), _PATH_DECAY)
            return path_length_penalty(lengths, self.path_mean)

    def _step(self, steps: Any, player: nn.Module, loss: Tensor) -> None:
        steps.zero_grad()
        self.manual_backward(loss)
        clip = self.training_settings.gradient_clip
        if clip:
            torch.nn.utils.clip_grad_norm_(player.parameters(), clip)
        steps.step()

    def _follow(self, step: int) -> None:
        """The average starts with a short memory, so that it does not drag the untrained weights along."""
        decay = min(self.training_settings.adversarial.average, (step + 1) / (step + 10))
        if self.adversarial:
            follow(getattr(self.network, self.maker), getattr(self.live, self.maker), decay)
        else:
            follow(self.network, self.live, decay)

    def _log_some(self, images: np.ndarray) -> None:
        """After the first epoch, and then whenever another seventh of the budget is used."""
        log_image = getattr(self.logger, "log_image", None)
        due = 1 + int(self.progress * (_LOGGED - 1))
        if log_image is None or due <= self._logged:
            return
        self._logged = due
        columns = min(_WATCHED, len(images))
        rows = min(_ROWS, len(images) // columns)
        some = images[: rows * columns].reshape(rows, columns, *images.shape[1:])
        log_image("samples", [pictures.grid(some)], self.trainer.global_step)

    def _warn(self, trouble: str, what: str) -> None:
        """Once for each `trouble` of a training."""
        if self.progress > _EARLY and trouble not in {known["trouble"] for known in self.troubles}:
            self.troubles.append({"trouble": trouble, "epoch": self.trainer.current_epoch + 1, "what": what})
            if self.trainer.is_global_zero:
                log.warning("%s, seed %d, epoch %d: %s", self.name, self.seed, self.trainer.current_epoch + 1, what)


def _nothing() -> None:
    pass
