"""MLflow as a projection of journals: what a journal says, and nothing else, is written to the store.

Writing is "at least once", and every write can be repeated without effect: a run is found again by its key, a
metric is the same row when name, step, time and value are, params and tags have one value, files are replaced.
How far a journal has been sent stands in a tag of its run, so any process can go on where another stopped.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quintet.errors import UserError
from quintet.serving import can_serve
from quintet.tracking.execution import PARENT, PIPELINE, parent_of, settle
from quintet.tracking.journal import RUN_KEY, Event, read_from
from quintet.tracking.registry import log_model
from quintet.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric

log = logging.getLogger(__name__)

RESTORED = "quintet.restored"
SENT = "quintet.sent"

# MLflow's limits for one request are 1000 entities, 100 params and 100 tags; the rest is margin for our own tag.
_METRICS, _PARAMS, _TAGS = 800, 90, 90


def project(store: Store, journal: Path, *, restored: bool = False) -> str | None:
    """Send what `journal` holds and the store lacks; returns the run's id, None for an empty journal.

    With `restored`, a run that has to be made for it is tagged as such.
    """
    projection = Projection(store, journal, restored=restored)
    projection.advance()
    return projection.run_id


class Projection:
    """One journal on its way into a store; `advance` sends what was added since the last time."""

    def __init__(self, store: Store, journal: Path, *, restored: bool = False) -> None:
        self.store = store
        self.journal = journal
        self.run_id: str | None = None
        self.run_key: str | None = None
        self.created = False
        self.deleted = False
        self.sent_bytes = 0
        self._more = {RESTORED: "true"} if restored else {}
        self._sent_tag = SENT
        self._experiment = ""
        self._start: Event | None = None
        self._parent: str | None = None
        self._params: dict[str, str] = {}

    def advance(self) -> int:
        """Send all whole events not sent yet; returns how many they were.

        Raises what MLflow raises when the store can not be reached; nothing is lost or doubled by trying again.
        A run that somebody deleted in MLflow is left alone.
        """
        if self.run_id is None:
            first = next(iter(read_from(self.journal, 0)[0]), None)
            if first is None:
                return 0
            self._attach(first)
        if self.deleted:
            return 0
        events, ends = read_from(self.journal, self.sent_bytes)
        batch = _Batch()
        for event, end in zip(events, ends, strict=True):
            self._take(event, batch)
            batch.end = end
            if len(batch.metrics) >= _METRICS:
                self._send(batch)
                batch = _Batch()
        if batch.end:
            self._send(batch)
        return len(events)

    def _attach(self, start: Event) -> None:
        """Find the journal's run, or make it as it was: with its own start time."""
        if start["event"] != "start":
            raise UserError(str(self.journal), "does not begin with the start of a run", "delete the file")
        client, tags = self.store.client, start["tags"]
        # Two processes (a training and a `quintet sync`) may meet here.
        with self.store.lock:
            run = self.store.find(start["experiment"], tags[RUN_KEY])
            if run is None:
                experiment_id = self.store.experiment_id(start["experiment"])
                tags = {**tags, **_links(tags), **self._more}
                run = client.create_run(experiment_id, start_time=start["at"], tags=tags, run_name=start["name"])
                self.created = True
        self.deleted = run.info.lifecycle_stage == "deleted"
        self.run_key, self._experiment = tags[RUN_KEY], start["experiment"]
        self._parent = run.data.tags.get(PARENT)
        self._params = dict(run.data.params)
        self._sent_tag = f"{SENT}.{start['journal'][:12]}"
        self.sent_bytes = int(run.data.tags.get(self._sent_tag, 0))
        self.run_id = run.info.run_id

    def _take(self, event: Event, batch: _Batch) -> None:
        """Put an event into the batch, or send it if it is not of a kind that goes in batches."""
        assert self.run_id is not None
        client, kind = self.store.client, event["event"]
        if kind == "metrics":
            batch.add_metrics(event)
        elif kind == "params":
            self._take_params(event["values"], batch)
        elif kind == "tags":
            batch.tags.update(event["values"])
        elif kind == "start":
            client.update_run(self.run_id, status="RUNNING")
            self._take_params(event["params"], batch)
            batch.tags.update(event["tags"])
            self._start = event
            self._join_execution(event["at"])
            if event["inputs"]:
                client.log_inputs(self.run_id, [_dataset_input(i) for i in event["inputs"]])
        elif kind == "artifact":
            file = self._file(event["file"])
            if file:
                client.log_artifact(self.run_id, str(file), event["to"] or None)
        elif kind == "image":
            file = self._file(event["file"])
            if file:
                _log_image(self.store, self.run_id, file, event)
                batch.tags["mlflow.loggedImages"] = "True"
        elif kind == "model":
            task, data = event["settings"]["task"], event["spec"]["kind"]
            if not can_serve(task, data):
                log.info("%s of %s data can not be served yet: MLflow will lack the model", task, data)
                return
            weights = self._file(event["weights"])
            named = event.get("files", {})
            files = {name: file for name, relative in named.items() if (file := self._file(relative))}
            if weights and len(files) == len(named):
                given = {name: event[name] for name in ("settings", "spec", "tags")}
                log_model(self.store, self.run_id, weights, files=files, **given)
        elif kind == "end":
            if self._experiment == PIPELINE:
                settle(self.store, self.run_id, event["status"], event["at"])
            else:
                client.set_terminated(self.run_id, event["status"], end_time=event["at"])
            self._join_execution(event["at"])
        else:
            raise UserError(str(self.journal), f"unknown event '{kind}'", "was it written by a newer quintet?")

    def _join_execution(self, at: int) -> None:
        """Make the run a child of the execution that trains it, which then has the status of its children."""
        assert self.run_id is not None
        # Again at the end: two machines may have made the execution at once, and by then all see both and agree on one.
        parent = (self._start and parent_of(self.store, self._start, self._more)) or self._parent
        if parent is None:
            return
        if parent != self._parent:
            self.store.client.set_tag(self.run_id, PARENT, parent)
            if self._parent:
                settle(self.store, self._parent, at=at)
            self._parent = parent
        settle(self.store, parent)

    def _file(self, relative: str) -> Path | None:
        """A file that the journal names; None, with a warning, if it is gone: that shall not block what follows."""
        file = self.journal.parent / relative
        if not file.exists():
            log.warning("%s names %s, which is no longer there: MLflow will lack it", self.journal, file)
            return None
        return file

    def _take_params(self, values: Mapping[str, str], batch: _Batch) -> None:
        """Params can not change in MLflow: a different value, after a resume, becomes a tag 'changed.<name>'."""
        for name, value in values.items():
            if self._params.setdefault(name, value) == value:
                batch.params[name] = value
            else:
                batch.tags[f"changed.{name}"] = value

    def _send(self, batch: _Batch) -> None:
        """Send the batch; the tag that says how far we are goes with the last request."""
        from mlflow.entities import Param, RunTag

        assert self.run_id is not None
        params = [Param(k, v) for k, v in batch.params.items()]
        tags = [RunTag(k, v) for k, v in batch.tags.items()]
        metrics = batch.metrics
        while len(metrics) > _METRICS or len(params) > _PARAMS or len(tags) > _TAGS:
            self.store.client.log_batch(self.run_id, metrics[:_METRICS], params[:_PARAMS], tags[:_TAGS])
            metrics, params, tags = metrics[_METRICS:], params[_PARAMS:], tags[_TAGS:]
        self.store.client.log_batch(self.run_id, metrics, params, [*tags, RunTag(self._sent_tag, str(batch.end))])
        self.sent_bytes = batch.end


