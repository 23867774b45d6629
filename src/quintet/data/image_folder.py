"""The user's own images: one folder per class, or files named by a CSV."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quintet.data.examples import Examples
from quintet.data.listing import Listing, Problem, list_csv, list_folder
from quintet.data.options import ImageCsvOptions, OwnImageOptions
from quintet.data.picture import Unusable, read_picture, strict_reading
from quintet.data.split import fingerprints
from quintet.errors import UserError

log = logging.getLogger(__name__)

# A class must give an example to each of train, validation and test.
_LEAST = 3
# Decoded pictures that wait to be written.
_BATCH_BYTES = 64 * 2**20
_REPORT_SECONDS = 10.0


def read(options: OwnImageOptions, name: str, scratch: Path) -> Examples:
    """All usable pictures, ordered by id and memory-mapped from a file in `scratch`; the others are in `set_aside`."""
    where = f"own_data.{name}"
    root = Path(options.path)
    if isinstance(options, ImageCsvOptions):
        listing = list_csv(where, root, options.labels)
    else:
        listing = list_folder(root)
    log.info("%s: %s files in %d classes", name, f"{len(listing.ids):,}", len(listing.classes))
    kept, inputs, problems = _decode(listing, options, name, scratch)
    ids = [listing.ids[i] for i in kept]
    labels = [listing.labels[i] for i in kept]
    problems += _unfit(ids, labels, inputs, listing.classes)
    bad = {p.file for p in problems}
    usable = [row for row, file in enumerate(ids) if file not in bad]
    # Close the gaps in place; the scratch file is ours, and a copy might not fit in memory.
    for new, old in enumerate(usable):
        if new != old:
            inputs[new] = inputs[old]
    classes = tuple(sorted({labels[row] for row in usable}))
    index = {label: i for i, label in enumerate(classes)}
    note = f"images in the folder that the CSV does not name: {listing.unlisted:,}" if listing.unlisted else ""
    return Examples(
        ids=np.array([ids[row] for row in usable], dtype=np.str_),
        inputs=inputs[: len(usable)],
        targets=np.array([index[labels[row]] for row in usable], np.int64),
        classes=classes,
        test=None,
        source={
            "title": f"{name} (own images)",
            "licence": "the owner's",
            "source": f"own data, {options.format}",
            "took": "path in params.yaml",
            "path": options.path,
            "note": note,
        },
        set_aside=sorted([*listing.problems, *map(listing.with_line, problems)], key=lambda p: (p.file, p.reason)),
    )


def _decode(
    listing: Listing, options: OwnImageOptions, name: str, scratch: Path
) -> tuple[list[int], NDArray[np.uint8], list[Problem]]:
    """Which files are pictures, their pixels [picture channel height width], and what is wrong with the others."""
    shape = (options.channels, *options.image_size)
    need = 2 * len(listing.ids) * int(np.prod(shape))
    free = shutil.disk_usage(scratch).free
    if need > free:
        what = (
            f"{len(listing.ids):,} pictures of {shape} need {need / 1e9:.1f} GB on disk, {free / 1e9:.1f} GB are free"
        )
        raise UserError(f"own_data.{name}", what, "make room or choose a smaller image_size")
    kept: list[int] = []
    problems: list[Problem] = []
    path = scratch / "pixels"
    with path.open("wb") as handle:
        for index, result in enumerate(_pictures(listing, options, name)):
            if isinstance(result, str):
                problems.append(Problem(listing.ids[index], result))
            else:
                handle.write(result.data)
                kept.append(index)
    if not kept:
        return kept, np.empty((0, *shape), np.uint8), problems
    return kept, np.memmap(path, np.uint8, "r+", shape=(len(kept), *shape)), problems


def _pictures(listing: Listing, options: OwnImageOptions, name: str) -> Iterator[NDArray[np.uint8] | str]:
    """Each file's pixels or what is wrong with it, in order, with a line in the log every ten seconds."""

    def one(file: str) -> NDArray[np.uint8] | str:
        try:
            return read_picture(listing.root / file, options.image_size, options.channels)
        except Unusable as e:
            return str(e)

    total = len(listing.ids)
    batch = max(1, min(256, _BATCH_BYTES // (options.channels * options.image_size[0] * options.image_size[1])))
    started = reported = time.monotonic()
    # Pillow decodes outside Python's lock, so threads are enough.
    with strict_reading(), ThreadPoolExecutor(_threads()) as pool:
        for start in range(0, total, batch):
            yield from pool.map(one, listing.ids[start : start + batch])
            now, done = time.monotonic(), min(start + batch, total)
            if now - reported >= _REPORT_SECONDS and done < total:
                reported = now
                left = (now - started) / done * (total - done)
                log.info("%s: read %s of %s images, about %.0f s left", name, f"{done:,}", f"{total:,}", left)


def _threads() -> int:
    # Whoever runs several stages at a time gives each its share of the cores in this variable.
    share = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(share)) if share.isdecimal() else os.cpu_count() or 1


def _unfit(ids: list[str], labels: list[str], inputs: NDArray[np.uint8], classes: list[str]) -> list[Problem]:
    """What is wrong with pictures that can be read: copies under two labels, and classes too small to be split."""
    copies = fingerprints(inputs)
    meanings: dict[bytes, dict[str, str]] = defaultdict(dict)
    for file, label, copy in zip(ids, labels, copies, strict=True):
        meanings[copy].setdefault(label, file)
    problems = []
    different: dict[str, set[bytes]] = {label: set() for label in classes}
    for file, label, copy in zip(ids, labels, copies, strict=True):
        other = next((label_file for label_file in meanings[copy].items() if label_file[0] != label), None)
        if other:
            reason = f"labelled '{label}', but the same picture as {other[1]}, labelled '{other[0]}'"
            problems.append(Problem(file, reason))
        else:
            different[label].add(copy)
    unclear = {p.file for p in problems}
    for label, pictures in different.items():
        if len(pictures) >= _LEAST:
            continue
        reason = f"class '{label}' needs {_LEAST} different usable pictures to be split, and has {len(pictures)}"
        files = [file for file, its in zip(ids, labels, strict=True) if its == label and file not in unclear]
        problems += [Problem(file, reason) for file in files or [f"{label}/"]]
    return problems
