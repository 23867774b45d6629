"""Classification of images: a PNG or JPEG, or pixels, in; the class and its probability out."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quintet.serving.adapter import Adapter, BadInput, Row, Type

if TYPE_CHECKING:
    from torch import nn

MAX_BASE64_CHARACTERS = 32 * 2**20
MAX_PIXELS = 4096 * 4096
_FORMATS = ("PNG", "JPEG")


class ImageClassifier(Adapter):
    """Classifies images given as PNG or JPEG in base64, or as pixels.

    A picture of any size is brought to the model's size as `prepare` brought the training's files to it. Pixels
    are whole numbers 0..255, [height width] or [height width channel], and of the model's size already. For each
    image the answer has `class`, its `confidence`, and `probabilities` by class.
    """

    noun = "image"
    takes: ClassVar[Mapping[str, Type]] = {"image": "any"}  # a text, or nested lists of numbers
    gives: ClassVar[Mapping[str, Type]] = {
        "class": "string",
        "confidence": "double",
        "probabilities": "map of double",
    }
    suffixes = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

    def example(self) -> Row:
        """A black image of the model's size."""
        return {"image": png(np.zeros(tuple(self.spec["shape"]), np.uint8))}

    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        self.network = load_network(weights, self.settings, self.spec)

    def read(self, row: Row) -> NDArray[np.uint8]:
        return pixels(row["image"], self.spec["shape"])

    def inputs_of(self, file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
        yield str(file), partial(self._picture_file, file)

    def answer(self, inputs: Sequence[NDArray[np.uint8]]) -> list[Row]:
        import torch

        from quintet.training.images import normalise

        classes = self.spec["classes"]
        with torch.inference_mode():
            images = normalise(torch.from_numpy(np.stack(inputs)), self.spec["mean"], self.spec["std"])
            probabilities = self.network(images).double().softmax(-1)
        best = probabilities.argmax(-1).tolist()
        return [
            {
                "class": classes[index],
                "confidence": row[index],
                "probabilities": dict(zip(classes, row, strict=True)),
            }
            for index, row in zip(best, probabilities.tolist(), strict=True)
        ]

    def _picture_file(self, file: Path) -> NDArray[np.uint8]:
        from quintet.data.picture import Unusable, read_picture, strict_reading

        channels, height, width = self.spec["shape"]
        try:
            with strict_reading():
                return read_picture(file, (height, width), channels)
        except Unusable as e:
            raise BadInput(str(e)) from None


def load_network(weights: Path, settings: Mapping[str, Any], spec: Mapping[str, Any]) -> nn.Module:
    """The classifier of a run in eval mode, from its weights.safetensors, settings.json and the data's spec.json."""
    from quintet.models.build import build_classifier
    from quintet.training.weights import load_weights

    network = build_classifier(settings["model"], spec["kind"], tuple(spec["shape"]), len(spec["classes"]))
    load_weights(network, weights)
    return network.eval()


def pixels(cell: Any, shape: Iterable[int]) -> NDArray[np.uint8]:
    """One image of a request as the network's uint8 [channel height width]; raises `BadInput`."""
    channels, height, width = shape
    if isinstance(cell, str):
        return _picture(cell, channels, (height, width))
    wanted = f"[{height} {width}]" + (
        f" or [{height} {width} 1]" if channels == 1 else f" with {channels} channels last"
    )
    if not isinstance(cell, list | np.ndarray):
        raise BadInput(f"neither a PNG or JPEG in base64 nor pixels {wanted}")
    try:
        array = np.array(cell.tolist() if isinstance(cell, np.ndarray) else cell)
    except ValueError:
        raise BadInput(f"rows of different length; pixels are {wanted}") from None
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype.kind not in "iu":
        raise BadInput("pixels are whole numbers from 0 to 255")
    if array.shape != (height, width, channels):
        given = " ".join(map(str, np.shape(cell)))
        raise BadInput(f"pixels of shape [{given}]; this model takes {wanted}, or a PNG or JPEG of any size")
    if array.min() < 0 or array.max() > 255:
        raise BadInput(f"pixels are whole numbers from 0 to 255, here from {array.min()} to {array.max()}")
    return np.ascontiguousarray(array.transpose(2, 0, 1).astype(np.uint8))


def _picture(text: str, channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A PNG or JPEG in base64, brought to `size` (height, width). Its header is judged before it is decoded."""
    return fitted(picture_bytes(text), channels, size)


def picture_bytes(text: str) -> bytes:
    """The PNG or JPEG that a text is the base64 of, its header judged but not decoded; raises `BadInput`."""
    from PIL import Image

    if len(text) > MAX_BASE64_CHARACTERS:
        raise BadInput(f"{len(text):,} characters; the limit is {MAX_BASE64_CHARACTERS:,}")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("the text is not base64") from None
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            count = image.width * image.height
    except Image.DecompressionBombError:
        count = MAX_PIXELS + 1
    except Exception:  # Pillow meets broken headers with errors of nearly every type
        raise BadInput("not a PNG or JPEG") from None
    if count > MAX_PIXELS:
        raise BadInput(f"more than the {MAX_PIXELS:,} pixels allowed")
    return content


def fitted(content: bytes, channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture's file as uint8 [channel height width] of `size`, as `prepare` makes it; raises `BadInput`."""
    from quintet.data.picture import Unusable, read_picture

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            return read_picture(Path(file.name), size, channels)
        except Unusable as e:
            raise BadInput(str(e)) from None


def png(image: NDArray[np.uint8]) -> str:
    """An image [channel height width] as a PNG in base64."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
