"""params.yaml, checked as a whole. Free of torch: a suite is checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval
from pydantic import Field, PositiveFloat, PositiveInt

from quintet import yaml_file
from quintet.checking import Where, shown, validate, well_named
from quintet.data import check_source, named_options, outline, own_options
from quintet.data.options import Options
from quintet.errors import UserError, unknown
from quintet.experiment import STAGES, Experiment, Labels, Model, Seed, checked_seeds, experiment
from quintet.models import FAMILIES, member
from quintet.tasks import SUPERVISED, TASKS, Task, task
from quintet.training.settings import Settings

PARAMS = "params.yaml"
_ARTICLES = {
    "encoder": "an encoder",
    "generator": "a generator of images",
    "translator": "a translator of images",
    "stylist": "a translator between two domains",
}


class Evaluation(Settings):
    """How results are measured; `latency_seconds` is how long each batch size is timed for.

    `inception` is a file with weights of Inception v3, by which made images are measured besides.
    """

    resamples: PositiveInt = 1000
    confidence: Annotated[float, Interval(gt=0, lt=1)] = 0.95
    latency_batches: tuple[PositiveInt, ...] = Field((1, 64), strict=False, min_length=1)
    latency_seconds: PositiveFloat = 1.0
    inception: str | None = None


class Baseline(Settings):
    """A data set and a task whose baselines are run, on the labels that each seed draws."""

    data: str
    task: str
    labels: Labels = 1.0
    seeds: tuple[Seed, ...] = Field((0,), strict=False, min_length=1)


@dataclass(frozen=True)
class DataEntry:
    """A declared data set: its options, and what its examples will look like."""

    name: str
    section: Literal["data", "own_data"]
    options: Options
    kind: str
    target: str
    shape: tuple[int, ...]
    title: str
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A whole params.yaml; `experiments` are those of all sections, pre-trainings before fine-tunings."""

    suite: str
    seeds: tuple[int, ...]
    data: dict[str, DataEntry]
    baselines: dict[str, Baseline]
    evaluation: Evaluation
    experiments: dict[str, Experiment]

    @property
    def trainings(self) -> int:
        """How many trainings that is, seeds counted."""
        return sum(len(made.seeds) for made in self.experiments.values())


class _File(Settings):
    """The shape of params.yaml; its parts are checked one by one for the sake of good messages.

    Every section must stand there, since dvc.yaml names each, but may be empty.
    """

    suite: str
    seeds: list[Seed]
    data: dict[str, Any]
    own_data: dict[str, Any]
    baselines: dict[str, Any]
    training: dict[str, Any]
    trainer: dict[str, Any]
    evaluation: dict[str, Any]
    experiments: dict[str, Any]
    pretraining: dict[str, Any]
    finetuning: dict[str, Any]


def load(root: Path) -> Suite:
    """The checked suite in force in `root`; raises `UserError` for the first thing that is wrong."""
    document = yaml_file.load(root / PARAMS)
    return check(document.content, document.where)


def check(raw: Mapping[str, Any], where: Where) -> Suite:
    """Check all of a suite, names and types and combinations, without reading data or importing torch."""
    missing = [
        section
        for section in (
            *("data", "own_data", "baselines", "training", "trainer", "evaluation"),
            *("experiments", "pretraining", "finetuning"),
        )
        if section not in raw
    ]
    if missing and raw.keys() <= _File.model_fields.keys():
        raise UserError(
            where(), f"section '{missing[0]}' is missing", f"dvc.yaml reads it; write {missing[0]}: {{}} for none"
        )
    file = validate(_File, raw, where)
    well_named(file.suite, where("suite"))
    seeds = checked_seeds(file.seeds, where)
    data = _data(file, where)
    baselines = {name: _baseline(name, entry, data, where) for name, entry in file.baselines.items()}
    if not (file.experiments or file.pretraining or file.finetuning):
        raise UserError(where("experiments"), "no experiment is declared", "see suites/embedded.yaml")
    experiments = _experiments(file, seeds, where)
    for name, made in experiments.items():
        here = (made.section, name)
        if made.data not in data:
            raise unknown(where(*here, "data"), "data set", made.data, data)
        _fits(made, data[made.data], where)
        if made.pretrained is not None and data[made.data].kind == "text":
            _reaches(experiments[made.pretrained], made, data, where)
        _has_baseline(made, baselines, where(*here))
    evaluation = validate(Evaluation, file.evaluation, where, "evaluation")
    if evaluation.inception is not None and not Path(evaluation.inception).is_file():
        at = where("evaluation", "inception")
        raise UserError(at, f"no such file: {evaluation.inception}", "give a file with weights of Inception v3")
    return Suite(file.suite, seeds, data, baselines, evaluation, experiments)


