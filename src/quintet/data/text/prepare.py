"""From an entry of params.yaml to prepared texts on disk."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quintet.data import DATASETS, module_of
from quintet.data.accept import accept
from quintet.data.listing import Problem, write_problems
from quintet.data.options import CorpusOptions, NamedOptions, Options, OwnOptions, TextOptions, TextSet
from quintet.data.spec import SPLITS, DataSpec
from quintet.data.split import count_copies, stratified, thin
from quintet.data.text.encode import EncodedTexts, encode
from quintet.data.text.examples import TextExamples
from quintet.data.text.prose import documents_of
from quintet.data.text.store import TOKENIZER, Texts, digest_texts, save_texts
from quintet.data.text.tokenizer import special, train_tokenizer
from quintet.errors import UserError

# Each of train, validation and test must have an example of a class.
_LEAST = 3


def prepare_texts(options: TextOptions, name: str, out: Path) -> DataSpec:
    """Read, split and write the data set `name` into `out`, with a tokenizer made for its training texts."""
    section = "data" if isinstance(options, NamedOptions) else "own_data"
    examples = read_texts(options, name)
    if isinstance(options, OwnOptions):
        examples = _usable(examples)
        accept(options, name, examples.set_aside, examples.classes, out, least=2 if examples.classes else 0)
    if isinstance(options, NamedOptions) and options.subset is not None:
        examples = _subset(examples, options.subset, options.split_seed)
    rows = split_rows(examples, options, f"{section}.{name}")
    splits = {split: _texts(examples, rows[split]) for split in SPLITS}
    _check_seen(splits, examples, f"{section}.{name}")
    if isinstance(options, CorpusOptions) and options.also:
        splits["train"] = _with_others(splits["train"], options.also, name)
    words = training_words(splits["train"])
    tokenizer = train_tokenizer(words, options.tokenizer, options.vocabulary, options.lower)
    tokenizer.save(str(out / TOKENIZER))
    for split in SPLITS:
        save_texts(out, split, splits[split])
    write_problems(out / "set_aside.csv", examples.set_aside)
    marks = special(tokenizer)
    encoded = {split: encode(splits[split], tokenizer, options.length, examples.classes) for split in SPLITS}
    copies = count_copies(_copies(examples), rows)
    facts = _facts(encoded, options, marks.unknown)
    note = "; ".join([*filter(None, [examples.source["note"]]), *_remarks(options, copies, facts)])
    return DataSpec(
        name=name,
        kind="text",
        target=examples.target,
        shape=(options.length, tokenizer.get_vocab_size(), marks.pad, marks.separator),
        classes=examples.classes,
        counts={split: len(part) for split, part in splits.items()},
        class_counts=_class_counts(splits, len(examples.classes)) if examples.target == "class" else {},
        mean=(),
        std=(),
        set_aside=len(examples.set_aside),
        source={**examples.source, "note": note},
        digest=digest_texts(splits),
        copies=copies,
        text=facts,
    )


def read_texts(options: TextOptions, name: str) -> TextExamples:
    """The examples of an entry, as its reader gives them."""
    examples: TextExamples = importlib.import_module(module_of(options)).read(options, name)
    if not isinstance(options, NamedOptions):
        return examples
    known = DATASETS[options.set]
    source = {"title": known.title, "licence": known.licence, "source": known.source, **examples.source}
    return replace(examples, source=source)


def training_words(texts: Texts) -> list[str]:
    """What the vocabulary is made for; WikiText's mark of an unknown word is none."""
    if texts.target == "class":
        return texts["text"]
    if texts.target == "tags":
        return [" ".join(words) for words in texts["words"]]
    if texts.target == "span":
        return [*dict.fromkeys(texts["context"]), *texts["question"]]
    return [sentence.replace("[UNK]", " ") for document in texts["sentences"] for sentence in document]


def _with_others(documents: Texts, also: Mapping[TextSet, int], name: str) -> Texts:
    """Documents, and behind them the training texts of other sets, each set as many times as `also` says."""
    ids, sentences = list(documents.ids), list(documents["sentences"])
    for other, times in also.items():
        options = DATASETS[other].options.model_validate({"set": other})
        assert isinstance(options, TextOptions), other
        read = read_texts(options, name)
        added = documents_of(_texts(read, split_rows(read, options, f"data.{name}")["train"]))
        ids += [f"{other}/{place}" for place in added.ids] * times
        sentences += added["sentences"] * times
    return Texts(ids, {"sentences": sentences})


