"""A model as MLflow keeps and serves it: requests are cut into rows and counted here, an adapter answers them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from quintet.serving import make_adapter
from quintet.serving.adapter import Adapter, BadInput, Row

_BATCH = 256


class BadRequest(MlflowException):
    """A request that can not be answered; MLflow's server answers 400 with this message."""

    def __init__(self, message: str) -> None:
        self._plain = message
        super().__init__(message, error_code=BAD_REQUEST)

    def serialize_as_json(self) -> str:
        """The answer's body. MLflow would put the whole request before the message, megabytes of pixels."""
        return json.dumps({"error_code": self.error_code, "message": self._plain})


class ServedModel(PythonModel):
    """Answers requests by the adapter for the model's task and kind of data."""

    adapter: Adapter

    def load_context(self, context: PythonModelContext) -> None:
        """Build the network and read its weights, from settings.json, spec.json and safetensors alone."""
        self.adapter = load_adapter({name: Path(path) for name, path in context.artifacts.items()})

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[Row]:
        """The answer to each row; raises `BadRequest`, which names the row, counted from 0."""
        noun = self.adapter.noun
        rows = list(_rows(model_input, self.adapter.takes))
        if not 1 <= len(rows) <= self.adapter.most:
            raise BadRequest(f"{len(rows)} {noun}s in one request; it takes 1 to {self.adapter.most}")
        inputs = []
        for i, row in enumerate(rows):
            try:
                inputs.append(self.adapter.read(row))
            except BadInput as e:
                raise BadRequest(f"{noun} {i}: {e}") from None
        answers = []
        for start in range(0, len(inputs), _BATCH):
            answers += self.adapter.answer(inputs[start : start + _BATCH])
        return answers


def load_adapter(files: Mapping[str, Path]) -> Adapter:
    """The adapter of a model, ready to answer, from the files that MLflow keeps of it by name."""
    given = dict(files)
    settings, spec = (json.loads(given.pop(name).read_text(encoding="utf8")) for name in ("settings", "spec"))
    made = make_adapter(settings, spec)
    made.load(given.pop("weights"), given)
    return made


def _rows(frame: pd.DataFrame, takes: Mapping[str, str]) -> Iterator[Row]:
    """The rows of a request, in those of the columns that it has: MLflow sees to it that the required ones are there.

    MLflow makes one row, whose cells are lists, of {"inputs": ["…", "…"]} and {"inputs": {"text": ["…", "…"]}}, and
    a row each of everything else.
    """
    columns = [column for column in takes if column in frame]
    for cells in zip(*(frame[column] for column in columns), strict=True):
        if all(
            _texts(cell) and not takes[column].startswith("list") for column, cell in zip(columns, cells, strict=True)
        ):
            if len({len(cell) for cell in cells}) > 1:
                raise BadRequest(f"columns of different length: {', '.join(columns)}")
            yield from (dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True))
        else:
            yield dict(zip(columns, cells, strict=True))


def _texts(cell: Any) -> bool:
    return isinstance(cell, list | np.ndarray) and all(isinstance(part, str) for part in islice(cell, 2))
