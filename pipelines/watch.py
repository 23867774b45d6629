"""Tells Prefect when a data folder has changed; a deployment's trigger does the rest (prefect.yaml).

An event and a trigger, not a scheduled flow that looks: looking costs a stat per file here, and a
process of three seconds and an entry among the runs every minute there.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.error
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipelines.servers import ask, prefect_login

EVENT = "quintet.data-changed"
_STORE = Path(".prefect", "watched.json")


def fingerprint(folder: Path) -> str:
    """A digest of names, sizes and times of all files below `folder`; of nothing, if there is no such folder."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        digest.update(f"{file.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


class Watch:
    """What is known of one folder. Kept in a file, so that a change while nobody watched is noticed too."""

    def __init__(self, root: Path, folder: str) -> None:
        self._root, self.folder = root, folder
        self._seen: str | None = None

    def changed(self) -> bool:
        """Whether the folder differs from when it was last told of, and has stopped changing since the last look.

        The first look ever only remembers. Files that are still being copied make no half a change.
        """
        now, told = fingerprint(self._root / self.folder), self._told().get(self.folder)
        settled, self._seen = now == self._seen, now
        if told is None:
            self.tell()
        return told is not None and now != told and settled

    def tell(self) -> None:
        """Remembers the folder as it was at the last look."""
        assert self._seen is not None
        file = self._root / _STORE
        file.parent.mkdir(exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(json.dumps({**self._told(), self.folder: self._seen}, indent=1) + "\n")
        os.replace(new, file)

    def _told(self) -> dict[str, str]:
        file = self._root / _STORE
        return json.loads(file.read_text()) if file.is_file() else {}


def watch(root: Path, folders: Sequence[str], api: str, every_seconds: float = 10.0) -> None:
    """Looks at `folders` for ever, and sends an event to the Prefect server at `api` for each that changed."""
    watches = [Watch(root, folder) for folder in folders]
    while True:
        for one in watches:
            if one.changed():
                try:
                    send_event(api, one.folder)
                except (urllib.error.URLError, OSError) as error:
                    print(f"{api} did not take the event ({error}); trying again", flush=True)
                else:
                    # Only now: a change that nobody took is told again at the next look.
                    one.tell()
                    print(f"{one.folder} changed", flush=True)
        time.sleep(every_seconds)


def send_event(api: str, folder: str) -> None:
    """Tells the server that `folder` changed."""
    event = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": EVENT,
        "resource": {"prefect.resource.id": f"quintet.data.{folder}", "prefect.resource.name": folder},
        "related": [],
        "payload": {},
    }
    ask(f"{api}/events", [event], login=prefect_login())
