"""Stage train@<experiment>: every seed of one experiment, one after the other, in one process (or one per device)."""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import logging
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import nn

from quintet.data.text.store import TOKENIZER
from quintet.errors import UserError
from quintet.experiment import STAGES, Experiment, Model, Section, Trainer, experiment
from quintet.stages import declared, nodes
from quintet.stages.environment import environment
from quintet.tasks import TASKS, pictures
from quintet.tasks.objective import Objective, load_objective
from quintet.tasks.supervised import Supervised
from quintet.tracking.journal import DataInput, Journal, Status, read
from quintet.tracking.projector import Projector
from quintet.tracking.provenance import provenance
from quintet.tracking.sync import UNSENT
from quintet.training import sharding
from quintet.training.checkpoints import BestWeights, ResumePoint
from quintet.training.precision import Precision, choose
from quintet.training.progress import Progress
from quintet.training.weights import load_part, load_weights, save_weights

log = logging.getLogger(__name__)

# Lightning's advice to programmers; what a user can act on, Quintet says itself.
if not logging.getLogger().isEnabledFor(logging.INFO):
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="torch")

SCRATCH = Path(".scratch")
_WEIGHTS = "weights.safetensors"
# A training that ends before is sent to MLflow with the report.
_SHORT_S = 30.0
_CURVES = ("train_loss", "validation_loss", "validation_score", "learning_rate")


def train(name: str, section: Section = "experiments") -> None:
    """Train every seed of the experiment `name`, an entry of `section`, and write outputs/runs/<name>/train.

    Work in progress lies in .scratch, in a folder named by everything that determines the result, so
    that a killed training goes on and a changed setting never resumes a stale one. The outputs appear
    when all seeds are done. Raises `SystemExit` if the training was interrupted.
    """
    nodes.wait_for_first()
    stage = f"{STAGES[section][0]}@{name}"
    shown = declared.parameters(stage)
    entry = shown[section][name]
    source = Path("outputs/runs", entry["pretrained"], "train") if "pretrained" in entry else None
    made = experiment(
        name,
        entry,
        shown["seeds"],
        shown.get("training", {}),
        shown.get("trainer", {}),
        declared.plain_where,
        section,
        _pretrained_model(source) if source else None,
    )
    nodes.launch(made.trainer)
    if made.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        where = declared.plain_where(section, name, "trainer", "accelerator")
        raise UserError(where, "is 'gpu', and torch sees no GPU here", "set it to auto or cpu")
    if source is not None:
        weights = source / f"seed-{_first_seed(source)}" / _WEIGHTS
        _train(made, source, None if made.fresh else weights)
    elif made.model.pretrained is not None:
        with tempfile.TemporaryDirectory() as folder:
            _train(_from_checkpoint(made, made.model.pretrained, Path(folder)), Path(folder), Path(folder, _WEIGHTS))
    else:
        _train(made)


def _train(made: Experiment, vocabulary: Path | None = None, weights: Path | None = None) -> None:
    """Train an experiment whose encoder starts with `weights` and whose texts are cut with `vocabulary`'s tokenizer."""
    name, stage = made.name, f"{STAGES[made.section][0]}@{made.name}"
    objective = load_objective(made.task, Path("data/prepared", made.data), vocabulary)
    objective.inputs.labelled(made.labels, declared.plain_where(made.section, name, "labels"))
    scratch = SCRATCH / f"{name}-{_key(made, objective, declared.code_digest(stage), weights)[:16]}"
    # Decided before any training, so that all processes of a distributed training decide alike.
    pending = [seed for seed in made.seeds if not (scratch / f"seed-{seed}" / "run.json").exists()]
    for seed in pending:
        _Run(made, objective, scratch / f"seed-{seed}", seed, weights).train()
    if _is_first_process():
        for file, text in objective.inputs.kept().items():
            (scratch / file).write_text(text, encoding="utf8")
        (scratch / "settings.json").write_text(json.dumps(_settings(made), indent=1), encoding="utf8")
        _publish(scratch, Path("outputs/runs", name, "train"))


