"""What stands between a trained network and whoever asks it. Knows neither MLflow nor where models are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

# The types of a request's columns and an answer's fields; 'any' is checked by the adapter alone, and in an answer it is
# whatever JSON has words for.
Type = Literal["any", "string", "long", "double", "map of double", "list of string", "list of long", "list of double"]
Row = dict[str, Any]


class BadInput(Exception):
    """Why an input has no answer, in words for whoever sent it; the caller says which input it was."""


class Adapter(ABC):
    """One task on one kind of data.

    `noun` is what an input is called in messages; `takes` names the columns of a request, of which some are `optional`,
    `gives` the fields of an answer; `most` is how many rows a request may have. `pictures` is the field of an answer
    that holds a PNG in base64, or a list of them, where there is one. `suffixes` are those of files that `quintet
    predict` looks for in folders. Making an adapter costs nothing: torch is imported by `load`, so that a model can be
    written to MLflow without it.
    """

    noun: ClassVar[str]
    takes: ClassVar[Mapping[str, Type]]
    optional: ClassVar[frozenset[str]] = frozenset()
    gives: ClassVar[Mapping[str, Type]]
    suffixes: ClassVar[tuple[str, ...]]
    most: ClassVar[int] = 1024
    pictures: ClassVar[str | None] = None

    def __init__(self, settings: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        self.settings, self.spec = settings, spec

    @abstractmethod
    def example(self) -> Row:
        """A row that a request might hold, small enough to be shown."""

    @abstractmethod
    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        """Build the network and read its weights; `files` are what else the run gave its model, by name."""

    @abstractmethod
    def read(self, row: Row) -> Any:
        """A row of a request, which nobody has checked, as an input of `answer`; raises `BadInput`."""

    @abstractmethod
    def inputs_of(self, file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
        """What a file holds: for each input its name and what reads it, which may raise `BadInput`.

        Raises `BadInput` where the file as a whole can not be read.
        """

    @abstractmethod
    def answer(self, inputs: Sequence[Any]) -> list[Row]:
        """The answers to a batch of inputs, in their order, as values that JSON has words for."""
