"""One experiment: data × task × model × settings. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval
from pydantic import AfterValidator, Field, PositiveInt

from quintet.checking import Where, validate
from quintet.errors import UserError, unknown
from quintet.models import FAMILIES, member
from quintet.models.bert.fits import FREE, checkpoint_problem
from quintet.models.signature import settings_of
from quintet.tasks import SUPERVISED, task
from quintet.training.settings import Settings, Training

_Settings = TypeVar("_Settings", bound=Settings)
# What Lightning and numpy take alike.
Seed = Annotated[int, Interval(ge=0, lt=2**32)]


def _share_or_count(labels: float) -> float:
    if 0 < labels <= 1:
        return labels
    if labels < 2 or labels != int(labels):
        raise ValueError(f"is {labels:g}; it should be a share above 0, up to 1, or a whole number from 2")
    return int(labels)


# The share of each class's training examples that is learnt from, or how many in all.
Labels = Annotated[float, AfterValidator(_share_or_count)]


Section = Literal["experiments", "pretraining", "finetuning"]
# The DVC stages that train and measure the entries of each section of params.yaml.
STAGES: dict[Section, tuple[str, str]] = {
    "experiments": ("train", "evaluate"),
    "pretraining": ("pretrain", "evaluate-pretraining"),
    "finetuning": ("finetune", "evaluate-finetuning"),
}


class Model(Settings):
    """Which architecture, and what differs from its paper's settings.

    `pretrained` is a published checkpoint to start from, a folder or a name on the Hugging Face hub. It decides the
    sizes, so `settings` has only what was given until the checkpoint is read.
    """

    family: str
    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    pretrained: str | None = None


class Trainer(Settings):
    """The machine's share of training, handed to Lightning's Trainer.

    `batch_size` is that of the whole training, split evenly over `devices` × `num_nodes`.
    `precision: auto` follows the rule in docs/precision.md.
    """

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: PositiveInt | Literal["auto"] = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    num_nodes: PositiveInt = 1
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"


class Experiment(Settings):
    """One experiment, complete: shared training settings and its own merged, defaults filled in.

    `pretrained` names the pre-training whose vocabulary it uses, and whose weights it starts from unless it is
    `fresh`. `labels` is the share of the training split that it learns from, or how many examples.
    """

    name: str
    section: Section = "experiments"
    data: str
    task: str
    model: Model
    training: Training
    trainer: Trainer
    seeds: tuple[Seed, ...] = Field(strict=False)
    labels: Labels = 1.0
    pretrained: str | None = None
    fresh: bool = False
    expect: dict[str, float] = Field(default_factory=dict)


class _Shared(Settings):
    """What every entry may say, as written."""

    data: str
    task: str
    training: dict[str, Any] = Field(default_factory=dict)
    trainer: dict[str, Any] = Field(default_factory=dict)
    seeds: list[Seed] | None = None
    expect: dict[str, float] = Field(default_factory=dict)


class _Pretraining(_Shared):
    """One entry under `pretraining`."""

    model: Model


class _Entry(_Pretraining):
    """One entry under `experiments`."""

    labels: Labels = 1.0


class _Finetuning(_Shared):
    """One entry under `finetuning`; its model is that of the pre-training, but for what `settings` gives of FREE."""

    pretrained: str
    settings: dict[str, Any] = Field(default_factory=dict)
    fresh: bool = False
    labels: Labels = 1.0


_ENTRIES: dict[Section, type[_Entry | _Pretraining | _Finetuning]] = {
    "experiments": _Entry,
    "pretraining": _Pretraining,
    "finetuning": _Finetuning,
}


def experiment(
    name: str,
    entry: Mapping[str, Any],
    seeds: Sequence[int],
    training: Mapping[str, Any],
    trainer: Mapping[str, Any],
    where: Where,
    section: Section = "experiments",
    pretrained_model: Model | None = None,
) -> Experiment:
    """One complete experiment from its entry under `section` and what all share; raises `UserError`.

    A key of the entry's `training` or `trainer` replaces the shared key as a whole. A fine-tuning has the model of
    its pre-training, `pretrained_model`.
    """
    here = (section, name)
    own = validate(_ENTRIES[section], entry, where, *here)
    if isinstance(own, _Finetuning):
        assert pretrained_model is not None
        model = _with_free(pretrained_model, own.settings, where, here)
    else:
        model = _complete(own.model, where, here)
    learnt = task(own.task, where(*here, "task"))
    for metric in own.expect:
        if metric not in learnt.metrics:
            raise unknown(where(*here, "expect"), "metric", metric, learnt.metrics)
    made = Experiment(
        name=name,
        data=own.data,
        task=own.task,
        section=section,
        model=model,
        training=_merged(Training, training, own.training, where, "training", here),
        trainer=_merged(Trainer, trainer, own.trainer, where, "trainer", here),
        seeds=checked_seeds(seeds if own.seeds is None else own.seeds, where, *(() if own.seeds is None else here)),
        labels=getattr(own, "labels", 1.0),
        pretrained=own.pretrained if isinstance(own, _Finetuning) else None,
        fresh=isinstance(own, _Finetuning) and own.fresh,
        expect=own.expect,
    )
    processes = made.trainer.devices * made.trainer.num_nodes if isinstance(made.trainer.devices, int) else 1
    _check_sharding(made, where)
    shares = processes * made.training.accumulate
    if made.training.batch_size % shares:
        parts = f" in {made.training.accumulate} parts" if made.training.accumulate > 1 else ""
        what = f"batch_size {made.training.batch_size} can not be split evenly over {processes} processes{parts}"
        raise UserError(where(*here), what, f"take a multiple of {shares}")
    return made


def _check_sharding(made: Experiment, where: Where) -> None:
    """What `strategy: fsdp` can not be had with."""
    if made.trainer.strategy != "fsdp":
        return
    place = where("trainer", "strategy")
    if made.trainer.devices == "auto":
        raise UserError(place, "fsdp shares weights out over a number of devices", "set trainer.devices to it")
    if task(made.task).learner != SUPERVISED:
        raise UserError(place, f"fsdp shares out one network, and task {made.task} trains more", "set it to ddp")
    if made.trainer.precision == "16-mixed":
        raise UserError(place, "fsdp scales no losses, as 16-mixed would need", "set trainer.precision to bf16-mixed")


def _with_free(model: Model, given: Mapping[str, Any], where: Where, here: tuple[str, str]) -> Model:
    """A pre-training's model with the settings that its weights do not depend on."""
    for key in given:
        if key not in FREE:
            right = f"leave it out; here it takes: {', '.join(FREE)}"
            raise UserError(where(*here, "settings", key), f"the pre-training decides {key}", right)
    architecture = settings_of(member(model.family, model.name).path)
    checked = validate(architecture, given, where, *here, "settings")
    return model.model_copy(update={"settings": {**model.settings, **{key: getattr(checked, key) for key in given}}})


