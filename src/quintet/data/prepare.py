"""From an entry of params.yaml to a prepared data set on disk."""

from __future__ import annotations

import importlib
import logging
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quintet.data import DATASETS, module_of, outline
from quintet.data.accept import BAD_FILES, accept
from quintet.data.examples import Examples
from quintet.data.listing import write_problems
from quintet.data.options import (
    EmbeddedOptions,
    NamedOptions,
    OfficialOptions,
    Options,
    OwnImageOptions,
    OwnOptions,
    TextOptions,
)
from quintet.data.spec import SPLITS, DataSpec, Split, digest, load_split, save_spec
from quintet.data.split import count_copies, fingerprints, stratified, thin
from quintet.data.text.prepare import prepare_texts
from quintet.data.text.store import EXAMPLES, TOKENIZER

log = logging.getLogger(__name__)

# Rows are handled by as many at a time.
_CHUNK_BYTES = 64 * 2**20


def prepare(options: Options, name: str, out: Path) -> DataSpec:
    """Read, split, measure and write the data set `name` into the folder `out`, laid out as `spec` says.

    Preparing the same files twice gives the same digest. Raises UserError for what the user can mend:
    files that are missing, damaged or, with `on_bad: refuse`, not usable as examples.
    """
    out.mkdir(parents=True, exist_ok=True)
    _clear(out)
    spec = (
        prepare_texts(options, name, out) if isinstance(options, TextOptions) else _prepare_images(options, name, out)
    )
    save_spec(out, spec)
    counts = ", ".join(f"{split} {count:,}" for split, count in spec.counts.items())
    log.info("%s: %s; %d classes; %s; took: %s", name, counts, len(spec.classes), spec.digest[:19], spec.source["took"])
    for text in filter(None, (spec.source["note"], _set_aside_note(spec, out))):
        log.info("%s: %s", name, text)
    return spec


def _prepare_images(options: Options, name: str, out: Path) -> DataSpec:
    with tempfile.TemporaryDirectory(prefix="reading-", dir=out) as scratch:
        examples = _read(options, name, Path(scratch))
        assert examples.inputs.shape[1:] == outline(options).shape, (examples.inputs.shape, outline(options).shape)
        if isinstance(options, OwnOptions):
            accept(options, name, examples.set_aside, examples.classes, out)
        if isinstance(options, NamedOptions) and options.subset is not None:
            examples = _subset(examples, options.subset, options.split_seed)
        copies = fingerprints(examples.inputs)
        rows = _split(examples, options, copies)
        for split in SPLITS:
            _write_split(out / split, examples, rows[split])
    write_problems(out / "set_aside.csv", examples.set_aside)
    return _measure(options, name, examples, out, count_copies(copies, rows))


def _clear(out: Path) -> None:
    """Remove what an earlier preparation left: spec.json first, so that no half-cleared folder looks whole.

    Removed rather than overwritten, since the files may be links into DVC's cache, or mapped by another process.
    """
    files = ("ids.npy", "inputs.npy", "targets.npy", EXAMPLES)
    parts = [f"{split}/{file}" for split in SPLITS for file in files]
    for stale in ("spec.json", "set_aside.csv", BAD_FILES, TOKENIZER, *parts):
        (out / stale).unlink(missing_ok=True)


def _read(options: Options, name: str, scratch: Path) -> Examples:
    examples: Examples = importlib.import_module(module_of(options)).read(options, name, scratch)
    if not isinstance(options, NamedOptions):
        return examples
    known = DATASETS[options.set]
    # A reader that found another version of the set says so in a title of its own.
    return replace(
        examples,
        source={"title": known.title, "licence": known.licence, "source": known.source, **examples.source},
    )


def _set_aside_note(spec: DataSpec, out: Path) -> str:
    return f"{spec.set_aside} set aside, listed in {out / 'set_aside.csv'}" if spec.set_aside else ""


