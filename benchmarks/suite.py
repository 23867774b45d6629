"""The suite in force, from nothing, in a scratch clone: how much of its wall time is training and evaluation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from quintet.data import DATASETS
from quintet.graph.plan import cores

ROOT = Path(__file__).parents[1]
# Four minutes each for classifying images, for texts, and for making images.
GOAL = 3 * 240.0
# With nothing to do. It was set for the part that classifies images, so that part is measured alone as well.
IDLE = 3.0
_DVC = (sys.executable, "-m", "dvc")


def run() -> None:
    with TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        shutil.copyfile(ROOT / "params.yaml", clone / "params.yaml")
        (clone / "dvc.lock").unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(clone / "src")}
        environment.pop("MLFLOW_TRACKING_URI", None)

        def timed(*command: str) -> float:
            start = time.perf_counter()
            done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
            return time.perf_counter() - start

        whole = timed(sys.executable, "-m", "pipelines", "run")
        again = timed(*_DVC, "repro")
        work = sum(_work(file) for file in clone.glob("outputs/**/evaluation.json"))
        print(f"The suite in force from nothing, in a scratch clone, {cores()} stages at a time:")
        print(f"  the flow               {whole:6.1f} s  goal {GOAL:g} s: {'met' if whole <= GOAL else 'MISSED'}")
        print(f"  training, evaluation   {work:6.1f} s  of its {cores()} cores")
        print(f"  everything else        {1 - work / whole / cores():6.0%}    (start-up, data, report, DVC, MLflow)")
        print(f"  dvc repro again        {again:6.1f} s  goal {IDLE:g} s: {'met' if again <= IDLE else 'MISSED'}")
        if _only_images_to_classify(clone / "params.yaml"):
            timed(*_DVC, "repro")
            again = timed(*_DVC, "repro")
            print(f"  classifying images only{again:6.1f} s  goal {IDLE:g} s: {'met' if again <= IDLE else 'MISSED'}")
        print(flush=True)


def _only_images_to_classify(file: Path) -> bool:
    """Leaves that part of the suite alone in params.yaml, if there is one."""
    params = yaml.safe_load(file.read_text(encoding="utf8"))
    data = {name for name, options in params["data"].items() if DATASETS[options["set"]].kind == "image"}
    for section in ("experiments", "baselines"):
        params[section] = {
            name: entry
            for name, entry in params[section].items()
            if entry["data"] in data and entry["task"] == "classification"
        }
    used = {entry["data"] for entry in params["experiments"].values()}
    params["data"] = {name: options for name, options in params["data"].items() if name in used}
    params["pretraining"] = params["finetuning"] = {}
    file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf8")
    return bool(used)


def _work(file: Path) -> float:
    evaluation = json.loads(file.read_text(encoding="utf8"))
    return float(sum(r["train_seconds"] for r in evaluation["runs"]) + evaluation.get("evaluate_seconds", 0.0))