def _complete(model: Model, where: Where, here: tuple[str, str]) -> Model:
    """The model with its paper's settings filled in."""
    try:
        architecture = member(model.family, model.name)
    except UserError as e:  # its place is 'model.family' or 'model.name'
        raise UserError(where(*here, *e.where.split(".")), e.what, e.right) from None
    # YAML has lists only; the constructors take tuples.
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in model.settings.items()}
    settings = validate(settings_of(architecture.path), given, where, *here, "model", "settings").model_dump()
    if model.pretrained is None:
        return model.model_copy(update={"settings": settings})
    at = where(*here, "model", "pretrained")
    if not architecture.checkpoints:
        able = [name for members in FAMILIES.values() for name, m in members.items() if m.checkpoints]
        raise UserError(at, f"{model.name} reads no checkpoints", f"models that do: {', '.join(able)}")
    reason = checkpoint_problem(model.pretrained)
    if reason:
        raise UserError(at, *reason)
    for key in given:
        if key not in FREE:
            right = f"leave it out; beside a checkpoint it takes: {', '.join(FREE)}"
            raise UserError(where(*here, "model", "settings", key), f"the checkpoint decides {key}", right)
    return model.model_copy(update={"settings": {key: settings[key] for key in given}})


def _merged(
    model: type[_Settings],
    shared: Mapping[str, Any],
    own: Mapping[str, Any],
    where: Where,
    section: str,
    here: tuple[str, str],
) -> _Settings:
    """Shared settings with an experiment's own laid over them; errors point to whichever it came from."""

    def source(*keys: str | int) -> str:
        mine = bool(keys) and keys[0] in own
        return where(*here, section, *keys) if mine or not shared else where(section, *keys)

    return validate(model, {**shared, **own}, source)


def checked_seeds(seeds: Sequence[int], where: Where, *here: str) -> tuple[int, ...]:
    """Seeds, at least one and each once; raises `UserError`."""
    if not seeds:
        raise UserError(
            where(*here, "seeds"), "there are no seeds, so nothing would be trained", "give at least one, such as [0]"
        )
    if len(set(seeds)) < len(seeds):
        raise UserError(where(*here, "seeds"), f"a seed stands twice in {list(seeds)}", "give each seed once")
    return tuple(seeds)
