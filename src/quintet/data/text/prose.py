"""Prose as documents of sentences, for pre-training."""

from __future__ import annotations

import re

from quintet.data.text.store import Texts

# After a full stop and what closes with it, before a capital or a digit. Abbreviations are cut as well.
_BORDER = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”’')\]]))\s+(?=\W{0,2}[A-Z0-9])")


def sentences_of(paragraph: str) -> list[str]:
    """The sentences of a paragraph, by a plain rule."""
    return [sentence for sentence in _BORDER.split(" ".join(paragraph.split())) if sentence]


def documents_of(texts: Texts) -> Texts:
    """The same texts as documents: what is to be learnt from them is left out, and a context stands once."""
    if texts.target == "next":
        return texts
    if texts.target == "span":
        first = {context: row for row, context in reversed([*enumerate(texts["context"])])}
        rows = sorted(first.values())
        documents = [sentences_of(texts["context"][row]) for row in rows]
        return Texts([texts.ids[row] for row in rows], {"sentences": documents})
    if texts.target == "tags":
        return Texts(texts.ids, {"sentences": [[" ".join(words)] for words in texts["words"]]})
    return Texts(texts.ids, {"sentences": [sentences_of(text) for text in texts["text"]]})