def _texts(examples: TextExamples, rows: NDArray[np.int64]) -> Texts:
    taken = examples.take(rows.tolist())
    return Texts(taken.ids, taken.columns)


def _hashes(values: list[Any]) -> list[bytes]:
    return [hashlib.blake2b(json.dumps(value).encode(), digest_size=16).digest() for value in values]


def _copies(examples: TextExamples) -> list[bytes]:
    """A hash of each example's text; equal where two are exact copies."""
    columns = examples.columns
    if examples.target == "span":
        return _hashes(list(zip(columns["question"], columns["context"], strict=True)))
    return _hashes(next(iter(columns.values())))


def _together(examples: TextExamples) -> list[bytes]:
    """A hash of what must stay in one split: exact copies, and all questions about one article."""
    return _hashes(examples.columns["group"]) if examples.target == "span" else _copies(examples)


def _strata(examples: TextExamples) -> list[int]:
    """What each split should have its share of: the class, or the rarest type of entity in a sentence."""
    if examples.target == "class":
        return list(examples.columns["target"])
    if examples.target != "tags":
        return [0] * len(examples)
    kinds = [_kinds(tags) for tags in examples.columns["tags"]]
    holders: dict[str, int] = defaultdict(int)
    for found in kinds:
        for kind in found:
            holders[kind] += 1
    order = {kind: index for index, kind in enumerate(sorted(holders, key=lambda kind: (holders[kind], kind)))}
    return [min((order[kind] for kind in found), default=len(order)) for found in kinds]


def _kinds(tags: list[str]) -> set[str]:
    return {tag[2:] for tag in tags if tag != "O"}


def split_rows(examples: TextExamples, options: Options, where: str) -> dict[str, NDArray[np.int64]]:
    """The rows of each split: the official one, and what that lacks cut from its training part."""
    official = np.array(examples.official)
    rows = {split: np.flatnonzero(official == split) for split in SPLITS}
    fractions = {split: getattr(options, split) for split in ("validation", "test") if not len(rows[split])}
    if not fractions:
        return rows
    rest, together, strata = rows["train"], _together(examples), _strata(examples)
    different = defaultdict[int, set[bytes]](set)
    for row in rest:
        different[strata[row]].add(together[row])
    if examples.target != "class":
        # A type of entity in too few sentences to be divided by itself joins the largest group.
        rare = {stratum for stratum, its in different.items() if len(its) <= len(fractions)}
        largest = max(different, key=lambda stratum: len(different[stratum]))
        strata = [largest if stratum in rare else stratum for stratum in strata]
        if len(set().union(*different.values())) <= len(fractions):
            what = f"{len(rest)} usable examples, all of one group, cannot be split"
            raise UserError(where, what, f"it takes {_LEAST} different texts, documents or articles at least")
    cut = stratified(
        [examples.ids[row] for row in rest],
        [strata[row] for row in rest],
        [together[row] for row in rest],
        fractions,
        options.split_seed,
    )
    return {**rows, **{split: rest[chosen] for split, chosen in cut.items()}}


def _usable(examples: TextExamples) -> TextExamples:
    """Without texts under two labels, and classes too small to be split; both are set aside."""
    if examples.target != "class":
        return examples
    places, (texts, targets) = examples.ids, examples.columns.values()
    meanings: dict[str, dict[int, str]] = defaultdict(dict)
    for place, text, target in zip(places, texts, targets, strict=True):
        meanings[text].setdefault(target, place)
    problems = []
    different: dict[int, set[str]] = {target: set() for target in range(len(examples.classes))}
    for place, text, target, split in zip(places, texts, targets, examples.official, strict=True):
        other = next((its for its in meanings[text].items() if its[0] != target), None)
        if other:
            label = f"labelled '{examples.classes[target]}', but the same text as {other[1]}"
            problems.append(Problem(place, f"{label}, labelled '{examples.classes[other[0]]}'"))
        elif split == "train":
            different[target].add(text)
    unclear = {p.file for p in problems}
    need = 1 + sum(split not in examples.official for split in ("validation", "test"))
    for place, target in zip(places, targets, strict=True):
        if len(different[target]) < need and place not in unclear:
            what = f"class '{examples.classes[target]}' needs {need} different usable texts to train on"
            problems.append(Problem(place, f"{what}, and has {len(different[target])}"))
    bad = {p.file for p in problems}
    kept = examples.take([row for row, place in enumerate(places) if place not in bad])
    used = sorted(set(kept.columns["target"]))
    return replace(
        kept,
        columns={**kept.columns, "target": [used.index(target) for target in kept.columns["target"]]},
        classes=tuple(examples.classes[target] for target in used),
        set_aside=sorted([*examples.set_aside, *problems], key=lambda p: (p.file, p.reason)),
    )


