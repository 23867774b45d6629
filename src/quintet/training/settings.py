"""How a network is trained: the settings under `training:` in params.yaml. Free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

Fraction = Annotated[float, Interval(ge=0, lt=1)]


class Settings(BaseModel):
    """Checked strictly: no unknown keys, no conversions, no endless numbers, no changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Budget(Settings):
    """How long to train: exactly one of the three."""

    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    seconds: PositiveFloat | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Budget:
        given = [k for k in ("epochs", "steps", "seconds") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"takes exactly one of epochs, steps, seconds; it has {' and '.join(given) or 'none'}")
        return self

    @property
    def kind(self) -> Literal["epochs", "steps", "seconds"]:
        return "epochs" if self.epochs else "steps" if self.steps else "seconds"

    @property
    def allowed(self) -> float:
        return self.epochs or self.steps or self.seconds or 0


class Optimiser(Settings):
    """AdamW (Loshchilov & Hutter 2019), or SGD with Nesterov momentum (Sutskever et al. 2013).

    Weight decay applies to matrices and kernels alone, not to biases and normalisation gains.
    """

    name: Literal["adamw", "sgd"] = "adamw"
    lr: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0
    momentum: Fraction = 0.9
    betas: tuple[Fraction, Fraction] = Field((0.9, 0.999), strict=False)


class Schedule(Settings):
    """Linear warm-up over a fraction of the budget, then cosine decay to zero, or constant."""

    name: Literal["cosine", "constant"] = "cosine"
    warmup: Fraction = 0.0


class Augment(Settings):
    """Changes to training images, each drawn anew for every image; the defaults change nothing."""

    crop: NonNegativeInt = Field(0, description="pad by so many pixels, then cut the size back out at random")
    flip: bool = Field(False, description="mirror left to right half of the time")
    rotate: NonNegativeFloat = Field(0.0, description="turn by up to so many degrees either way")
    erase: Fraction = Field(0.0, description="share of images in which a rectangle is blanked")


class Adversarial(Settings):
    """How a generator is trained (`training/adversarial.py`); tasks without one do not read it.

    Penalties are weights, zero for none, and are taken on every `penalty_every`-th step, as much larger then.
    """

    loss: Literal["minimax", "non-saturating", "hinge", "wasserstein", "least-squares"] = "non-saturating"
    discriminator_lr: PositiveFloat | None = None
    discriminator_steps: PositiveInt = 1
    r1: NonNegativeFloat = 0.0
    gradient_penalty: NonNegativeFloat = 0.0
    path_length: NonNegativeFloat = 0.0
    reconstruction: NonNegativeFloat = 100.0
    cycle: NonNegativeFloat = 10.0
    identity: NonNegativeFloat = 5.0
    penalty_every: PositiveInt = 1
    average: Fraction = 0.995
    augment: tuple[Literal["colour", "translation", "cutout"], ...] = Field((), strict=False)


class EarlyStopping(Settings):
    """Stop after so many epochs without a better validation metric."""

    patience: PositiveInt


class Training(Settings):
    """Everything about training that does not depend on the machine.

    A batch is worked through in `accumulate` parts, which takes as much less memory and gives the same gradient.
    """

    budget: Budget
    batch_size: PositiveInt = 64
    accumulate: PositiveInt = 1
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    label_smoothing: Fraction = 0.0
    gradient_clip: PositiveFloat | None = None
    augment: Augment = Augment()
    adversarial: Adversarial = Adversarial()
    early_stopping: EarlyStopping | None = None
