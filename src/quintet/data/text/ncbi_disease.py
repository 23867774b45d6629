"""NCBI-disease: mentions of diseases in 793 PubMed abstracts (Doğan, Leaman and Lu 2014), as IOB2 tags."""

from __future__ import annotations

from quintet.data.options import NcbiDiseaseOptions
from quintet.data.text.columns import sentences
from quintet.data.text.examples import TextExamples, tag_names
from quintet.data.text.official import folder_of
from quintet.errors import UserError

_FILES = {"train": "train.tsv.gz", "validation": "devel.tsv.gz", "test": "test.tsv.gz"}


def read(options: NcbiDiseaseOptions, name: str) -> TextExamples:
    """All sentences with their official splits, in the files' order."""
    where = f"data.{name}"
    folder, source = folder_of(where, options, "ncbi-disease", _FILES["train"])
    ids, words, tags, official = [], [], [], []
    for split, file in _FILES.items():
        for sentence in sentences(where, folder / file, 0, -1):
            if sentence.problem:
                raise UserError(
                    where, f"{folder / file}:{sentence.problem[0]}: {sentence.problem[1]}", "fetch it again"
                )
            ids.append(f"{split}-{sentence.line:06d}")
            words.append(sentence.words)
            tags.append(sentence.tags)
            official.append(split)
    return TextExamples("tags", ids, {"words": words, "tags": tags}, tag_names({"Disease"}), official, source)