class _Run:
    """The training of one seed."""

    def __init__(self, made: Experiment, objective: Objective, folder: Path, seed: int, weights: Path | None) -> None:
        self.experiment, self.objective, self.folder, self.seed = made, objective, folder, seed
        self.pretrained_weights = weights
        self.task = TASKS[made.task]
        self.first = _is_first_process()
        if self.first:
            folder.mkdir(parents=True, exist_ok=True)

    def train(self) -> None:
        pl.seed_everything(self.seed, workers=True, verbose=False)
        self.objective.learnt_from(self.experiment.labels, self.seed)
        network = self.objective.network(self.experiment.model.model_dump())
        if self.pretrained_weights:
            load_part(network.encoder, self.pretrained_weights, "encoder.")  # type: ignore[arg-type]
        precision = self._precision(network)
        module = _learner(self.experiment.task)(
            self.experiment.name,
            network.to(memory_format=precision.memory_format),  # type: ignore[call-overload]
            self.objective,
            self.objective.inputs.load("train", self.experiment.labels, self.seed),
            self.objective.inputs.load("validation"),
            self.experiment.training,
            self.seed,
            precision.memory_format,
        )
        best = BestWeights(self.folder / _WEIGHTS, self.task.higher_is_better)
        last = self.folder / "last.ckpt"
        resume = last if last.exists() and _readable(last) else None
        journal = self._journal(precision, network) if self.first else None
        projector = Projector(journal, after=_SHORT_S) if journal else None
        trainer = self._trainer(precision, best, ResumePoint(last), journal, module.automatic_optimization)
        status: Status = "KILLED"
        try:
            self._split_evenly(trainer.world_size)
            _fit(trainer, module, resume)
            if journal:
                self._write_curves_and_rows(module, journal)
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            if journal and projector:
                journal.end(status)
                projector.close(ended_well=status == "FINISHED")
                journal.close()
        if journal and projector:
            run = self._summary(module, trainer, journal) | {
                "mlflow_run_id": projector.run_id,
                "best": {"metric": self.task.primary, **best.best},
                "precision": precision.lightning,
                "memory_format": str(precision.memory_format).removeprefix("torch."),
                "precision_reason": precision.reason,
            }
            # Last and in one step: a seed that has it is done.
            partial = self.folder / "run.partial"
            partial.write_text(json.dumps(run, indent=1), encoding="utf8")
            os.replace(partial, self.folder / "run.json")
            last.unlink(missing_ok=True)

    def _split_evenly(self, processes: int) -> None:
        """`devices: auto` is a number only now."""
        training = self.experiment.training
        size = training.batch_size // training.accumulate
        if size % processes:
            where = declared.plain_where(self.experiment.section, self.experiment.name)
            what = f"batch_size {size} can not be split evenly over {processes} devices"
            raise UserError(where, what, f"take a multiple of {processes}, or set trainer.devices")

    def _precision(self, network: nn.Module) -> Precision:
        trainer = self.experiment.trainer
        on_gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
        processes = trainer.num_nodes * (trainer.devices if isinstance(trainer.devices, int) else 1)
        training = self.experiment.training
        size = max(1, training.batch_size // training.accumulate // processes)
        example = self.objective.inputs.example(size, torch.device("cpu"))
        chosen = choose(trainer.precision, self.objective.called(network), example, on_gpu)
        # torch shares out contiguous weights alone.
        return replace(chosen, memory_format=torch.contiguous_format) if trainer.strategy == "fsdp" else chosen

    def _trainer(
        self, precision: Precision, best: BestWeights, resume: ResumePoint, journal: Journal | None, automatic: bool
    ) -> pl.Trainer:
        training, machine = self.experiment.training, self.experiment.trainer
        title = f"{self.experiment.name}, seed {self.seed}"
        callbacks: list[Callback] = [Progress(title, self.task.primary)]
        if training.early_stopping:
            callbacks.append(
                EarlyStopping(
                    "validation_score",
                    mode="max" if self.task.higher_is_better else "min",
                    patience=training.early_stopping.patience,
                    check_on_train_epoch_end=True,
                )
            )
        return pl.Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            strategy=_strategy(machine, automatic),
            num_nodes=machine.num_nodes,
            precision=precision.lightning,  # type: ignore[arg-type]
            max_epochs=training.budget.epochs or -1,
            max_steps=training.budget.steps or -1,
            # A task that steps by itself clips by itself; Lightning would refuse.
            gradient_clip_val=training.gradient_clip if automatic else None,
            accumulate_grad_batches=training.accumulate,
            callbacks=[*callbacks, best, resume],
            logger=_JournalLogger(journal) if journal else False,
            deterministic="warn",
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=self.folder,
        )

    def _journal(self, precision: Precision, network: nn.Module) -> Journal:
        made, spec = self.experiment, self.objective.spec
        journal = Journal(self.folder / "journal.jsonl")
        settings = _settings(made)
        journal.start(
            f"{made.name}-seed-{self.seed}",
            experiment=made.task,
            params={
                "model": settings["model"],
                "training": settings["training"],
                "trainer": {**settings["trainer"], "precision": precision.lightning},
                "parameters": sum(p.numel() for p in network.parameters()),
                **({"starts_from": _digest(self.pretrained_weights)} if self.pretrained_weights else {}),
                "environment": environment(),
            },
            tags={
                **provenance(Path.cwd()),
                "experiment": made.name,
                "family": made.model.family,
                "model": made.model.name,
                "task": made.task,
                "data": made.data,
                "seed": str(self.seed),
            },
            inputs=[DataInput(made.data, spec.digest, "training", spec.source.get("took", ""))],
        )
        return journal

    def _write_curves_and_rows(self, module: Supervised, journal: Journal) -> None:
        """The curves, and what the best weights say of the validation split."""
        network = self.objective.network(self.experiment.model.model_dump()).eval()
        load_weights(network, self.folder / _WEIGHTS)
        found = self.objective.predict(network, module.validation_split, torch.device("cpu"))
        pq.write_table(found.table(self.seed).drop_columns(["seed"]), self.folder / "validation.parquet")
        _write_curves(read(journal.path), self.folder / "curves.csv")
        for file in ("curves.csv", "validation.parquet", *module.write(self.folder)):
            journal.artifact(self.folder / file, "training")

    def _summary(self, module: Supervised, trainer: pl.Trainer, journal: Journal) -> dict[str, Any]:
        """What is to be known of the run, apart from its curves and rows."""
        made, budget = self.experiment, self.experiment.training.budget
        starts = [event for event in read(journal.path) if event["event"] == "start"]
        used = {"epochs": trainer.current_epoch, "steps": trainer.global_step, "seconds": module.seconds}[budget.kind]
        tags = starts[-1]["tags"]
        return {
            "run_key": journal.run_key,
            "experiment": made.name,
            "seed": self.seed,
            "task": made.task,
            "data": made.data,
            "data_digest": self.objective.spec.digest,
            "family": made.model.family,
            "model": made.model.name,
            "commit": tags.get("git.commit"),
            "dirty": tags.get("git.dirty") == "true",
            "dvc_stage": f"{STAGES[made.section][0]}@{made.name}",
            "started_at": _utc(starts[0]["at"]),
            "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "train_seconds": module.seconds,
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "samples_per_second": trainer.global_step * module.train_batches.batch_size / module.seconds,
            "parameters": sum(p.numel() for p in module.network.parameters()),
            "budget": {"kind": budget.kind, "allowed": budget.allowed, "used": used},
            "stopped_by": "budget" if used >= budget.allowed else "early_stopping",
            "resumed": len(starts) - 1,
            "environment": environment(trainer),
        }


