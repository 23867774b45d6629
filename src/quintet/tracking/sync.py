"""Bring MLflow up to date with the journals of finished and interrupted runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quintet.errors import UserError
from quintet.tracking.journal import FILE_NAME, Event, read_from, say_killed_if_abandoned
from quintet.tracking.projection import Projection
from quintet.tracking.provenance import EXECUTION
from quintet.tracking.store import Store, reason

# Where journals are: results, and trainings that were interrupted and wait to go on.
PLACES = (Path("outputs"), Path(".scratch"))
# Copies of runs that were too short to be followed, a folder each: a later training may replace their outputs first.
UNSENT = Path(".scratch", "unsent")
# Stages whose journals are sent when all is done.
_SENT_LATER = ("baseline", "report")
_MARK = Path(".scratch", "in-mlflow.json")


@dataclass
class Summary:
    """What `sync` did: journals by what became of them. `failed` gives the reason for each file.

    `run_ids` has the store's id of each run, by its key.
    """

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    run_ids: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = {"created": self.created, "brought up to date": self.updated, "unchanged": self.unchanged}
        parts |= {"left deleted": self.deleted, "failed": list(self.failed)}
        return ", ".join(f"{len(journals)} {what}" for what, journals in parts.items() if journals) or "no journals"


def sync(roots: Iterable[Path], store: Store | None = None, execution: str | None = None) -> Summary:
    """Send what the journals below `roots` hold and the store lacks.

    A run that the store does not know (another clone, a lost database, a server that was away) is made as it
    was, with its own times, and tagged quintet.restored; never twice. (Not tagged are runs of `execution`, the one
    that asks: they are sent for the first time.) One whose process was killed says KILLED. One damaged journal does
    not stop the others. Copies in `UNSENT` are deleted once they are sent. Raises `UserError` when the store can not
    be reached.
    """
    store = store or Store()
    store.check()
    summary = Summary()
    known = set()
    for path in sorted((p for root in roots for p in root.rglob(FILE_NAME)), key=_order):
        copy = _first(path).get("journal")
        if copy in known:
            continue
        projection = Projection(store, path, restored=execution is None or _execution(path) != execution)
        try:
            say_killed_if_abandoned(path)
            sent = projection.advance()
        except Exception as e:
            summary.failed[str(path)] = str(e) if isinstance(e, UserError) else reason(e)
            continue
        if copy:
            known.add(copy)
        if path.parts[-4:-2] == UNSENT.parts:
            shutil.rmtree(path.parent)
        if projection.run_key and projection.run_id:
            summary.run_ids[projection.run_key] = projection.run_id
        if projection.deleted:
            summary.deleted.append(str(path))
        elif projection.created:
            summary.created.append(str(path))
        elif sent:
            summary.updated.append(str(path))
        else:
            summary.unchanged.append(str(path))
    return summary


def remember(root: Path, store: Store) -> None:
    """Note that the store has all that the journals of the project at `root` hold, for `up_to_date`."""
    mark = root / _MARK
    picture = _picture(root, store)
    if picture is None:
        mark.unlink(missing_ok=True)
    else:
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(json.dumps(picture), encoding="utf8")


def up_to_date(root: Path, store: Store) -> bool:
    """Whether nothing happened since `remember`, neither to the journals and the report nor to the store's file.

    Costs milliseconds: mlflow is not imported. Of a server nothing is known unless it is asked: False.
    """
    try:
        remembered = json.loads((root / _MARK).read_text(encoding="utf8"))
    except (OSError, ValueError):
        return False
    return bool(remembered == _picture(root, store))


def _picture(root: Path, store: Store) -> dict[str, Any] | None:
    """Store and journals as they are; None if they may change without our seeing it."""
    database = store.database()
    if database is None:
        return None
    digest = hashlib.sha256()
    journals = sorted(path for place in PLACES for path in (root / place).rglob(FILE_NAME))
    for path in journals:
        content = path.read_bytes()
        # A last sample of the machine may come after the end.
        if content.rfind(b'"event": "start"') >= content.rfind(b'"event": "end"'):
            return None  # it goes on, or its process was killed and nobody has said so yet
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + content)
    report = root / PLACES[0] / "report" / "report.json"
    if report.exists():
        digest.update(report.read_bytes())
    return {"store": store.uri, "database": database, "journals": digest.hexdigest()}


def _first(path: Path) -> Event:
    """A journal's first event; an empty one where it has none that can be read."""
    try:
        events, _ = read_from(path, 0)
    except UserError:
        return {}
    return events[0] if events else {}


def _execution(path: Path) -> str | None:
    """The execution of the pipeline that a journal's run began in."""
    tags = _first(path).get("tags", {})
    return str(tags[EXECUTION]) if EXECUTION in tags else None


def _order(path: Path) -> tuple[bool, int, str]:
    """Earlier runs first, and trainings before all else, as they are shown while they go on.

    So an execution begins with its first training, whether it was followed or is made again; and a training is there
    before the evaluation that writes to the same run.
    """
    start = _first(path)
    tags = start.get("tags", {})
    measured = "dvc.stage.evaluate" in tags or tags.get("dvc.stage", "").partition("@")[0] in _SENT_LATER
    return measured, int(start.get("at", 0)), str(path)