def _subset(examples: Examples, fraction: float, seed: int) -> Examples:
    test = np.zeros(len(examples), bool) if examples.test is None else examples.test
    strata = list(zip(examples.targets.tolist(), test.tolist(), strict=True))
    # Three of a class can still be split three ways.
    kept = thin(examples.ids.tolist(), strata, fraction, 3, seed)
    note = f"subset: {len(kept):,} of {len(examples):,} examples, chosen by `subset: {fraction}`"
    source = examples.source
    title = source["title"].removesuffix(" subset") + " subset"
    source = {**source, "title": title, "note": "; ".join(filter(None, [source["note"], note]))}
    return replace(examples.take(kept), source=source)


def _split(examples: Examples, options: Options, copies: list[bytes]) -> dict[str, NDArray[np.int64]]:
    ids, targets = examples.ids.tolist(), examples.targets
    assert isinstance(options, EmbeddedOptions | OfficialOptions | OwnImageOptions), options
    fractions = {"validation": options.validation}
    if examples.test is None:
        assert not isinstance(options, OfficialOptions), options
        return stratified(ids, targets, copies, {**fractions, "test": options.test}, options.split_seed)
    held_out, rest = np.flatnonzero(examples.test), np.flatnonzero(~examples.test)
    inner = stratified([ids[i] for i in rest], targets[rest], [copies[i] for i in rest], fractions, options.split_seed)
    return {**{split: rest[chosen] for split, chosen in inner.items()}, "test": held_out}


def _chunks(array: NDArray[np.uint8], rows: NDArray[np.int64]) -> Iterable[NDArray[np.uint8]]:
    step = max(1, _CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(rows), step):
        yield array[rows[start : start + step]]


def _write_split(folder: Path, examples: Examples, rows: NDArray[np.int64]) -> None:
    folder.mkdir(exist_ok=True)
    np.save(folder / "ids.npy", examples.ids[rows], allow_pickle=False)
    np.save(folder / "targets.npy", examples.targets[rows], allow_pickle=False)
    shape = (len(rows), *examples.inputs.shape[1:])
    # Plain writes, not a writable memory map: on a full disk these end in an error, a map in a bus error.
    with (folder / "inputs.npy").open("wb") as handle:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(handle, header)
        for chunk in _chunks(examples.inputs, rows):
            handle.write(np.ascontiguousarray(chunk).data)


def _measure(options: Options, name: str, examples: Examples, out: Path, copies: dict[str, int]) -> DataSpec:
    splits = {split: load_split(out, split) for split in SPLITS}
    mean, std = channel_statistics(splits["train"])
    source = dict(examples.source)
    if copies["test_seen"]:
        note = f"{copies['test_seen']} test examples are exact copies of training or validation examples"
        source["note"] = "; ".join(filter(None, [source["note"], f"{note}, as in the official split"]))
    known_as = outline(options)
    return DataSpec(
        name=name,
        kind=known_as.kind,
        target=known_as.target,
        shape=known_as.shape,
        classes=examples.classes,
        counts={split: len(part) for split, part in splits.items()},
        class_counts={
            split: np.bincount(part.targets, minlength=len(examples.classes)).tolist() for split, part in splits.items()
        },
        mean=mean,
        std=std,
        set_aside=len(examples.set_aside),
        source=source,
        digest=digest(splits),
        copies=copies,
    )


def channel_statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel of uint8 inputs scaled to 0..1.

    Exact sums of integers, so that no chunk size or processor changes a digit. A channel that never
    changes (an unused colour of a microscope) has deviation 1, so that normalising it gives 0, not infinity.
    """
    channels = split.inputs.shape[1]
    sums, squares, count = [0] * channels, [0] * channels, 0
    for chunk in _chunks(split.inputs, np.arange(len(split))):
        for c in range(channels):
            histogram = np.bincount(chunk[:, c].ravel(), minlength=256).tolist()
            sums[c] += sum(value * n for value, n in enumerate(histogram))
            squares[c] += sum(value * value * n for value, n in enumerate(histogram))
        count += chunk[:, 0].size
    mean = tuple(s / count / 255 for s in sums)
    variance = [(q * count - s * s) / count**2 for s, q in zip(sums, squares, strict=True)]
    return mean, tuple(v**0.5 / 255 if v > 0 else 1.0 for v in variance)
