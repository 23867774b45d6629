"""Style transfer: a picture and the domain it is to be of in; the translated picture out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quintet.serving.adapter import Adapter, BadInput, Row, Type
from quintet.serving.image_classifier import pixels, png
from quintet.serving.tables import rows_of

Original = tuple[NDArray[np.uint8], int]
_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class ImageRestyler(Adapter):
    """Translates images, given as PNG or JPEG in base64 or as pixels, into the domain `into`.

    Without `into` it is the second of the two domains that the network was trained on, and the answer says which.
    `image` of the answer is a PNG of the model's size. Files are pictures, which say no domain, or .jsonl of rows.
    """

    noun = "image"
    takes: ClassVar[Mapping[str, Type]] = {"image": "any", "into": "any"}
    optional = frozenset({"into"})
    gives: ClassVar[Mapping[str, Type]] = {"image": "string", "into": "string"}
    suffixes = (*_PICTURES, ".jsonl")
    pictures = "image"

    def example(self) -> Row:
        """A black image of the model's size."""
        return {"image": png(np.zeros(tuple(self.spec["shape"]), np.uint8)), "into": self.spec["classes"][1]}

    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        from quintet.data.spec import spec_of
        from quintet.tasks.style_transfer import StyleTransfer
        from quintet.training.weights import load_weights

        self.objective = StyleTransfer(spec_of(self.spec))
        self.network = self.objective.network(self.settings["model"])
        load_weights(self.network, weights)
        self.network.eval()

    def read(self, row: Row) -> Original:
        domains, into = list(self.spec["classes"]), row.get("into")
        if into is None or (isinstance(into, float) and np.isnan(into)):  # pandas writes NaN where a row has none
            into = domains[1]
        if not isinstance(into, str) or into not in domains:
            raise BadInput(f"unknown domain {into!r} in 'into'; it takes: {', '.join(domains)}")
        return pixels(row.get("image"), self.spec["shape"]), domains.index(into)

    def inputs_of(self, file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
        if file.suffix.lower() != ".jsonl":
            yield str(file), partial(self._picture_file, file)
            return
        for line, made in rows_of(file, ["image"]):
            yield f"{file}:{line}", partial(self._from_table, made)

    def _from_table(self, made: Callable[[], Row]) -> Original:
        row = made()
        if unknown := [name for name in row if name not in self.takes]:
            raise BadInput(f"unknown column '{unknown[0]}'; it takes: {', '.join(self.takes)}")
        return self.read(row)

    def _picture_file(self, file: Path) -> Original:
        from quintet.data.picture import Unusable, read_picture, strict_reading

        channels, height, width = self.spec["shape"]
        try:
            with strict_reading():
                return read_picture(file, (height, width), channels), 1
        except Unusable as e:
            raise BadInput(str(e)) from None

    def answer(self, inputs: Sequence[Original]) -> list[Row]:
        import torch

        images, domains = np.stack([image for image, _ in inputs]), np.array([domain for _, domain in inputs])
        made = self.objective.translate(self.network, images, domains, torch.device("cpu"))
        return [
            {"image": png(image), "into": self.spec["classes"][domain]}
            for image, domain in zip(made, domains, strict=True)
        ]
