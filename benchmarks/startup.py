"""What every command and stage pays before it works: the seconds its imports take."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

ROUNDS = 3
STAGES = ("prepare", "baseline", "train", "evaluate", "report")
_IMPORT = "import time; t = time.perf_counter(); {lines}; print(time.perf_counter() - t)"
_HEAVY = ("torch", "torchvision", "pytorch_lightning", "torchmetrics", "mlflow", "sklearn", "prefect", "dvc")


def run() -> None:
    print(f"Seconds of imports, median of {ROUNDS}; a stage has what stands in its row loaded.")
    peer = _seconds("import torch")
    print(f"  {'torch alone':22} {peer:5.2f}")
    for stage in STAGES:
        lines = f"from quintet.stages import spared; spared.spare({stage!r}); import quintet.stages.{stage}"
        loaded = _run(f"{lines}; import sys; print(*(m for m in {_HEAVY!r} if m in sys.modules))").split()
        seconds = _seconds(lines)
        print(f"  {stage:22} {seconds:5.2f}  {seconds / peer:4.1f} x torch  {' '.join(loaded)}")
    for arguments, goal in ((("--help",), 0.5), (("check",), 0.5)):
        seconds = median(_wall([sys.executable, "-m", "quintet", *arguments]) for _ in range(ROUNDS))
        verdict = "met" if seconds <= goal else "MISSED"
        print(f"  quintet {' '.join(arguments):14} {seconds:5.2f}  goal {goal:g}: {verdict}")
    print(flush=True)


def _seconds(lines: str) -> float:
    return median(float(_run(_IMPORT.format(lines=lines))) for _ in range(ROUNDS))


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def _wall(command: list[str]) -> float:
    import time

    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start