def _pretrained_model(source: Path) -> Model:
    """The model that a pre-training trained."""
    settings = json.loads((source / "settings.json").read_text(encoding="utf8"))
    return Model.model_validate(settings["model"])


def _from_checkpoint(made: Experiment, source: str, folder: Path) -> Experiment:
    """Write a published checkpoint to `folder` as a pre-training of ours leaves it; the experiment with its sizes."""
    # Imported when there is one: transformers takes seconds.
    from quintet.models.bert.pretrained import read_checkpoint

    try:
        read = read_checkpoint(source)
    except ValueError as e:
        raise UserError(declared.plain_where(made.section, made.name, "model", "pretrained"), str(e)) from e
    (folder / TOKENIZER).write_text(read.tokenizer, encoding="utf8")
    save_weights({f"encoder.{name}": value for name, value in read.weights.items()}, folder / _WEIGHTS)
    model = made.model.model_copy(update={"settings": {**read.settings, **made.model.settings}})
    return made.model_copy(update={"model": model})


def _first_seed(source: Path) -> int:
    """The pre-training that is gone on from; like a published checkpoint, it is one."""
    seeds: list[int] = json.loads((source / "settings.json").read_text(encoding="utf8"))["seeds"]
    return seeds[0]


def _strategy(machine: Trainer, automatic: bool) -> str | ModelParallelStrategy:
    if machine.strategy != "fsdp":
        if not automatic and (machine.strategy == "ddp" or machine.devices != 1 or machine.num_nodes > 1):
            # While one of two players steps, the other's weights get no gradient.
            return "ddp_find_unused_parameters_true"
        return machine.strategy
    assert isinstance(machine.devices, int)
    return sharding.strategy(machine.devices * machine.num_nodes)


