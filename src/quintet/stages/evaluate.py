"""Stage evaluate@<experiment>: every seed's best weights on the test split, which is read nowhere else."""

from __future__ import annotations

import json
import statistics as plain
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quintet.checking import validate
from quintet.config import Evaluation
from quintet.data.spec import Split
from quintet.evaluation.latency import latency
from quintet.experiment import STAGES, Section
from quintet.models import member
from quintet.stages import declared, figures, results
from quintet.stages.environment import environment
from quintet.tasks import TASKS
from quintet.tasks.objective import Objective, Predictions, load_objective
from quintet.tracking.journal import FILE_NAME, DataInput, Journal
from quintet.tracking.provenance import provenance
from quintet.training.memory import training_step_megabytes
from quintet.training.settings import Training
from quintet.training.weights import load_weights
from quintet.training.work import flops


def evaluate(name: str, section: Section = "experiments") -> None:
    """Measure experiment `name` and write outputs/runs/<name>/evaluate and outputs/metrics/<name>.json."""
    started = time.perf_counter()
    shown = declared.parameters(f"{STAGES[section][1]}@{name}")
    measuring = validate(Evaluation, shown.get("evaluation", {}), declared.plain_where, "evaluation")
    trained, out = Path("outputs/runs", name, "train"), Path("outputs/runs", name, "evaluate")
    settings = _json(trained / "settings.json")
    objective = load_objective(settings["task"], Path("data/prepared", settings["data"]), trained)
    if measuring.inception is not None:
        objective.look_with(Path(measuring.inception), declared.plain_where("evaluation", "inception"))
    test = objective.inputs.load("test")
    runs = {seed: _json(trained / f"seed-{seed}/run.json") for seed in settings["seeds"]}

    network = objective.network(settings["model"]).eval()
    found: dict[int, Predictions] = {}
    drawn: list[str] = []
    out.mkdir(parents=True, exist_ok=True)
    for seed in runs:
        load_weights(network, trained / f"seed-{seed}/weights.safetensors")
        objective.learnt_from(settings["labels"], seed)
        found[seed] = objective.predict(network, test, torch.device("cpu"))
        drawn += objective.draw(network, test, out, seed)
    files = [*results.write_examples(out, objective, found), *drawn]
    if objective.spec.kind == "text":
        seed = settings["seeds"][0]
        load_weights(network, trained / f"seed-{seed}/weights.safetensors")
        files += _write_explanations(out, objective, network, test, seed)
    task, model = TASKS[settings["task"]], settings["model"]
    evaluation = {
        "experiment": name,
        "task": settings["task"],
        "data": settings["data"],
        "family": model["family"],
        "model": model["name"],
        "title": member(model["family"], model["name"]).titled(model["settings"]) + _start(settings),
        "primary": task.primary,
        "direction": "max" if task.higher_is_better else "min",
        **results.labels(objective, settings["labels"], declared.plain_where(section, name, "labels")),
        "files": files,
        "metrics": results.intervals(objective, found, measuring),
        "expect": settings["expect"],
        "cost": _cost(
            network, objective, Training.model_validate(settings["training"]), list(runs.values()), measuring
        ),
        "runs": list(runs.values()),
        "evaluated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "evaluate_seconds": time.perf_counter() - started,
        "environment": environment(),
    }
    results.write_evaluation(out, evaluation)
    values = {metric: estimate["value"] for metric, estimate in evaluation["metrics"].items()}
    metrics = Path("outputs/metrics", f"{name}.json")
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(values, indent=1), encoding="utf8")
    for seed, run in runs.items():
        _track(out, trained, seed, run, objective.metrics(found[seed]), evaluation, settings, objective)


def _start(settings: dict[str, Any]) -> str:
    """Of a network that goes on from another, whether it began with the other's weights or is the control."""
    if settings["pretrained"] is None:
        return ", pre-trained" if settings["model"]["pretrained"] else ""
    return ", from scratch" if settings["fresh"] else ", pre-trained"


