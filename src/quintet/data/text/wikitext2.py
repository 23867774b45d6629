"""WikiText-2: articles of Wikipedia that its editors call good (Merity et al. 2017), as documents of sentences.

Headings are left out. The file's marks ` @-@ ` of characters inside a word are undone, and its `<unk>`, for words
beyond its own vocabulary, becomes [UNK].
"""

from __future__ import annotations

import re

from quintet.data import DATASETS
from quintet.data.options import WikiText2Options
from quintet.data.text.examples import TextExamples
from quintet.data.text.lines import good_lines
from quintet.data.text.official import folder_of
from quintet.data.text.prose import sentences_of

_FILES = {"train": "wiki.train.tokens.gz", "validation": "wiki.valid.tokens.gz", "test": "wiki.test.tokens.gz"}
# " = Title = "; sections have more signs.
_TITLE = re.compile(r"= [^=].* =")
_INSIDE = re.compile(r" @(.)@ ")


def read(options: WikiText2Options, name: str) -> TextExamples:
    """The articles with their official splits, in the files' order."""
    where = f"data.{name}"
    folder, source = folder_of(where, options, "wikitext-2", _FILES["train"])
    ids, official = list[str](), list[str]()
    documents: list[list[str]] = []
    for split, file in _FILES.items():
        begun, blank = False, True
        for number, raw in good_lines(where, folder / file):
            line = raw.strip()
            if _TITLE.fullmatch(line) and blank and not line.startswith("= ="):
                begun = False
            elif line and not line.startswith("="):
                if not begun:
                    ids.append(f"{split}-{number:06d}")
                    official.append(split)
                    documents.append([])
                    begun = True
                documents[-1] += sentences_of(_INSIDE.sub(r"\1", line).replace("<unk>", "[UNK]"))
            blank = not line
    classes = DATASETS["wikitext-2"].classes
    return TextExamples("next", ids, {"sentences": documents}, classes, official, source)