def _learner(task: str) -> type[Supervised]:
    module, _, name = TASKS[task].learner.partition(":")
    learner: type[Supervised] = getattr(importlib.import_module(module), name)
    return learner


def _is_first_process() -> bool:
    """Of a distributed training one process writes; known before Lightning's Trainer is made."""
    return getattr(rank_zero_only, "rank", 0) == 0


def _fit(trainer: pl.Trainer, module: pl.LightningModule, resume: Path | None) -> None:
    """Train to the end of the budget, or raise: a training that was told to stop must not look complete.

    Lightning answers SIGTERM with `SystemExit(None)`, which a shell and DVC take for success.
    """
    try:
        trainer.fit(module, ckpt_path=resume, weights_only=True)
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None
    if trainer.received_sigterm or trainer.interrupted:
        raise SystemExit(128 + signal.SIGTERM)


class _JournalLogger(Logger):
    """Lightning's metrics, and a task's pictures, into the run's journal, each at the number of steps done."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    @property
    def name(self) -> str:
        return "journal"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        # Lightning counts from zero and gives an epoch's metrics the index of its last step.
        self.journal.metrics((step or 0) + 1, dict(metrics))

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[np.ndarray], step: int) -> None:
        """Pictures [height width channel] beside the journal; called as Lightning's own loggers that have it."""
        for number, picture in enumerate(images):
            name = key if len(images) == 1 else f"{key}-{number}"
            file = self.journal.path.with_name(f"{name}-step-{step:07d}.png")
            pictures.save(picture, file)
            self.journal.image(file, name, step)

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The journal's start already holds every setting."""


def _settings(made: Experiment) -> dict[str, Any]:
    dumped = made.model_dump(mode="json")
    return {"experiment": dumped.pop("name"), **dumped}


def _key(made: Experiment, objective: Objective, code: str, weights: Path | None) -> str:
    """A hash of everything that determines the result; which seeds there are does not change any one of them."""
    settings = json.dumps(made.model_dump(mode="json", exclude={"seeds", "expect"}), sort_keys=True)
    parts = [settings, objective.spec.digest, code, torch.__version__, version("pytorch-lightning")]
    # The digest of data is that of words; the same words may be cut otherwise.
    parts += objective.inputs.kept().values()
    if weights:
        parts.append(_digest(weights))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _readable(checkpoint: Path) -> bool:
    """A damaged checkpoint is set aside and named; the seed then starts anew."""
    try:
        torch.load(checkpoint, weights_only=True, map_location="cpu")
    except Exception as e:
        aside = checkpoint.with_suffix(".damaged")
        log.warning("%s can not be read (%s); it is kept as %s and the seed starts anew", checkpoint, e, aside.name)
        os.replace(checkpoint, aside)
        return False
    return True


def _write_curves(events: list[dict[str, Any]], file: Path) -> None:
    """One row per validation, with all that the task logs; after a resume the journal still holds each step once."""
    rows = [event for event in events if event["event"] == "metrics" and "validation_loss" in event["values"]]
    own = {name for row in rows for name in row["values"]} - {"epoch", "seconds", *_CURVES}
    columns = [*_CURVES, *sorted(own)]
    with open(file, "w", newline="", encoding="utf8") as f:
        writer = csv.writer(f)
        writer.writerow(["step", "epoch", "seconds", *columns])
        for row in rows:
            values = row["values"]
            # Lightning numbers epochs from zero.
            epoch, seconds = int(values["epoch"]) + 1, round(values["seconds"], 3)
            writer.writerow([row["step"], epoch, seconds, *(values.get(column, "") for column in columns)])


def _publish(scratch: Path, target: Path) -> None:
    """Copy what is done to its place in one step, then clear the scratch folder but for runs that MLflow lacks."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(scratch, partial)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)
    for file in scratch.glob("seed-*/run.json"):
        run = json.loads(file.read_text(encoding="utf8"))
        if run["mlflow_run_id"] is None:
            UNSENT.mkdir(exist_ok=True)
            shutil.rmtree(UNSENT / run["run_key"], ignore_errors=True)
            os.replace(file.parent, UNSENT / run["run_key"])
    shutil.rmtree(scratch)


def _utc(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds")
