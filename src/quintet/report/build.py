"""The one entry point: collect, compare, write."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from quintet.errors import UserError
from quintet.evaluation.statistics import LEVEL, RESAMPLES
from quintet.report.collect import Evaluated, collect
from quintet.report.compare import leaderboards
from quintet.report.markdown import markdown
from quintet.report.page import page
from quintet.report.plots import write_plots
from quintet.report.result import result


def build(
    outputs: Path,
    target: Path,
    *,
    suite: str,
    experiments: Sequence[str],
    baselines: Sequence[str],
    pretraining: Sequence[str] = (),
    finetuning: Sequence[str] = (),
    failed: Collection[str] = (),
    claims: Sequence[Mapping[str, Any]] = (),
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    run_ids: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Write index.html, report.md, report.json and plots/ into `target`; return what report.json holds.

    `outputs` holds runs/ and baselines/. Declared experiments and baselines without an evaluation are
    listed in the report as missing, as are those with a stage among `failed`; with none at all there
    is nothing to report, a `UserError`, as is a file that is corrupt or stale. `claims` are shown as
    given ({name, verdict, effect, low, high}).
    `resamples` and `level` are those that evaluation drew its intervals with; the differences between
    rows get theirs likewise. `run_ids` are the ids that MLflow has for runs, by their keys, where it was asked.
    """
    collected = collect(outputs, suite, experiments, baselines, failed, pretraining, finetuning)
    collected = replace(collected, evaluated=tuple(_found_again(one, run_ids) for one in collected.evaluated))
    if not collected.evaluated:
        raise UserError(str(outputs), "holds no evaluated experiment", "run: dvc repro")
    boards = leaderboards(collected, resamples=resamples, level=level)
    report = result(collected, boards, claims, resamples=resamples, level=level)

    target.mkdir(parents=True, exist_ok=True)
    write_plots(target / "plots", collected, boards)
    (target / "report.md").write_text(markdown(boards, report), encoding="utf8")
    (target / "index.html").write_text(page(collected, boards, report), encoding="utf8")
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    (target / "report.json").write_text(text + "\n", encoding="utf8")
    return report


def _found_again(one: Evaluated, run_ids: Mapping[str, str]) -> Evaluated:
    """With the ids that MLflow has now: it gave none to a baseline yet, and a store that was rebuilt gave others."""
    runs = (run | {"mlflow_run_id": run_ids.get(run.get("run_key", ""), run.get("mlflow_run_id"))} for run in one.runs)
    return replace(one, runs=tuple(runs))