class _Batch:
    """What will go to MLflow in one request, and the byte of the journal it reaches to."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.end = 0

    def add_metrics(self, event: Event) -> None:
        from mlflow.entities import Metric

        for name, value in event["values"].items():
            self.metrics.append(Metric(name, value, event["at"], event["step"]))


def _links(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags by which MLflow's own pages show where a run comes from."""
    links = {"mlflow.source.type": "JOB", "mlflow.source.name": tags.get("dvc.stage", "quintet")}
    if "git.commit" in tags:
        links["mlflow.source.git.commit"] = tags["git.commit"]
    return links


def _log_image(store: Store, run_id: str, file: Path, event: Event) -> None:
    """A picture and its thumbnail under the names by which MLflow's pages find the pictures of a series.

    `MlflowClient.log_image` gives each call a new name, so that sending an event twice would show it twice.
    """
    from mlflow.tracking.multimedia import compress_image_size
    from PIL import Image

    one = uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{event['key']}/{event['step']}")
    name = f"{event['key']}+step+{event['step']}+timestamp+{event['at']}+{one}"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(file, Path(folder, f"{name}.png"))
        with Image.open(file) as picture:
            compress_image_size(picture.convert("RGB")).save(Path(folder, f"{name}+compressed.webp"))
        store.client.log_artifacts(run_id, folder, "images")


def _dataset_input(given: Mapping[str, Any]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # MLflow keeps 36 characters; the whole digest goes into a tag of the input.
    digest = given["digest"].rpartition(":")[2][:32]
    dataset = Dataset(given["name"], digest, source_type="local", source=given["source"])
    return DatasetInput(
        dataset, [InputTag("mlflow.data.context", given["context"]), InputTag("digest", given["digest"])]
    )
