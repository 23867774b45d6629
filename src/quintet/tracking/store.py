"""The MLflow store: where it is, how it is opened for the first time, how a run is found in it."""

from __future__ import annotations

import logging
import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from quintet.errors import UserError
from quintet.tracking.journal import RUN_KEY
from quintet.tracking.provenance import project_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
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

        # "Creating initial MLflow database tables" and the like, in the middle of a training's own lines.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
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


def reason(error: BaseException) -> str:
    """What began an error (connection refused, disk full), short enough for one line of a log."""
    while (origin := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = origin
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
