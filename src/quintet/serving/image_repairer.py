"""Inpainting: a picture and where its hole is in; the repaired picture out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from quintet.serving.adapter import Adapter, BadInput, Row, Type
from quintet.serving.image_classifier import MAX_BASE64_CHARACTERS, fitted, picture_bytes, png

Broken = tuple[NDArray[np.uint8], NDArray[np.bool_]]


class ImageRepairer(Adapter):
    """Fills the hole of an image given as PNG or JPEG in base64; `image` of the answer is a PNG of the model's size.

    The hole is a box [left, top, right, bottom] in pixels of the picture that was sent, right and bottom being those
    behind the last, or a picture of the same size that is bright where the hole is; where neither is given, what is
    transparent is the hole. A picture of another size than the model's is cut and scaled as `prepare` does it.
    """

    noun = "image"
    takes: ClassVar[Mapping[str, Type]] = {"image": "any", "hole": "any"}
    optional = frozenset({"hole"})
    gives: ClassVar[Mapping[str, Type]] = {"image": "string"}
    suffixes = (".png",)
    pictures = "image"

    def example(self) -> Row:
        """A grey image with a hole in its middle."""
        _, height, width = self.spec["shape"]
        box = [width // 4, height // 4, width // 4 + max(1, width // 2), height // 4 + max(1, height // 2)]
        return {"image": png(np.full(tuple(self.spec["shape"]), 128, np.uint8)), "hole": box}

    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        from quintet.data.spec import spec_of
        from quintet.tasks.inpainting import Inpainting
        from quintet.training.weights import load_weights

        self.objective = Inpainting(spec_of(self.spec))
        self.network = self.objective.network(self.settings["model"])
        load_weights(self.network, weights)
        self.network.eval()

    def read(self, row: Row) -> Broken:
        if not isinstance(row.get("image"), str):
            raise BadInput("the image is no PNG or JPEG in base64")
        return self._broken(picture_bytes(row["image"]), row.get("hole"))

    def inputs_of(self, file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
        yield str(file), partial(self._file, file)

    def _file(self, file: Path) -> Broken:
        if file.stat().st_size > MAX_BASE64_CHARACTERS:
            raise BadInput(f"more than {MAX_BASE64_CHARACTERS:,} bytes")
        return self._broken(picture_bytes(base64.b64encode(file.read_bytes()).decode()), None)

    def _broken(self, content: bytes, hole: Any) -> Broken:
        channels, height, width = self.spec["shape"]
        image = fitted(content, channels, (height, width))
        # `fitted` has decoded it, so that it can be opened.
        with Image.open(BytesIO(content)) as picture:
            upright = ImageOps.exif_transpose(picture)
            mask = Image.fromarray(255 * _hole(upright, hole).astype(np.uint8))
        # A pixel that a part of the hole falls on belongs to it.
        inside = np.asarray(ImageOps.fit(mask, (width, height), method=Image.Resampling.BOX)) > 0
        if not inside.any():
            raise BadInput("there is no hole in the part of the picture that the model sees")
        if inside.all():
            raise BadInput("the hole leaves nothing of the picture")
        return image, inside

    def answer(self, inputs: Sequence[Broken]) -> list[Row]:
        import torch

        images, holes = (np.stack(parts) for parts in zip(*inputs, strict=True))
        repaired = self.objective.fill(self.network, images, torch.from_numpy(holes[:, None]), torch.device("cpu"))
        return [{"image": png(image)} for image in repaired]


def _hole(picture: Image.Image, given: Any) -> NDArray[np.bool_]:
    """True [height width] where the picture that was sent has its hole; raises `BadInput`."""
    if given is None or (isinstance(given, float) and np.isnan(given)):
        if not picture.has_transparency_data:
            raise BadInput("there is no 'hole', and nothing of the picture is transparent")
        return np.asarray(picture.convert("RGBA").getchannel("A")) < 128
    if isinstance(given, str):
        with Image.open(BytesIO(picture_bytes(given))) as mask:
            if mask.size != picture.size:
                sizes = " and ".join(f"{width} x {height}" for width, height in (mask.size, picture.size))
                raise BadInput(f"the hole and the picture are of different sizes, {sizes}")
            try:
                return np.asarray(mask.convert("L")) >= 128
            except Exception:  # Pillow meets damage with errors of nearly every type
                raise BadInput("the hole is damaged or unreadable") from None
    box = given.tolist() if isinstance(given, np.ndarray) else given
    if not isinstance(box, list | tuple) or len(box) != 4 or any(type(side) is not int for side in box):
        raise BadInput("the hole is neither a box [left, top, right, bottom] of whole numbers nor a PNG in base64")
    left, top, right, bottom = box
    if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
        raise BadInput(
            f"the hole {box} does not lie within the {picture.width} x {picture.height} pixels of the picture"
        )
    inside = np.zeros((picture.height, picture.width), bool)
    inside[top:bottom, left:right] = True
    return inside
