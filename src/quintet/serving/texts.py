"""What the adapters of texts share: raw text is checked here, and read from files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quintet.serving.adapter import Adapter, BadInput, Row
from quintet.serving.tables import TABLES, decoded, rows_of

if TYPE_CHECKING:
    from torch import nn

    from quintet.tasks.objective import Objective
    from quintet.training.texts import TextInputs

MAX_CHARACTERS = 100_000
TEXT_FILES = (".txt", *TABLES)


class TextAdapter(Adapter):
    """A task on texts; every column of a request is a text.

    The run gives its model the tokenizer that it was trained with, under the name 'tokenizer'. Files are tables
    (.csv, .tsv, .jsonl) with the request's columns, or, where a request has one column, a text each (.txt).
    """

    objective: Objective
    inputs: TextInputs
    network: nn.Module

    def load(self, weights: Path, files: Mapping[str, Path]) -> None:
        from quintet.data.spec import spec_of
        from quintet.training.texts import TextInputs
        from quintet.training.weights import load_weights

        self.objective = self.task_on(spec_of(self.spec), files["tokenizer"].parent)
        assert isinstance(self.objective.inputs, TextInputs)
        self.inputs = self.objective.inputs
        network = self.objective.network(self.settings["model"])
        load_weights(network, weights)
        self.network = network.eval()

    @abstractmethod
    def task_on(self, spec: Any, vocabulary: Path) -> Any:
        """The task on data like those of the training, cut with the tokenizer in a folder."""

    def read(self, row: Row) -> Any:
        return {column: checked_text(row[column], column) for column in self.takes}

    def inputs_of(self, file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
        suffix = file.suffix.lower()
        if suffix not in self.suffixes:
            raise BadInput(f"a file of another kind; it takes: {', '.join(self.suffixes)}")
        if suffix == ".txt":
            yield str(file), partial(self.read, dict.fromkeys(self.takes, decoded(file.read_bytes())))
            return
        for line, made in rows_of(file, list(self.takes)):
            yield f"{file}:{line}", partial(self._row, made)

    def _row(self, made: Callable[[], Row]) -> Any:
        row = made()
        for column in self.takes:
            if column not in row:
                raise BadInput(f"there is no '{column}'")
        return self.read(row)


def checked_text(value: Any, name: str) -> str:
    """A column of a request, which nobody has checked; raises `BadInput`."""
    if not isinstance(value, str):
        raise BadInput(f"the {name} is no text")
    if len(value) > MAX_CHARACTERS:
        raise BadInput(f"the {name} has {len(value):,} characters; the limit is {MAX_CHARACTERS:,}")
    if not value.strip():
        raise BadInput(f"the {name} is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(f"the {name} holds half a character (a lone surrogate)") from None
    return value