def _experiments(file: _File, seeds: tuple[int, ...], where: Where) -> dict[str, Experiment]:
    made: dict[str, Experiment] = {}
    for section in STAGES:
        entries = getattr(file, section)
        for name, entry in entries.items():
            well_named(name, where(section, name))
            if name in made:
                right = "choose another name: both would write outputs/runs/" + name
                raise UserError(where(section, name), f"'{name}' stands under {made[name].section} as well", right)
            model = None
            if section == "finetuning":
                key = entry.get("pretrained") if isinstance(entry, Mapping) else None
                if isinstance(key, str) and key not in file.pretraining:
                    raise unknown(where(section, name, "pretrained"), "pre-training", key, file.pretraining)
                model = made[key].model if isinstance(key, str) else Model(family="", name="")
            made[name] = experiment(name, entry, seeds, file.training, file.trainer, where, section, model)
    return made


def data_entry(section: Literal["data", "own_data"], name: str, entry: Any, where: Where) -> DataEntry:
    """A checked entry of `data` or `own_data`; a folder it names must be there."""
    if not isinstance(entry, Mapping):
        raise UserError(where(section, name), f"is {shown(entry)}", "it takes settings, such as {set: digits}")
    known = named_options if section == "data" else own_options
    options = validate(known(where(section, name), entry), entry, where, section, name)
    check_source(where(section, name), options)
    seen = outline(options)
    return DataEntry(name, section, options, seen.kind, seen.target, seen.shape, seen.title, seen.classes)


def _data(file: _File, where: Where) -> dict[str, DataEntry]:
    data: dict[str, DataEntry] = {}
    sections: tuple[tuple[Literal["data", "own_data"], dict[str, Any]], ...]
    sections = (("data", file.data), ("own_data", file.own_data))
    for section, entries in sections:
        for name, entry in entries.items():
            well_named(name, where(section, name))
            if name in data:
                raise UserError(where(section, name), f"'{name}' is declared under data as well", "choose another name")
            data[name] = data_entry(section, name, entry, where)
    if not data:
        raise UserError(where("data"), "no data set is declared", "declare one, such as digits: {set: digits}")
    return data


def _baseline(name: str, entry: Any, data: Mapping[str, DataEntry], where: Where) -> Baseline:
    well_named(name, where("baselines", name))
    made = validate(Baseline, entry, where, "baselines", name)
    checked_seeds(made.seeds, where, "baselines", name)
    if made.data not in data:
        raise unknown(where("baselines", name, "data"), "data set", made.data, data)
    task(made.task, where("baselines", name, "task"))
    _task_fits(made.task, data[made.data], where("baselines", name))
    return made


def _has_baseline(made: Experiment, baselines: Mapping[str, Baseline], at: str) -> None:
    alike = [b for b in baselines.values() if b.data == made.data and b.task == made.task]
    entry, what = f"{{data: {made.data}, task: {made.task}", f"no baseline is declared for {made.task} on {made.data}"
    if TASKS[made.task].conditional and made.labels != 1:
        alike = [b for b in alike if b.labels == made.labels]
        entry, what = f"{entry}, labels: {made.labels}", f"{what} with labels: {made.labels}"
    if not alike:
        raise UserError(at, what, f"add under baselines: '{made.data}: {entry}}}'")


