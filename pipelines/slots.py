"""CPU slots and GPU ids, handed to stages and taken back."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from quintet.errors import UserError
from quintet.graph.plan import checked_slots


@dataclass(frozen=True)
class Lease:
    """What one running stage holds."""

    cpus: int
    gpus: tuple[str, ...]


class Slots:
    """The CPU slots and GPU ids of this machine. Safe to use from several threads."""

    def __init__(self, cpus: int, gpus: Sequence[str]) -> None:
        self.cpus, self.gpus = checked_slots(cpus), tuple(gpus)
        self._free_cpus = cpus
        self._free_gpus = list(gpus)
        self._out: list[Lease] = []
        self._lock = threading.Lock()

    def check(self, stage: str, gpus: int) -> None:
        """A UserError where `stage` asks for more GPUs than there are and so could never run."""
        if gpus > len(self.gpus):
            raise UserError(f"dvc.yaml: {stage}: meta.gpus", f"{gpus} asked for, {len(self.gpus)} can be used here")

    def take(self, cpus: int, gpus: int) -> Lease | None:
        """A lease on `cpus` slots and `gpus` devices, or None while they are not free.

        A stage that asks for more CPU slots than there are gets them all: it runs alone, and slower.
        """
        cpus = min(cpus, self.cpus)
        with self._lock:
            if cpus > self._free_cpus or gpus > len(self._free_gpus):
                return None
            lease = Lease(cpus, tuple(self._free_gpus[:gpus]))
            self._free_cpus -= cpus
            del self._free_gpus[:gpus]
            self._out.append(lease)
            return lease

    def give_back(self, lease: Lease) -> None:
        """Ends `lease`; one that is not out is our mistake."""
        with self._lock:
            self._out.remove(lease)
            self._free_cpus += lease.cpus
            # Sorted as given, so that which device a stage gets does not depend on who finished first.
            self._free_gpus = sorted([*self._free_gpus, *lease.gpus], key=self.gpus.index)

    def environment(self, lease: Lease) -> dict[str, str]:
        """Variables that keep a stage to its lease: threads, and the devices it may see.

        On a machine without GPUs `CUDA_VISIBLE_DEVICES` is left alone.
        """
        variables = {"OMP_NUM_THREADS": str(lease.cpus)}
        if self.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(lease.gpus)
        return variables


def visible_gpus() -> tuple[str, ...]:
    """Ids of the GPUs that may be used: `CUDA_VISIBLE_DEVICES` if set, else what nvidia-smi lists. No torch."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return tuple(device.strip() for device in given.split(",") if device.strip())
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = subprocess.run(
        ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, timeout=30
    )
    return tuple(listed.stdout.split()) if listed.returncode == 0 else ()