def _check_seen(splits: dict[str, Texts], examples: TextExamples, where: str) -> None:
    """Raise UserError where nothing to train on has a label that validation or test asks for."""
    if examples.target not in ("class", "tags"):
        return
    seen = {label for labels in _labels(splits["train"]) for label in labels}
    for split in ("validation", "test"):
        for place, labels in zip(splits[split].ids, _labels(splits[split]), strict=True):
            for label in sorted(labels - seen):
                name = examples.classes[label] if isinstance(label, int) else label
                raise UserError(where, f"label '{name}' ({place}) stands in {split}, never in train", "add examples")


def _labels(texts: Texts) -> list[set[Any]]:
    if texts.target == "class":
        return [{target} for target in texts["target"]]
    return [_kinds(tags) for tags in texts["tags"]]


def _subset(examples: TextExamples, fraction: float, seed: int) -> TextExamples:
    strata = [
        (SPLITS.index(split), stratum) for split, stratum in zip(examples.official, _strata(examples), strict=True)
    ]
    # Three of a class can still be split three ways.
    kept = thin(examples.ids, strata, fraction, _LEAST, seed)
    note = f"subset: {len(kept):,} of {len(examples):,} examples, chosen by `subset: {fraction}`"
    source = {**examples.source, "title": examples.source["title"].removesuffix(" subset") + " subset"}
    source["note"] = "; ".join(filter(None, [source["note"], note]))
    return replace(examples.take(kept.tolist()), source=source)


def _class_counts(splits: dict[str, Texts], count: int) -> dict[str, list[int]]:
    return {split: np.bincount(part["target"], minlength=count).tolist() for split, part in splits.items()}


def _remarks(options: TextOptions, copies: dict[str, int], facts: dict[str, Any]) -> Iterator[str]:
    """What a reader of results must know."""
    if isinstance(options, CorpusOptions) and options.also:
        others = (name if times == 1 else f"{name} ({times} times)" for name, times in options.also.items())
        yield f"with the training texts of {', '.join(others)}"
    if copies["test_seen"]:
        yield f"{copies['test_seen']} test examples are exact copies of training or validation examples"
    cut = {split: count for split, count in facts["truncated"].items() if count}
    if cut:
        counts = ", ".join(f"{count:,} of {split}" for split, count in cut.items())
        yield f"longer than {options.length} tokens, so their end is not read: {counts}"
    if any(facts["unreachable"].values()):
        counts = ", ".join(f"{count:,} of {split}" for split, count in facts["unreachable"].items() if count)
        yield f"questions whose answer is in no window of {options.length} tokens: {counts}"


def _facts(encoded: dict[str, EncodedTexts], options: TextOptions, unknown: int) -> dict[str, Any]:
    """How the set's own tokenizer cuts the texts."""
    tokens = encoded["validation"].inputs[encoded["validation"].inputs != 0]
    return {
        "tokenizer": options.tokenizer,
        "lower": options.lower,
        "rows": {split: len(part) for split, part in encoded.items()},
        "truncated": {split: part.truncated for split, part in encoded.items()},
        "unreachable": {split: _unreachable(part) for split, part in encoded.items()},
        "unknown_share": float((tokens == unknown).mean()),
    }


def _unreachable(rows: EncodedTexts) -> int:
    """Questions whose answer no window holds: it is longer than the part that windows share."""
    if rows.targets.ndim != 2 or rows.targets.shape[1] != 2:
        return 0
    held = rows.targets[:, 1] > 0
    return len(set(rows.examples.tolist()) - set(rows.examples[held].tolist()))