def _fits(made: Experiment, data: DataEntry, where: Where) -> None:
    """Does this model take this data, for this task?"""
    _task_fits(made.task, data, where(made.section, made.name))
    if made.section == "pretraining" and made.model.family != "bert":
        at = where(made.section, made.name, "model", "family")
        raise UserError(at, f"is '{made.model.family}', and only bert is pre-trained", "train others under experiments")
    if made.training.label_smoothing and not TASKS[made.task].label_smoothing:
        smoothed = ", ".join(name for name, entry in TASKS.items() if entry.label_smoothing)
        what = f"label_smoothing {made.training.label_smoothing} means nothing to {made.task}"
        raise UserError(where(made.section, made.name), what, f"set it for experiments of {smoothed} alone")
    at = where(made.section, made.name, "pretrained" if made.section == "finetuning" else "model")
    architecture = member(made.model.family, made.model.name)
    needed = TASKS[made.task].contract
    if architecture.contract != needed:
        fitting = ", ".join(n for members in FAMILIES.values() for n, m in members.items() if m.contract == needed)
        what = (
            f"{made.model.name} is {_ARTICLES[architecture.contract]}, and task {made.task} needs {_ARTICLES[needed]}"
        )
        raise UserError(at, what, f"such as: {fitting}")
    if TASKS[made.task].conditional and not (architecture.conditional or made.model.settings.get("conditional")):
        what = f"{made.model.name} is not told the class, and task {made.task} needs a generator that is"
        raise UserError(at, what, "set model.settings.conditional to true, or take cgan")
    if TASKS[made.task].learner != SUPERVISED and made.training.accumulate > 1:
        what = f"training.accumulate is {made.training.accumulate}, and task {made.task} takes each batch as a whole"
        raise UserError(where(made.section, made.name), what, "set it to 1")
    if data.kind not in architecture.inputs:
        fitting = ", ".join(
            n
            for members in FAMILIES.values()
            for n, m in members.items()
            if data.kind in m.inputs and m.contract == needed
        )
        reads = " or ".join(architecture.inputs)
        what = f"{made.model.name} reads {reads} data, and '{made.data}' is {data.kind} data"
        raise UserError(at, what, f"models that read it: {fitting}")
    crop, side = made.training.augment.crop, min(data.shape[1:], default=0)
    if data.kind == "image" and crop >= side:
        height, width = data.shape[1:]
        what = f"augment.crop {crop} would leave nothing of images of {height} x {width}"
        raise UserError(where(made.section, made.name), what, f"take {side - 1} at most")
    # A checkpoint's sizes are known when it is read.
    reason = None if made.model.pretrained else architecture.fits(made.model.settings, data.shape)
    if reason:
        raise UserError(at, f"{made.model.name} does not fit '{made.data}': {reason}")


def _reaches(source: Experiment, made: Experiment, data: Mapping[str, DataEntry], where: Where) -> None:
    """A pre-training has no weights for places beyond its longest text."""
    known, longest = data[source.data].shape[0], data[made.data].shape[0]
    if longest > known:
        what = (
            f"'{made.data}' has texts of up to {longest} tokens, and {source.name} was pre-trained on {known} at most"
        )
        right = f"set length of '{made.data}' to {known}, or that of '{source.data}' to {longest}"
        raise UserError(where(made.section, made.name, "data"), what, right)


def _task_fits(name: str, data: DataEntry, at: str) -> None:
    learnt = TASKS[name]
    fitting = f"tasks that fit it: {', '.join(n for n, t in TASKS.items() if _takes(t, data)) or 'none'}"
    if data.kind not in learnt.kinds or data.target != learnt.target:
        needs = f"task {name} needs {' or '.join(learnt.kinds)} data with a {learnt.target}"
        has = f"'{data.name}' is {data.kind} data with a {data.target}"
        raise UserError(at, f"{needs}, and {has}", fitting)
    if not _takes(learnt, data):
        what = f"task {name} needs data of {learnt.num_classes} classes, and '{data.name}' has {len(data.classes)}"
        raise UserError(at, what, fitting)


def _takes(learnt: Task, data: DataEntry) -> bool:
    # Where only the data can tell their classes, the task looks at them when it meets them.
    counted = learnt.num_classes is None or not data.classes or len(data.classes) == learnt.num_classes
    return data.kind in learnt.kinds and data.target == learnt.target and counted
