"""The journal of a run: one JSON object a line, appended as things happen.

The journal is the truth about a run and MLflow a picture of it, so training needs no tracking server: what has
not been sent yet is still in the file. Events, in the order they may come:

    {"at": unix ms, "event": "start", "journal": id, "name", "experiment", "params": {}, "tags": {}, "inputs": []}
    {"at", "event": "metrics", "step": int, "values": {name: number}}
    {"at", "event": "params", "values": {}}
    {"at", "event": "tags", "values": {}}
    {"at", "event": "artifact", "file": path relative to the journal, "to": folder within the run's artifacts}
    {"at", "event": "image", "file": path relative to the journal, "key": name of the series, "step": int}
    {"at", "event": "model", "weights": path relative to the journal, "files": {name: path}, "settings": {},
     "spec": {}, "tags": {}}
    {"at", "event": "end", "status": "FINISHED" | "FAILED" | "KILLED"}

"start" comes again when an interrupted run goes on. Numbers that JSON has no word for are the strings "nan",
"inf" and "-inf", so that any JSON reader can read the file; `read` turns them back. This module imports
neither torch nor mlflow.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import posixpath
import re
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from quintet.errors import UserError

Event = dict[str, Any]
Status = Literal["FINISHED", "FAILED", "KILLED"]

RUN_KEY = "quintet.run_key"
FILE_NAME = "journal.jsonl"

# What MLflow accepts as the name of a param, metric or tag. Checked on writing: a name that the store refuses
# would otherwise block all that comes after it.
_NAME = re.compile(r"[\w\-.: /]{1,250}", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True)
class DataInput:
    """A data set that a run read: its name, content digest, use ('train', 'test') and where it came from."""

    name: str
    digest: str
    context: str
    source: str


class Journal:
    """Appends events to the journal at `path`, each on disk before the call returns.

    An existing journal is continued: a last line torn by `kill -9` is cut off, and metrics at steps it already
    holds are not recorded again (training is deterministic and replays the steps since its last checkpoint).
    May be used from several threads. One process at a time may write: it holds the kernel's lock on the file, which
    its death frees too. Raises `UserError` if another process writes, `OSError` on a full disk, leaving
    the journal as it was before the event, and `ValueError` for a name MLflow would refuse.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._steps: dict[str, set[int]] = {}
        self._images: set[tuple[str, int]] = set()
        self._start: Event | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115  # as long as the journal
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError(str(path), "another process is writing this run", "wait for it, or end it") from None
        whole = _whole_bytes(path)
        self._file.truncate(whole)
        for event in read(path):
            if event["event"] == "start":
                self._start = self._start or event
            elif event["event"] == "metrics":
                for name in event["values"]:
                    self._steps.setdefault(name, set()).add(event["step"])
            elif event["event"] == "image":
                self._images.add((event["key"], event["step"]))

    @property
    def run_key(self) -> str | None:
        """The key that MLflow's run is found by; None before the first `start`."""
        return str(self._start["tags"][RUN_KEY]) if self._start else None

    def last_step(self, name: str) -> int | None:
        """The highest step at which metric `name` is recorded."""
        return max(self._steps.get(name, ()), default=None)

    def start(
        self,
        name: str,
        *,
        experiment: str,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        inputs: Iterable[DataInput] = (),
    ) -> str:
        """Begin the run, or go on with it after an interruption; returns its run key.

        `experiment` is MLflow's word for a group of runs: our task. Nested `params` become flat, 'model.name'.
        A run key may be given in `tags` (a stage that writes to the run of an earlier stage does); otherwise it
        is the one that this journal started with, or new.
        """
        all_tags = {str(k): str(v) for k, v in (tags or {}).items()}
        before = self.run_key
        key = all_tags.setdefault(RUN_KEY, before or uuid.uuid4().hex)
        if before is not None and key != before:
            raise ValueError(f"{self.path}: is the journal of run {before}, not of {key}")
        event: Event = {
            "event": "start",
            "journal": self._start["journal"] if self._start else uuid.uuid4().hex,
            "name": name,
            "experiment": experiment,
            "params": _checked(flat(params or {})),
            "tags": _checked(all_tags),
            "inputs": [asdict(i) for i in inputs],
        }
        self._append(event)
        self._start = self._start or event
        return key

    def metrics(self, step: int, values: Mapping[str, float], at: int | None = None) -> None:
        """Record numbers at a step; `at` in unix milliseconds, now if not given."""
        with self._lock:
            new = {k: float(v) for k, v in _checked(values).items() if step not in self._steps.get(k, ())}
            if new:
                self._append({"event": "metrics", "step": int(step), "values": new}, at)
            for name in new:
                self._steps.setdefault(name, set()).add(int(step))

    def params(self, values: Mapping[str, Any]) -> None:
        """Record settings that were not known at the start."""
        self._append({"event": "params", "values": _checked(flat(values))})

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags; a later value of the same tag replaces the earlier."""
        self._append({"event": "tags", "values": _checked({k: str(v) for k, v in values.items()})})

    def artifact(self, file: Path, to: str = "") -> None:
        """Name a file that MLflow shall keep in folder `to` of the run's artifacts.

        It is read when it is sent, and again when MLflow is rebuilt: it must stay where it is, seen from the journal.
        """
        self._append({"event": "artifact", "file": self._relative(file), "to": to})

    def image(self, file: Path, key: str, step: int) -> None:
        """Name a PNG that shows series `key` at a step; MLflow shows a series as one picture that can be wound on.

        As with metrics, a step that is there already is not recorded again; as with `artifact`, the file must stay.
        """
        with self._lock:
            if (key, step) not in self._images:
                self._append({"event": "image", "file": self._relative(file), "key": _series(key), "step": int(step)})
                self._images.add((key, step))

    def model(
        self,
        weights: Path,
        *,
        settings: Mapping[str, Any],
        spec: Mapping[str, Any],
        files: Mapping[str, Path] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Name trained weights that MLflow shall keep as a model that can be served; `registry.log_model` says how.

        `settings` as in the run's settings.json, `spec` as in the data's spec.json; both are copied into the journal.
        `files` are what else the task's adapter (`quintet.serving`) needs, such as a vocabulary; as with `artifact`
        they must stay where they are.
        """
        event = {"event": "model", "weights": self._relative(weights), "settings": settings, "spec": spec}
        event["files"] = {name: self._relative(file) for name, file in (files or {}).items()}
        self._append({**event, "tags": _checked({k: str(v) for k, v in (tags or {}).items()})})

    def end(self, status: Status = "FINISHED", at: int | None = None) -> None:
        """The run is over, in this way; `at` in unix milliseconds, now if not given."""
        self._append({"event": "end", "status": status}, at)

    def close(self) -> None:
        """Release the file; the journal can be opened again."""
        self._file.close()

    def _relative(self, file: Path) -> str:
        return Path(os.path.relpath(file, self.path.parent)).as_posix()

    def _append(self, event: Event, at: int | None = None) -> None:
        line = json.dumps({"at": now_ms() if at is None else at, **_speakable(event)}, allow_nan=False)
        data = memoryview((line + "\n").encode())
        with self._lock:
            size = os.fstat(self._file.fileno()).st_size
            try:
                while data:
                    data = data[self._file.write(data) :]
            except OSError:
                # A full disk may have taken half the line; a later event must not land behind it.
                self._file.truncate(size)
                raise


