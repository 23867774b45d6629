"""Any data set that Hugging Face `datasets` can read: of the Hub by name, or a local folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from quintet.data.options import HuggingFaceOptions
from quintet.data.spec import SPLITS
from quintet.data.text.columns import wrong_tag
from quintet.data.text.examples import COLUMNS, TextExamples, tag_names
from quintet.data.text.prose import sentences_of
from quintet.data.text.questions import Question, wrong_question
from quintet.errors import UserError, unknown


def read(options: HuggingFaceOptions, name: str) -> TextExamples:
    """The rows of each split that `splits` names, in order; the first that cannot be used is a UserError."""
    where = f"data.{name}"
    columns: dict[str, list[Any]] = {column: [] for column in COLUMNS[options.target]}
    ids, official = list[str](), list[str]()
    classes: tuple[str, ...] = ("random", "next") if options.target == "next" else ()
    licence = ""
    for split in (split for split in SPLITS if split in options.splits):
        table = _load(where, options, options.splits[split])
        licence = licence or str(table.info.license or "")
        names = _label_names(where, options, table)
        classes = classes or names
        for index, row in enumerate(table):
            place = f"{split}-{index:06d}"
            values, problem = _VALUES[options.target](options, row, names)
            if problem:
                raise UserError(where, f"{options.dataset}, {options.splits[split]}, row {index}: {problem}")
            ids.append(str(row["id"]) if options.target == "span" and "id" in row else place)
            official.append(split)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    if options.target == "class":
        classes = classes or tuple(sorted(set(columns["target"])))
        columns["target"] = [classes.index(label) for label in columns["target"]]
    if options.target == "tags":
        classes = tag_names({tag[2:] for tags in columns["tags"] for tag in tags if tag != "O"})
    source = {
        "title": options.dataset,
        "licence": licence or "not stated",
        "source": f"Hugging Face data set {options.dataset}",
        "took": "datasets",
        "path": options.dataset,
        "note": "",
    }
    return TextExamples(options.target, ids, columns, classes, official, source)


def _load(where: str, options: HuggingFaceOptions, split: str) -> Any:
    try:
        import datasets
    except ImportError as e:
        raise UserError(where, "the package datasets is not installed", "pip install 'quintet[hub]'") from e
    cache = Path(os.environ.get("QUINTET_CACHE") or Path.home() / ".cache" / "quintet") / "datasets"
    datasets.disable_progress_bars()
    try:
        table = datasets.load_dataset(options.dataset, options.config, split=split, cache_dir=str(cache))
    except Exception as e:  # the network's, the Hub's and the library's own errors have no common class
        right = "give the Hub's name or a folder as `dataset`, its `config` and `splits`"
        raise UserError(where, f"datasets cannot read '{options.dataset}', split '{split}' ({e})", right) from e
    needed = {"class": (options.text, options.label), "tags": (options.text, options.label), "next": (options.text,)}
    for column in needed.get(options.target, ("question", "context", "answers")):
        if column not in table.column_names:
            raise unknown(where, "column", column, table.column_names)
    return table


def _label_names(where: str, options: HuggingFaceOptions, table: Any) -> tuple[str, ...]:
    """What the numbers of the label column stand for; nothing where labels are words."""
    if options.target not in ("class", "tags"):
        return ()
    feature = table.features[options.label]
    feature = getattr(feature, "feature", feature) if options.target == "tags" else feature
    return tuple(getattr(feature, "names", None) or ())


def _label(value: Any, names: tuple[str, ...]) -> str:
    """A label in words; nothing where it is missing or hidden, as -1 in GLUE's test splits."""
    if names:
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else ""
    return "" if value is None else str(value).strip()


_Read = tuple[tuple[Any, ...], str | None]


def _class(options: HuggingFaceOptions, row: dict[str, Any], names: tuple[str, ...]) -> _Read:
    text, label = row[options.text], _label(row[options.label], names)
    if not isinstance(text, str) or not text.strip():
        return (), f"'{options.text}' is no text, or empty"
    return (text, label), None if label else f"no label ({row[options.label]})"


def _tags(options: HuggingFaceOptions, row: dict[str, Any], names: tuple[str, ...]) -> _Read:
    words, tags = row[options.text], [_label(tag, names) for tag in row[options.label] or ()]
    if not words or len(words) != len(tags) or not all(isinstance(word, str) and word.strip() for word in words):
        return (), "not a word for each tag"
    for before, tag in zip(["O", *tags], tags, strict=False):
        problem = wrong_tag(tag, before)
        if problem:
            return (), problem
    return (words, tags), None


def _span(options: HuggingFaceOptions, row: dict[str, Any], names: tuple[str, ...]) -> _Read:
    answers = row["answers"]
    asked = Question(
        place="",
        article=str(row.get("title") or row["context"]),
        question=row["question"],
        context=row["context"],
        answers=tuple(answers["text"]),
        starts=tuple(answers["answer_start"]),
    )
    return asked.values, wrong_question(asked)


def _next(options: HuggingFaceOptions, row: dict[str, Any], names: tuple[str, ...]) -> _Read:
    text = row[options.text]
    if not isinstance(text, str) or not text.strip():
        return (), f"'{options.text}' is no text, or empty"
    return (sentences_of(text),), None


_VALUES = {"class": _class, "tags": _tags, "span": _span, "next": _next}
