"""Models in MLflow: kept with their run, and the champion of each task by name."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quintet.errors import UserError
from quintet.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

MODEL = "model"
CHAMPION = "champion"


def log_model(
    store: Store,
    run_id: str,
    weights: Path,
    *,
    settings: Mapping[str, Any],
    spec: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
) -> str:
    """Keep trained weights as a model of the run that takes raw images; returns its URI, 'models:/m-…'.

    `settings` as in the run's settings.json, `spec` as in the data's spec.json. A run has one model: if it has it
    already, nothing is written. Torch is not imported.
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
        _save(Path(folder), model, weights, settings, spec)
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


def register_champion(store: Store, name: str, run_id: str, tags: Mapping[str, str] | None = None) -> str:
    """Give the alias 'champion' of registered model `name` ('classification-digits') to a run's model.

    Returns the version. A model is registered once: if a version of it exists, the alias moves there. `tags` go
    to the version (experiment, seed, validation value, run key). Raises `UserError` if the run has no model.
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
        versions = client.search_model_versions(f"name = '{name}'")
        registered = next((v for v in versions if v.run_id == run_id), None)
        if registered is None:
            registered = client.create_model_version(
                name, model.artifact_location, run_id, tags=dict(tags or {}), model_id=model.model_id
            )
        if client.get_registered_model(name).aliases.get(CHAMPION) != str(registered.version):
            client.set_registered_model_alias(name, CHAMPION, str(registered.version))
    return str(registered.version)


def _save(
    folder: Path, model: LoggedModel, weights: Path, settings: Mapping[str, Any], spec: Mapping[str, Any]
) -> None:
    """Write MLflow's model folder to `folder`/model."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Map

    from quintet.tracking.serving import COLUMN

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
            "weights": str(weights.resolve()),
            "settings": str(folder / "settings.json"),
            "spec": str(folder / "spec.json"),
        },
        # An image is a text or nested lists of numbers; MLflow has no narrower type for that. Serving checks it.
        signature=ModelSignature(
            inputs=Schema([ColSpec(AnyType(), COLUMN)]),  # type: ignore[no-untyped-call]  # mlflow gives it no types
            outputs=Schema(
                [
                    ColSpec(DataType.string, "class"),
                    ColSpec(DataType.double, "confidence"),
                    ColSpec(Map(DataType.double), "probabilities"),
                ]
            ),
        ),
        input_example=pd.DataFrame({COLUMN: [_blank_png(spec["shape"])]}),
        # Stated, so that MLflow need not run the model to find out; quintet brings the rest.
        pip_requirements=[f"quintet=={version('quintet')}"],
    )


def _blank_png(shape: tuple[int, int, int]) -> str:
    """A black image of the model's size, as a request holds it."""
    from PIL import Image

    channels, height, width = shape
    buffer = BytesIO()
    Image.new("RGB" if channels == 3 else "L", (width, height)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
