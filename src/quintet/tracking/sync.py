"""Bring MLflow up to date with the journals of finished and interrupted runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from quintet.errors import UserError
from quintet.tracking.journal import FILE_NAME, read_from, say_killed_if_abandoned
from quintet.tracking.projection import Projection
from quintet.tracking.store import Store, reason


@dataclass
class Summary:
    """What `sync` did: journals by what became of them. `failed` gives the reason for each file."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = {"created": self.created, "brought up to date": self.updated, "unchanged": self.unchanged}
        parts |= {"left deleted": self.deleted, "failed": list(self.failed)}
        return ", ".join(f"{len(journals)} {what}" for what, journals in parts.items() if journals) or "no journals"


def sync(roots: Iterable[Path], store: Store | None = None) -> Summary:
    """Send what the journals below `roots` hold and the store lacks.

    A run that the store does not know (another clone, a lost database, a server that was away) is made as it
    was, with its own times, and tagged quintet.restored; never twice. One whose process was killed says KILLED.
    One damaged journal does not stop the others. Raises `UserError` when the store can not be reached.
    """
    store = store or Store()
    store.check()
    summary = Summary()
    for path in sorted((p for root in roots for p in root.rglob(FILE_NAME)), key=_started_at):
        projection = Projection(store, path, restored=True)
        try:
            say_killed_if_abandoned(path)
            sent = projection.advance()
        except Exception as e:
            summary.failed[str(path)] = str(e) if isinstance(e, UserError) else reason(e)
            continue
        if projection.deleted:
            summary.deleted.append(str(path))
        elif projection.created:
            summary.created.append(str(path))
        elif sent:
            summary.updated.append(str(path))
        else:
            summary.unchanged.append(str(path))
    return summary


def _started_at(path: Path) -> tuple[int, str]:
    """Earlier runs first: a training before the evaluation that writes to the same run."""
    try:
        events, _ = read_from(path, 0)
        return int(events[0]["at"]), str(path)
    except (UserError, LookupError, TypeError, ValueError):
        return 0, str(path)
