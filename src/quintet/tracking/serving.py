"""A trained classifier that takes raw images and answers with words: what MLflow keeps and serves."""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

COLUMN = "image"
MAX_IMAGES = 1024
MAX_BASE64_CHARACTERS = 32 * 2**20
MAX_PIXELS = 4096 * 4096
_FORMATS = ("PNG", "JPEG")
_BATCH = 256


class BadImage(MlflowException):
    """An image of the request can not be classified; MLflow's server answers 400 with this message."""

    def __init__(self, message: str) -> None:
        self._plain = message
        super().__init__(message, error_code=BAD_REQUEST)

    def serialize_as_json(self) -> str:
        """The answer's body. MLflow would put the whole request before the message, megabytes of pixels."""
        return json.dumps({"error_code": self.error_code, "message": self._plain})


class ImageClassifier(PythonModel):
    """Classifies images given as PNG or JPEG in base64, or as pixels.

    A picture of any size is brought to the model's size as `prepare` brought the training's files to it. Pixels
    are whole numbers 0..255, [height width] or [height width channel], and of the model's size already. For each
    image the answer has `class`, its `confidence`, and `probabilities` by class.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Build the network and read its weights, from settings.json, spec.json and safetensors alone."""
        files = {name: Path(path) for name, path in context.artifacts.items()}
        self.spec = json.loads(files["spec"].read_text(encoding="utf8"))
        self.network = load_network(files["weights"], json.loads(files["settings"].read_text("utf8")), self.spec)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Class and probabilities of each image of column `image`; raises BadImage, which names the image."""
        import torch

        from quintet.training.images import normalise

        cells = list(_images(model_input[COLUMN]))
        if not 1 <= len(cells) <= MAX_IMAGES:
            raise BadImage(f"{len(cells)} images in one request; it takes 1 to {MAX_IMAGES}")
        inputs = np.stack([pixels(cell, self.spec["shape"], f"image {i}") for i, cell in enumerate(cells)])
        answers = []
        for batch in torch.split(torch.from_numpy(inputs), _BATCH):
            with torch.inference_mode():
                logits = self.network(normalise(batch, self.spec["mean"], self.spec["std"]))
            for row in logits.double().softmax(-1).tolist():
                best = max(range(len(row)), key=row.__getitem__)
                by_class = dict(zip(self.spec["classes"], row, strict=True))
                answers.append(
                    {"class": self.spec["classes"][best], "confidence": row[best], "probabilities": by_class}
                )
        return answers


def load_network(weights: Path, settings: dict[str, Any], spec: dict[str, Any]) -> nn.Module:
    """The classifier of a run in eval mode, from its weights.safetensors, settings.json and the data's spec.json."""
    from quintet.models.build import build_classifier
    from quintet.training.weights import load_weights

    network = build_classifier(settings["model"], spec["kind"], tuple(spec["shape"]), len(spec["classes"]))
    load_weights(network, weights)
    return network.eval()


def pixels(cell: Any, shape: Iterable[int], where: str) -> NDArray[np.uint8]:
    """One image of a request as the network's uint8 [channel height width]; raises BadImage."""
    channels, height, width = shape
    if isinstance(cell, str):
        return _picture(cell, channels, (height, width), where)
    wanted = f"[{height} {width}]" + (
        f" or [{height} {width} 1]" if channels == 1 else f" with {channels} channels last"
    )
    if not isinstance(cell, list | np.ndarray):
        raise BadImage(f"{where}: neither a PNG or JPEG in base64 nor pixels {wanted}")
    try:
        array = np.array(cell.tolist() if isinstance(cell, np.ndarray) else cell)
    except ValueError:
        raise BadImage(f"{where}: rows of different length; pixels are {wanted}") from None
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype.kind not in "iu":
        raise BadImage(f"{where}: pixels are whole numbers from 0 to 255")
    if array.shape != (height, width, channels):
        given = " ".join(map(str, np.shape(cell)))
        raise BadImage(f"{where}: pixels of shape [{given}]; this model takes {wanted}, or a PNG or JPEG of any size")
    if array.min() < 0 or array.max() > 255:
        raise BadImage(f"{where}: pixels are whole numbers from 0 to 255, here from {array.min()} to {array.max()}")
    return np.ascontiguousarray(array.transpose(2, 0, 1).astype(np.uint8))


def _picture(text: str, channels: int, size: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """A PNG or JPEG in base64, brought to `size` (height, width). Its header is judged before it is decoded."""
    from PIL import Image

    from quintet.data.picture import Unusable, read_picture

    if len(text) > MAX_BASE64_CHARACTERS:
        raise BadImage(f"{where}: {len(text):,} characters; the limit is {MAX_BASE64_CHARACTERS:,}")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadImage(f"{where}: the text is not base64") from None
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            count = image.width * image.height
    except Image.DecompressionBombError:
        count = MAX_PIXELS + 1
    except Exception:  # Pillow meets broken headers with errors of nearly every type
        raise BadImage(f"{where}: not a PNG or JPEG") from None
    if count > MAX_PIXELS:
        raise BadImage(f"{where}: more than the {MAX_PIXELS:,} pixels allowed")
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            return read_picture(Path(file.name), size, channels)
        except Unusable as e:
            raise BadImage(f"{where}: {e}") from None


def _images(column: Iterable[Any]) -> Iterator[Any]:
    """The images of a request. MLflow makes one cell of {"inputs": ["…", "…"]}, and one a row of everything else."""
    for cell in column:
        texts = isinstance(cell, list | np.ndarray) and all(isinstance(part, str) for part in islice(cell, 2))
        if texts:
            yield from cell
        else:
            yield cell
