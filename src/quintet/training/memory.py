"""How much memory a piece of work takes."""

from __future__ import annotations

import gc
from pathlib import Path

import torch


class PeakMemory:
    """The most memory that was in use since this was made, beyond what was in use then, in MB (2^20 bytes).

    On a GPU what torch allocated there; on a CPU the growth of the process, which Linux keeps a high
    mark of. Where neither is to be had, `megabytes` is None.
    """

    _STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self, on_gpu: bool = False) -> None:
        gc.collect()
        self._on_gpu = on_gpu
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self._before: float | None = torch.cuda.memory_allocated() / 2**20
            return
        try:
            self._CLEAR.write_text("5")  # sets the high mark to the present (proc(5))
            self._before = self._read("VmRSS")
        except OSError:
            self._before = None

    def megabytes(self) -> float | None:
        if self._before is None:
            return None
        now = torch.cuda.max_memory_allocated() / 2**20 if self._on_gpu else self._read("VmHWM")
        return max(0.0, now - self._before)

    def _read(self, field: str) -> float:
        lines = self._STATUS.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))
