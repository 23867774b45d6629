"""A few made-up texts of each kind, and the tasks on them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from quintet.data.spec import DataSpec
from quintet.data.text.prepare import training_words
from quintet.data.text.store import TOKENIZER, Texts
from quintet.data.text.tokenizer import special, train_tokenizer
from quintet.tasks import TASKS

_LONG = "then the small dog ran on and on by the old red mill and over the long low wall near the green gate"
LONG = _LONG.split()


def columns(**values: list[Any]) -> Texts:
    return Texts([f"x-{i}" for i in range(len(next(iter(values.values()))))], values)


def tagged(*sentences: str) -> Texts:
    """From 'Ann/PER met Paris/LOC Hilton/LOC': words of one type that stand together are one entity."""
    words, tags = [], []
    for sentence in sentences:
        pairs = [part.partition("/") for part in sentence.split()]
        kinds = [kind for _, _, kind in pairs]
        words.append([word for word, _, _ in pairs])
        tags.append(
            [f"{'I' if i and kinds[i - 1] == kind else 'B'}-{kind}" if kind else "O" for i, kind in enumerate(kinds)]
        )
    return columns(words=words, tags=tags)


def asked(*cases: tuple[str, str, list[str]]) -> Texts:
    """From (question, context, accepted answers), each of which stands in the context."""
    questions, contexts, answers = zip(*cases, strict=True)
    starts = [[c.index(a) for a in accepted] for c, accepted in zip(contexts, answers, strict=True)]
    return columns(
        question=list(questions),
        context=list(contexts),
        answers=list(answers),
        starts=starts,
        group=[str(i) for i in range(len(questions))],
    )


CLASSES = {
    "classification": ("bad", "good"),
    "tagging": ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"),
    "answering": (),
    "pretraining": ("not next", "next"),
}
TEXTS = {
    "classification": columns(
        text=[
            *("a good film", "a bad film", "not a good film at all , but a long one", "not bad at all"),
            *("good , good , and then bad", "bad from the first to the last of all its very many minutes"),
        ],
        target=[1, 0, 0, 1, 0, 0],
    ),
    "tagging": tagged(
        "Ann/PER met Bob/PER in Rome/LOC",
        f"{' '.join(LONG)} where Ann/PER Hill/PER met Bob/PER of New/LOC York/LOC",
        "Rome/LOC",
        "nobody met nobody",
    ),
    "answering": asked(
        ("Where is Ann ?", "Ann is in the garden . Bob is in the hall .", ["the garden", "garden"]),
        ("Where is Bob ?", f"{' '.join(LONG)} . Bob is in the kitchen .", ["the kitchen"]),
        ("Who sings ?", "In the yard Tom sings .", ["Tom"]),
    ),
    "pretraining": columns(
        sentences=[
            ["the cat sat on the mat .", "it was warm there .", "it slept all day .", "at night it went out ."],
            ["ships sail over the sea .", "some carry corn .", "others carry coal .", "all fear the storm ."],
            ["snow fell on the hills .", "the roads were white .", "no cart could pass .", "the mill stood still ."],
        ]
    ),
}
# A small model of each family, with nothing left to chance.
MODELS: dict[str, dict[str, Any]] = {
    "textcnn": {"family": "cnn", "settings": {"embed_dim": 24, "num_maps": 24, "dropout": 0.0}},
    "gru": {"family": "rnn", "settings": {"hidden_size": 24, "bidirectional": True}},
    "encoder": {
        "family": "transformer",
        "settings": {"embed_dim": 24, "num_layers": 1, "num_heads": 2, "dropout": 0.0},
    },
    "bert": {
        "family": "bert",
        "settings": {"embed_dim": 24, "num_layers": 1, "num_heads": 2, "dropout": 0.0, "attention_dropout": 0.0},
    },
}
MODELS = {name: {"name": name, **model} for name, model in MODELS.items()}


def task_on(task: str, folder: Path, texts: Texts | None = None, length: int = 24) -> Any:
    """The task on texts cut by a tokenizer of their own, which is written to `folder`; whole words are tokens."""
    texts = TEXTS[task] if texts is None else texts
    tokenizer = train_tokenizer(training_words(texts), "wordpiece", 2000, lower=False)
    tokenizer.save(str(folder / TOKENIZER))
    marks = special(tokenizer)
    spec = DataSpec(
        name="made-up",
        kind="text",
        target=texts.target,
        shape=(length, tokenizer.get_vocab_size(), marks.pad, marks.separator),
        classes=CLASSES[task],
        counts={},
        class_counts={},
        mean=(),
        std=(),
        set_aside=0,
        source={},
        digest="",
    )
    module, _, name = TASKS[task].path.partition(":")
    return getattr(importlib.import_module(module), name)(spec, folder)
