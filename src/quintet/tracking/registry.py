"""Models in MLflow: kept with their run, and the champion of each task by name."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quintet.errors import UserError, unknown
from quintet.serving import make_adapter
from quintet.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.types import Schema

    from quintet.serving.adapter import Row, Type

MODEL = "model"
CHAMPION, CHALLENGER = "champion", "challenger"


def log_model(
    store: Store,
    run_id: str,
    weights: Path,
    *,
    settings: Mapping[str, Any],
    spec: Mapping[str, Any],
    files: Mapping[str, Path] | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Keep trained weights as a model of the run that takes raw inputs; returns its URI, 'models:/m-…'.

    `settings` as in the run's settings.json, `spec` as in the data's spec.json, `files` what else the adapter of the
    task asks for. A run has one model: if it has it already, nothing is written. Torch is not imported.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    client = store.client
    kept = model_of(store, run_id)
    if kept is not None:
        return str(kept.model_uri)
    run = client.get_run(run_id)
    model = client.create_logged_model(
        run.info.experiment_id, name=MODEL, source_run_id=run_id, tags=dict(tags or {}), params=run.data.params
    )
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder), model, {"weights": weights, **(files or {})}, settings, spec)
        client.log_model_artifacts(model.model_id, folder + "/model")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    # Ready only now: what a crash left half written is not found by `model_of`.
    return str(client.finalize_logged_model(model.model_id, LoggedModelStatus.READY).model_uri)


def model_of(store: Store, run_id: str) -> LoggedModel | None:
    """The model that a run has in MLflow, or None."""
    from mlflow.entities import LoggedModelStatus

    experiment_id = store.client.get_run(run_id).info.experiment_id
    found = store.client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    return next((m for m in found if m.name == MODEL and m.status == LoggedModelStatus.READY), None)


def register(store: Store, name: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Make a run's model a version of registered model `name` ('classification-digits'); returns the version.

    A model is registered once: if a version of it exists, it is that one. `tags` go to a new version (experiment,
    seed, validation value, run key). Raises `UserError` if the run has no model.
    """
    from mlflow.exceptions import MlflowException

    client = store.client
    model = model_of(store, run_id)
    if model is None:
        raise UserError(str(store), f"run {run_id} has no model to register", "run: quintet sync")
    with store.lock:
        try:
            client.create_registered_model(name)
        except MlflowException as e:
            if e.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                raise
        for version, known in versions(store, name).items():
            if known.run_id == run_id:
                return version
        made = client.create_model_version(
            name, model.artifact_location, run_id, tags=dict(tags), model_id=model.model_id
        )
    return str(made.version)


def versions(store: Store, name: str) -> dict[str, ModelVersion]:
    """All versions of a registered model by their number; none if there is no such model."""
    return {str(v.version): v for v in store.client.search_model_versions(f"name = '{name}'")}


def aliases(store: Store, name: str) -> dict[str, str]:
    """The version that each alias of a registered model stands for."""
    return {alias: str(version) for alias, version in store.client.get_registered_model(name).aliases.items()}


def champion_named(store: Store, name: str) -> ModelVersion:
    """The champion of a task and data set ('classification-digits'), or of a task that has only one.

    Raises `UserError` if the store can not be reached, or has no such champion.
    """
    store.check()
    client = store.client
    names = [m.name for m in client.search_registered_models() if CHAMPION in m.aliases]
    champions = {known: client.get_model_version_by_alias(known, CHAMPION) for known in names}
    if name in champions:
        return champions[name]
    of_task = [known for known, version in champions.items() if version.tags.get("task") == name]
    if len(of_task) > 1:
        raise UserError("serving", f"'{name}' has several champions", f"take one of: {', '.join(of_task)}")
    if not of_task:
        if not champions:
            raise UserError(str(store), "there is no champion yet", "run: dvc repro, or quintet sync")
        raise unknown("serving", "champion", name, champions)
    return champions[of_task[0]]


def model_files(store: Store, version: ModelVersion, folder: Path) -> dict[str, Path]:
    """Copy a registered model to `folder`; returns the files that its adapter reads, by name."""
    from mlflow.models import Model

    local = Path(_fetched(store, version, "", folder))
    kept = Model.load(local).flavors["python_function"]["artifacts"]
    return {name: local / artifact["path"] for name, artifact in kept.items()}


def example_of(store: Store, version: ModelVersion) -> Row:
    """A row that a request to a registered model might hold."""
    with tempfile.TemporaryDirectory() as folder:
        files = [_fetched(store, version, f"/artifacts/{name}.json", Path(folder)) for name in ("settings", "spec")]
        settings, spec = (json.loads(Path(file).read_text(encoding="utf8")) for file in files)
    return make_adapter(settings, spec).example()


def _fetched(store: Store, version: ModelVersion, path: str, folder: Path) -> str:
    from mlflow.artifacts import download_artifacts

    where = store.client.get_model_version_download_uri(version.name, version.version)
    return str(download_artifacts(artifact_uri=where + path, dst_path=str(folder), tracking_uri=store.uri))


def _save(
    folder: Path, model: LoggedModel, files: Mapping[str, Path], settings: Mapping[str, Any], spec: Mapping[str, Any]
) -> None:
    """Write MLflow's model folder to `folder`/model."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model, ModelSignature

    adapter = make_adapter(settings, spec)
    for name, content in (("settings", settings), ("spec", spec)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf8")
    mlflow.pyfunc.save_model(
        folder / "model",
        mlflow_model=Model(
            artifact_path=model.artifact_location,
            run_id=model.source_run_id,
            model_id=model.model_id,
            model_uuid=model.model_id,
        ),
        python_model=str(Path(__file__).with_name("served_model.py")),
        artifacts={
            **{name: str(file.resolve()) for name, file in files.items()},
            "settings": str(folder / "settings.json"),
            "spec": str(folder / "spec.json"),
        },
        signature=ModelSignature(inputs=_schema(adapter.takes, adapter.optional), outputs=_schema(adapter.gives)),
        input_example=pd.DataFrame([adapter.example()]),
        # Stated, so that MLflow need not run the model to find out; quintet brings the rest.
        pip_requirements=[f"quintet=={version('quintet')}"],
    )


def _schema(columns: Mapping[str, Type], optional: frozenset[str] = frozenset()) -> Schema:
    """Columns and their types in MLflow's words."""
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array, Map

    plain = {"string": DataType.string, "long": DataType.long, "double": DataType.double}

    def of(given: str) -> Any:
        if given == "any":
            return AnyType()  # type: ignore[no-untyped-call]  # mlflow gives it no types
        outer, _, inner = given.rpartition(" of ")
        return {"": lambda t: t, "map": Map, "list": Array}[outer](plain[inner])

    return Schema([ColSpec(of(given), name, required=name not in optional) for name, given in columns.items()])