def _write_explanations(folder: Path, objective: Objective, network: nn.Module, test: Split, seed: int) -> list[str]:
    """`explanations.json`: why the network of one seed answered a few test examples as it did."""
    # Imported where there are texts: the tokenizers take a while to load.
    from quintet.tasks.explanation import explain
    from quintet.training.texts import TextSplit

    assert isinstance(test, TextSplit)
    found = explain(objective, network, test)
    if not found:
        return []
    content = json.dumps({"seed": seed, "explanations": found}, ensure_ascii=False)
    (folder / "explanations.json").write_text(content, encoding="utf8")
    return ["explanations.json"]


def _cost(
    network: nn.Module, objective: Objective, training: Training, runs: list[dict[str, Any]], measuring: Evaluation
) -> dict[str, Any]:
    """What the network costs to train and to ask; a forward pass in fp32 on this machine's CPU."""
    cpu = torch.device("cpu")
    timed = {}
    with torch.inference_mode():
        for batch in measuring.latency_batches:
            inputs = objective.inputs.example(batch, cpu)
            timed[str(batch)] = latency(partial(objective.called(network), inputs), batch, measuring.latency_seconds)
    return {
        "parameters": runs[0]["parameters"],
        "flops": flops(objective.called(network), objective.inputs.example(1, cpu)),
        "train_seconds": plain.fmean(run["train_seconds"] for run in runs),
        "samples_per_second": {batch: t["samples_per_second"] for batch, t in timed.items()},
        "latency_ms": {batch: {"p50": t["p50"], "p99": t["p99"]} for batch, t in timed.items()},
        "peak_memory_mb": training_step_megabytes(network, _a_step(network, objective, training), training.optimiser),
    }


def _a_step(network: nn.Module, objective: Objective, training: Training) -> Callable[[], Tensor]:
    """The loss of a batch of the training's size, of the longest examples that validation has."""
    split = objective.inputs.load("validation")
    size = min(training.batch_size // training.accumulate, max(1, objective.spec.counts["train"] // 2))
    lengths = objective.inputs.lengths(split)
    order = np.arange(len(split)) if lengths is None else np.argsort(-lengths, kind="stable")
    stored, targets = objective.inputs.collate(split, np.resize(order, size))
    return lambda: objective.loss(network, objective.inputs.network_input(stored), targets, training)


def _track(
    out: Path,
    trained: Path,
    seed: int,
    run: dict[str, Any],
    metrics: dict[str, float],
    evaluation: dict[str, Any],
    settings: dict[str, Any],
    objective: Objective,
) -> None:
    """Journal what was measured, for the training's own run: the report, or `quintet sync`, shows it in MLflow."""
    journal = Journal(out / f"seed-{seed}" / FILE_NAME)
    tags = provenance(Path.cwd())
    journal.start(
        f"{run['experiment']}-seed-{seed}",
        experiment=run["task"],
        tags={"quintet.run_key": run["run_key"], "dvc.stage.evaluate": tags.get("dvc.stage", "")},
        inputs=[DataInput(run["data"], objective.spec.digest, "test", objective.spec.source["took"])],
    )
    cost = evaluation["cost"]
    journal.metrics(
        run["steps"],
        {
            **{f"test_{metric}": value for metric, value in metrics.items()},
            "flops": float(cost["flops"]),
            "train_seconds": run["train_seconds"],
            **{f"latency_p50_ms_batch_{batch}": t["p50"] for batch, t in cost["latency_ms"].items()},
        },
    )
    title = f"{run['experiment']}, seed {seed}"
    figures.curves(trained / f"seed-{seed}/curves.csv", title, evaluation["primary"], out / f"seed-{seed}/curves.png")
    for file in ("evaluation.json", "examples.parquet", *evaluation["files"], f"seed-{seed}/curves.png"):
        journal.artifact(out / file, "figures" if file.endswith(".png") else "evaluation")
    journal.model(
        trained / f"seed-{seed}/weights.safetensors",
        settings=settings,
        spec=asdict(objective.spec),
        files={Path(name).stem: trained / name for name in objective.inputs.kept()},
        tags={"experiment": run["experiment"], "seed": str(seed)},
    )
    journal.end("FINISHED")
    journal.close()


def _json(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf8"))
    return content
