"""The MLflow store: where it is, how it is opened for the first time, how a run is found in it."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
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
    # A server that keeps artifacts in a bucket would send us there, by a name that may mean nothing outside its net.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
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
        self.lock = FileLock(self._lock_file(), timeout=120)

    def _lock_file(self) -> str:
        """What processes of this machine that use the same store wait for, from whichever project they come."""
        if self.is_local:
            return f"{self._file()}.lock"
        name = f"quintet-{os.getuid()}-{hashlib.sha256(self.uri.encode()).hexdigest()[:16]}.lock"
        return str(Path(tempfile.gettempdir(), name))

    def __str__(self) -> str:
        """The address, with what may be a password in it hidden."""
        return hidden(self.uri)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; a new database is made by one process while the others wait."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        # "Creating initial MLflow database tables" and the like, in the middle of a training's own lines.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        # Raises what it logs, with a traceback for each attempt while the disk is full; what is raised we tell once.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        if self.is_local:
            with self.lock:
                self._make_database()
        return MlflowClient(self.uri)

    def _make_database(self) -> None:
        """Make the database if there is none.

        MLflow's migrations take seconds, and run by two processes at once, or cut off in the middle, they leave a
        database that no process can open. So it is made beside its place, and moved there when it is whole.
        """
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        file = Path(self._file())
        # Named here, and not left to the client, which would put the artifacts of the experiment that MLflow always
        # makes below whatever the current folder is.
        artifacts = (self.root / "mlruns").as_uri()
        if not file.exists():
            partial = file.with_name(f"{file.name}.partial")
            for left in (partial, partial.with_name(f"{partial.name}-journal")):
                left.unlink(missing_ok=True)
            made = SqlAlchemyStore(f"sqlite:///{partial}", artifacts)  # type: ignore[no-untyped-call]
            made.engine.dispose()
            os.replace(partial, file)
        SqlAlchemyStore(self.uri, artifacts)  # type: ignore[no-untyped-call]  # mlflow gives it no types

    def database(self) -> list[int] | None:
        """What changes whenever the database does; None where it is no file of this machine, or not there."""
        if not self.is_local:
            return None
        try:
            found = Path(self._file()).stat()
        except OSError:
            return None
        return [found.st_ino, found.st_mtime_ns, found.st_size]

    def _file(self) -> str:
        return self.uri.removeprefix("sqlite:///").partition("?")[0]

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
        # In one order for all, should two machines have made a run for the same key at once.
        order = ["attributes.start_time ASC"]
        runs = self.client.search_runs([found.experiment_id], wanted, ViewType.ALL, max_results=1, order_by=order)
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


def hidden(text: str) -> str:
    """A text with what may be a password in its addresses hidden: `user:password@` and `?password=…`."""
    text = re.sub(r"(?<=://)\S*@", "***@", text)
    return re.sub(r"(?i)([?&;][^=&\s]*(?:password|secret|token|key)[^=&\s]*=)[^&;\s]+", r"\1***", text)


def reason(error: BaseException) -> str:
    """What began an error (connection refused, disk full), short enough for one line of a log."""
    while (origin := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = origin
    lines = hidden(str(error)).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
