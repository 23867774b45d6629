"""MLflow as a projection of journals: what a journal says, and nothing else, is written to the store.

Writing is "at least once", and every write can be repeated without effect: a run is found again by its key, a
metric is the same row when name, step, time and value are, params and tags have one value, files are replaced.
How far a journal has been sent stands in a tag of its run, so any process can go on where another stopped.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from quintet.errors import UserError
from quintet.tracking.journal import RUN_KEY, Event, read_from
from quintet.tracking.provenance import project_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

log = logging.getLogger(__name__)

RESTORED = "quintet.restored"
SENT = "quintet.sent"

# MLflow's limits for one request are 1000 entities, 100 params and 100 tags; the rest is margin for our own tag.
_METRICS, _PARAMS, _TAGS = 800, 90, 90

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow's own, 7 retries of 120 s, would hold a stage's end for minutes when the server is away. The
    # journal is our retry.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class Store:
    """The tracking store: `uri`, else MLFLOW_TRACKING_URI, else mlflow.db and mlruns/ in the project's root.

    That is MLflow's own default place, so a bare `mlflow ui` there shows everything. Making a Store costs
    nothing; mlflow is imported and the store opened on first use, which raises whatever MLflow does.
    """

    def __init__(self, uri: str | None = None, root: Path | None = None) -> None:
        self.root = (root or project_root()).resolve()
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root.as_posix()}/mlflow.db"
        self.is_local = self.uri.startswith("sqlite:")
        self.lock = FileLock(self.root / "mlflow.db.lock", timeout=120)

    def __str__(self) -> str:
        """The address, with what may be a password in it hidden."""
        return re.sub(r"(?<=://)[^/@]*@", "***@", self.uri)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; a new database is made by one process while the others wait.

        MLflow's migrations, run by two processes at once, leave a database that no process can open.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        # "Creating initial MLflow database tables", in the middle of a training's own lines.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        if self.is_local:
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            with self.lock:
                # Named here, and not left to the client, which would put the artifacts of the experiment that
                # MLflow always makes below whatever the current folder is.
                SqlAlchemyStore(  # type: ignore[no-untyped-call]  # mlflow gives it no types
                    self.uri, (self.root / "mlruns").as_uri()
                )
        return MlflowClient(self.uri)

    def check(self) -> None:
        """Raise `UserError` if the store can not be used now."""
        try:
            self.client.search_experiments(max_results=1)
        except Exception as e:
            right = "start the server, or unset MLFLOW_TRACKING_URI to use mlflow.db in the project's root"
            raise UserError(str(self), f"MLflow can not be reached ({reason(e)})", right) from e

    def find(self, experiment: str, run_key: str) -> Run | None:
        """The run with this key, also one that somebody deleted in MLflow; None if there is none."""
        from mlflow.entities import ViewType

        found = self.client.get_experiment_by_name(experiment)
        if found is None:
            return None
        wanted = f"tags.`{RUN_KEY}` = '{run_key}'"
        runs = self.client.search_runs([found.experiment_id], wanted, ViewType.ALL, max_results=1)
        return runs[0] if runs else None

    def project(self, journal: Path, *, restored: bool = False) -> str | None:
        """Send what `journal` holds and the store lacks; returns the run's id, None for an empty journal."""
        projection = Projection(self, journal, restored=restored)
        projection.advance()
        return projection.run_id

    def experiment_id(self, name: str) -> str:
        """The id of an experiment, which is made if it does not exist; its artifacts lie in mlruns/<name>."""
        found = self.client.get_experiment_by_name(name)
        if found is None:
            place = (self.root / "mlruns" / re.sub(r"[^\w.-]", "-", name)).as_uri() if self.is_local else None
            return str(self.client.create_experiment(name, artifact_location=place))
        if found.lifecycle_stage == "deleted":
            right = f"mlflow experiments restore --experiment-id {found.experiment_id}"
            raise UserError(str(self), f"experiment '{name}' was deleted in MLflow", right)
        return str(found.experiment_id)


class Projection:
    """One journal on its way into a store; `advance` sends what was added since the last time."""

    def __init__(self, store: Store, journal: Path, *, restored: bool = False) -> None:
        self.store = store
        self.journal = journal
        self.run_id: str | None = None
        self.created = False
        self.deleted = False
        self.sent_bytes = 0
        self._restored = restored
        self._sent_tag = SENT
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
                tags = {**tags, **_links(tags), **({RESTORED: "true"} if self._restored else {})}
                run = client.create_run(experiment_id, start_time=start["at"], tags=tags, run_name=start["name"])
                self.created = True
        self.deleted = run.info.lifecycle_stage == "deleted"
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
            if event["inputs"]:
                client.log_inputs(self.run_id, [_dataset_input(i) for i in event["inputs"]])
        elif kind == "artifact":
            file = self.journal.parent / event["file"]
            if file.exists():
                client.log_artifact(self.run_id, str(file), event["to"] or None)
            else:
                log.warning("%s: names %s, which is no longer there: not in MLflow", self.journal, file)
        elif kind == "end":
            client.set_terminated(self.run_id, event["status"], end_time=event["at"])
        else:
            raise UserError(str(self.journal), f"unknown event '{kind}'", "was it written by a newer quintet?")

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


def reason(error: BaseException) -> str:
    """What began an error (connection refused, disk full), short enough for one line of a log."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # one of them is there
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _links(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags by which MLflow's own pages show where a run comes from."""
    links = {"mlflow.source.type": "JOB", "mlflow.source.name": tags.get("dvc.stage", "quintet")}
    if "git.commit" in tags:
        links["mlflow.source.git.commit"] = tags["git.commit"]
    return links


def _dataset_input(given: Mapping[str, Any]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # MLflow keeps 36 characters; the whole digest goes into a tag of the input.
    digest = given["digest"].rpartition(":")[2][:32]
    dataset = Dataset(given["name"], digest, source_type="local", source=given["source"])
    return DatasetInput(
        dataset, [InputTag("mlflow.data.context", given["context"]), InputTag("digest", given["digest"])]
    )
