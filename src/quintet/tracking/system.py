"""Processor and memory use of a run, under the names MLflow's own system metrics have."""

from __future__ import annotations

import threading

from quintet.tracking.journal import Journal

_CPU = "system/cpu_utilization_percentage"


class SystemMetrics:
    """Writes the machine's use into the journal every `every` seconds, and once more when closed.

    system/cpu_utilization_percentage and system/system_memory_usage_{megabytes,percentage} are of the whole
    machine, system/process_memory_megabytes of this process. Steps count the samples, on over a resume.
    """

    def __init__(self, journal: Journal, every: float) -> None:
        self._journal = journal
        self._every = every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="quintet-system-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take a last sample and stop; the journal may then be closed."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        process = psutil.Process()
        psutil.cpu_percent()  # the first call has nothing to compare with
        last = self._journal.last_step(_CPU)
        step = 0 if last is None else last + 1
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(self._every)
            memory = psutil.virtual_memory()
            sample = {
                _CPU: psutil.cpu_percent(),
                "system/system_memory_usage_megabytes": memory.used / 1e6,
                "system/system_memory_usage_percentage": memory.percent,
                "system/process_memory_megabytes": process.memory_info().rss / 1e6,
            }
            try:
                self._journal.metrics(step, sample)
            except (OSError, ValueError):
                # A full disk, or a journal closed by a run that failed: the run itself says so.
                return
            step += 1
