"""Follows a journal while its run goes on, in the background."""

from __future__ import annotations

import logging
import threading
from typing import ClassVar

from quintet.tracking.journal import Journal
from quintet.tracking.projection import Projection
from quintet.tracking.store import Store, reason
from quintet.tracking.system import SystemMetrics

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 60.0
_SECOND_WAIT_S = 2.0


class Projector:
    """Sends a journal's events to MLflow every few seconds, from a thread of its own.

    Importing mlflow and waiting for a server happen there, so the training never waits for either. While the
    store can not be reached it is tried again at growing intervals; that is said once in a process, and what was not
    sent stays in the journal for `sync`. In distributed training only rank 0 makes one. Also a context manager.

    A run that ends well within `after` seconds is left to `sync`: the import alone takes seconds of what may be a
    shorter training. `every` and `system_every` are seconds too; with `system_every` None no processor and memory use
    is recorded.
    """

    # Stores that could not be written to when last tried, by any projector of this process.
    _out_of_reach: ClassVar[set[str]] = set()

    def __init__(
        self,
        journal: Journal,
        store: Store | None = None,
        *,
        after: float = 0.0,
        every: float = 3.0,
        system_every: float | None = 10.0,
    ) -> None:
        self._projection = Projection(store or Store(), journal.path)
        self._after, self._every = after, every
        self._left = False
        self._stopping = threading.Event()
        self._drained = False
        self._system = SystemMetrics(journal, system_every) if system_every else None
        # A daemon: a server that never answers can not keep the process from ending.
        self._thread = threading.Thread(target=self._follow, name="quintet-projector", daemon=True)
        self._thread.start()

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None as long as the store has not been reached."""
        return self._projection.run_id

    def close(self, timeout: float = 15.0, *, ended_well: bool = False) -> bool:
        """Send what is left, for at most `timeout` seconds; True if all of the journal was sent.

        A short run that `ended_well` is left; what became of one that did not is sent at once.

        Call it after the journal's `end`, and before its folder moves. A store that did not answer an earlier run of
        this process is not waited for as long again.
        """
        if self._system:
            self._system.close()
        self._left = ended_well
        self._stopping.set()
        self._thread.join(min(timeout, _SECOND_WAIT_S) if self._projection.store.uri in self._out_of_reach else timeout)
        if self._thread.is_alive():
            self._warn(TimeoutError(f"no answer within {timeout:g} s"))
        return self._drained

    def __enter__(self) -> Projector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self) -> None:
        failures = 0
        if self._stopping.wait(self._after) and self._left:
            return
        while True:
            last_time = self._stopping.is_set()
            try:
                self._projection.advance()
                failures = 0
                self._out_of_reach.discard(self._projection.store.uri)
                self._drained = last_time
            except Exception as e:  # whatever happens to tracking, training goes on
                failures += 1
                self._warn(e)
            if last_time:
                return
            self._stopping.wait(min(self._every * 2**failures, _LONGEST_WAIT_S))

    def _warn(self, error: Exception) -> None:
        store, journal = self._projection.store, self._projection.journal
        if store.uri not in self._out_of_reach:
            log.warning(
                "MLflow at %s can not be written to (%s). The run goes on; what was not sent is kept in %s, and "
                "`quintet sync` sends it later.",
                store,
                reason(error),
                journal,
            )
        self._out_of_reach.add(store.uri)
