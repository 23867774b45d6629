"""Generation: a seed, a class and a truncation in; PNGs out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from quintet.serving.adapter import Adapter, BadInput, Row, Type
from quintet.serving.image_classifier import png
from quintet.serving.tables import TABLES, rows_of

MAX_SEED, MAX_COUNT = 2**32 - 1, 64


@dataclass(frozen=True)
class Order:
    """A checked row; `label` None stands for classes that the seed draws, or for a network that is told none."""

    seed: int
    label: int | None
    truncation: float
    count: int


class ImageMaker(Adapter):
    """Makes `count` images of the latents that `seed` draws, drawn towards the middle by `truncation` (1: not at all).

    A network that was trained with classes takes a `class`; without one the seed draws a class for each image, and
    the answer says which (`classes`, empty for other networks). Files are tables (.csv, .tsv, .jsonl) of such rows.
    """

    noun = "row"
    # Whole numbers may come as floats where other rows of the request leave the column out: checked by `read` alone.
    takes: ClassVar[Mapping[str, Type]] = {"seed": "any", "class": "any", "truncation": "any", "count": "any"}
    optional = frozenset({"class", "truncation", "count"})
    gives: ClassVar[Mapping[str, Type]] = {"images": "list of string", "classes": "list of string"}
    suffixes = TABLES
    most = 16
    pictures = "images"

    def example(self) -> Row:
        return {"seed": 0, "truncation": 1.0, "count": 2}

    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        from quintet.data.spec import spec_of
        from quintet.tasks.generation import Generation
        from quintet.training.weights import load_weights

        self.objective = Generation(spec_of(self.spec))
        self.network = self.objective.network(self.settings["model"])
        load_weights(self.network, weights)
        self.network.eval()

    def read(self, row: Row) -> Order:
        given = {name: row[name] for name in self.takes if not _absent(row.get(name))}
        if "seed" not in given:
            raise BadInput("there is no 'seed'")
        truncation = given.get("truncation", 1.0)
        if isinstance(truncation, bool | np.bool_) or not isinstance(truncation, int | float | np.number):
            raise BadInput(f"truncation {truncation!r} is no number")
        if not 0 <= truncation <= 1:
            raise BadInput(f"truncation {truncation:g}; it takes 0 (all alike) to 1 (none)")
        return Order(
            seed=_whole(given["seed"], "seed", 0, MAX_SEED),
            label=self._label(given["class"]) if "class" in given else None,
            truncation=float(truncation),
            count=_whole(given.get("count", 1), "count", 1, MAX_COUNT),
        )

    def _label(self, name: Any) -> int:
        classes = list(self.spec["classes"])
        if not self.network.conditional:
            raise BadInput("this network was trained without classes and takes none")
        if name not in classes:
            raise BadInput(f"unknown class {name!r}; it takes: {', '.join(classes)}")
        return classes.index(name)

    def inputs_of(self, file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
        if file.suffix.lower() not in self.suffixes:
            raise BadInput(f"a file of another kind; it takes: {', '.join(self.suffixes)}")
        for line, made in rows_of(file, ["seed"]):
            yield f"{file}:{line}", partial(self._from_table, made)

    def _from_table(self, made: Callable[[], Row]) -> Order:
        """In a CSV all cells are texts; names of classes may look like numbers and stay as they are."""
        row = made()
        if unknown := [name for name in row if name not in self.takes]:
            raise BadInput(f"unknown column '{unknown[0]}'; it takes: {', '.join(self.takes)}")
        return self.read({name: _number(cell) if name != "class" else cell for name, cell in row.items()})

    def answer(self, inputs: Sequence[Order]) -> list[Row]:
        return [self._images(order) for order in inputs]

    def _images(self, order: Order) -> Row:
        import torch

        from quintet.tasks.generation import latents

        classes, count = self.spec["classes"], order.count
        latent = latents(count, self.network.latent_dim, order.seed)  # type: ignore[arg-type]
        drawn = np.random.default_rng([order.seed, 1]).integers(0, len(classes), count)
        labels = drawn if order.label is None else np.full(count, order.label)
        made = self.objective.make(
            self.network, latent, torch.from_numpy(labels), torch.device("cpu"), order.truncation
        )
        told = [classes[label] for label in labels] if self.network.conditional else []
        return {"images": [png(image) for image in made], "classes": told}


def _absent(value: Any) -> bool:
    """Left out of a row, or empty in a CSV; pandas writes NaN."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _whole(value: Any, name: str, low: int, high: int) -> int:
    plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not plain or value != value // 1:
        raise BadInput(f"{name} {value!r} is no whole number")
    if not low <= value <= high:
        raise BadInput(f"{name} {int(value)}; it takes {low} to {high}")
    return int(value)


def _number(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell
