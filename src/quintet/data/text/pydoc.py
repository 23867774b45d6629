"""Python's own documentation, as it ships with Python: prose for pre-training, and sentences by topic.

`pydoc_data.topics` has sections of the language's and the library's reference, some of them twice: a paragraph counts
as part of the longest topic that has it. Code, grammar, tables and headings are left out.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from typing import Any

from quintet.data import DATASETS
from quintet.data.options import PydocProseOptions, PydocTopicsOptions
from quintet.data.text.examples import TextExamples
from quintet.data.text.prose import sentences_of

# Parts of the two references, by the topics that have them.
FAMILIES = {
    "data model": "types specialnames objects specialattrs",
    "debugger": "debugger",
    "execution": "execmodel identifiers numbers integers floating imaginary context-managers",
    "expressions": "calls comparisons operator-summary binary bitwise booleans power unary shifting slicings"
    " subscriptions lambda yield await exprlists atom-literals atom-identifiers attribute-references lists dict"
    " conversions",
    "library types": "typesseq typesmapping typesfunctions typesmethods typesmodules truth bltin-code-objects"
    " bltin-ellipsis-object bltin-null-object bltin-type-objects",
    "statements": "compound assignment import assert del global nonlocal pass raise return break continue",
    "strings": "string-methods formatstrings strings",
}
_SHORTEST = 6
# A line of such signs underlines a heading.
_RULE = re.compile(r"[*=\-~^\"]{3,}")
_NO_PROSE = ("::=", ">>>", "+--", "|", "<https", "See PEP")


def read(options: PydocTopicsOptions | PydocProseOptions, name: str) -> TextExamples:
    """The documents or sentences, in the order of their topics."""
    note = f"the documentation of Python {platform.python_version()}: another version has other sentences"
    source = {"took": "embedded", "path": "pydoc_data.topics", "note": note}
    classes = DATASETS[options.set].classes
    if options.set == "pydoc-prose":
        documents = dict(_documents())
        columns: dict[str, list[Any]] = {"sentences": [*documents.values()]}
        return TextExamples("next", [*documents], columns, classes, ["train"] * len(documents), source)
    family = {topic: index for index, topics in enumerate(FAMILIES.values()) for topic in topics.split()}
    texts: dict[str, tuple[str, int]] = {}
    for place, sentences in _documents():
        topic = place.split("/")[0]
        for index, sentence in enumerate(sentences):
            if topic in family and len(sentence.split()) >= _SHORTEST:
                texts.setdefault(sentence, (f"{place}/{index:03d}", family[topic]))
    columns = {"text": list(texts), "target": [target for _, target in texts.values()]}
    ids = [place for place, _ in texts.values()]
    return TextExamples("class", ids, columns, classes, ["train"] * len(ids), source)


def _documents() -> Iterator[tuple[str, list[str]]]:
    """Each section with a heading of its own, as topic/number, and its sentences."""
    from pydoc_data.topics import topics

    seen: set[str] = set()
    for topic in sorted(topics, key=lambda topic: (-len(topics[topic]), topic)):
        for number, section in enumerate(_sections(topics[topic])):
            sentences = list[str]()
            for paragraph in section:
                if paragraph not in seen:
                    seen.add(paragraph)
                    sentences += sentences_of(paragraph)
            if sentences:
                yield f"{topic}/{number:03d}", sentences


def _sections(text: str) -> list[list[str]]:
    """The paragraphs of prose below each heading."""
    sections: list[list[str]] = [[]]
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip().split("\n")
        if len(lines) == 2 and _RULE.fullmatch(lines[1].strip()):
            sections.append([])
            continue
        paragraph = " ".join(block.split()).removeprefix("* ")
        if paragraph.endswith((".", "?", "!", ".)")) and not any(sign in block for sign in _NO_PROSE):
            sections[-1].append(paragraph)
    return sections