def say_killed_if_abandoned(path: Path) -> bool:
    """End the run of a journal whose process was killed before it could do so, with its last sign of life.

    Returns whether it was so; a run whose process lives is left alone.
    """
    events = read(path)
    state = next((event["event"] for event in reversed(events) if event["event"] in ("start", "end")), "end")
    if state == "end":
        return False
    try:
        journal = Journal(path)
    except UserError:
        return False
    journal.end("KILLED", at=events[-1]["at"])
    journal.close()
    return True


def read(path: Path) -> list[Event]:
    """All whole events of a journal; a torn last line is not one.

    Raises `UserError` with file and line if a line is not an event.
    """
    return read_from(path, 0)[0]


def read_from(path: Path, offset: int) -> tuple[list[Event], list[int]]:
    """The whole events after byte `offset`, and for each the byte offset at which it ends."""
    events, ends = [], []
    with open(path, "rb") as f:
        f.seek(offset)
        for line in f:
            if not line.endswith(b"\n"):
                break
            offset += len(line)
            try:
                event = json.loads(line)
                kind = event["event"]
                if kind == "metrics":
                    event["values"] = {k: float(v) for k, v in event["values"].items()}
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                right = "restore the file, for instance with: dvc checkout"
                raise UserError(str(path), f"the line that ends at byte {offset} is not an event", right) from e
            events.append(event)
            ends.append(offset)
    return events, ends


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and texts: {"model": {"depth": 20}} -> {"model.depth": "20"}."""
    result: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result.update(flat(value, f"{prefix}{key}."))
        else:
            result[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return result


def now_ms() -> int:
    """Unix time in milliseconds, MLflow's unit."""
    return time.time_ns() // 1_000_000


def _whole_bytes(path: Path) -> int:
    """Length of the journal up to the end of its last whole line."""
    data = path.read_bytes()
    return data.rfind(b"\n") + 1


def _speakable(value: Any) -> Any:
    """`value` with what JSON has no word for as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _speakable(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_speakable(v) for v in value]
    return value


def _series(key: str) -> str:
    """MLflow puts the name into that of a file, and separates what it says there by '+'."""
    if not re.fullmatch(r"[\w\-. ]{1,100}", key, re.ASCII):
        raise ValueError(f"{key!r} is no name for a series of images: letters, digits, spaces and '_-.' only")
    return key


def _checked(values: Mapping[str, T]) -> dict[str, T]:
    for name in values:
        if not _NAME.fullmatch(name) or posixpath.normpath(name) != name or name.startswith((".", "/")):
            raise ValueError(f"{name!r} is no name for a param, metric or tag: letters, digits and '_-.: /' only")
    return dict(values)
