"""The named sets of texts: what they are, and that preparing them keeps it."""

from __future__ import annotations

import gzip
import itertools
import re

import pytest

from quintet.data import DATASETS, named_options, outline
from quintet.data.spec import SPLITS, load_spec
from quintet.data.text import pydoc
from quintet.data.text.encode import encode
from quintet.data.text.store import load_texts
from quintet.data.text.tokenizer import load_tokenizer
from quintet.errors import UserError

EMBEDDED = [name for name, entry in DATASETS.items() if entry.kind == "text" and entry.embedded]


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_set_is_as_its_outline_says_and_its_splits_share_no_text(name, named, tmp_path):
    entry = {"set": name, "subset": 0.2}
    spec = named(tmp_path, **entry)
    seen = outline(named_options("data.x", entry).model_validate(entry))
    assert (spec.kind, spec.target, spec.classes) == (seen.kind, seen.target, seen.classes)
    assert spec == load_spec(tmp_path)
    length, vocabulary, pad, separator = spec.shape
    assert (length, pad, separator) == (seen.shape[0], *seen.shape[2:])
    assert vocabulary <= seen.shape[1]
    assert vocabulary == load_tokenizer(tmp_path).get_vocab_size()
    splits = {split: load_texts(tmp_path, split) for split in SPLITS}
    assert {split: len(texts) for split, texts in splits.items()} == spec.counts
    for one, two in itertools.combinations(SPLITS, 2):
        assert not set(splits[one].ids) & set(splits[two].ids)
    assert spec.copies["test_seen"] == 0
    for split, texts in splits.items():
        rows = encode(texts, load_tokenizer(tmp_path), length, spec.classes)
        assert len(rows) == spec.text["rows"][split]
        assert rows.inputs.shape == (len(rows), length)
        assert 0 <= rows.inputs.min() <= rows.inputs.max() < vocabulary
        assert set(rows.examples) == set(range(len(texts)))


@pytest.mark.parametrize("name", ["generated-sentiment", "generated-entities"])
def test_preparing_twice_gives_the_same_bytes_and_another_seed_does_not(name, named, tmp_path):
    one, two, other = (named(tmp_path / str(i), set=name, subset=0.05, split_seed=i // 2) for i in range(3))
    assert one == two
    assert one.digest != other.digest
    files = sorted(p.relative_to(tmp_path / "0") for p in (tmp_path / "0").rglob("*") if p.is_file())
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "0" / file).read_bytes() == (tmp_path / "1" / file).read_bytes()


def test_words_alone_do_not_tell_generated_sentiment(named, tmp_path):
    spec = named(tmp_path, set="generated-sentiment")
    assert spec.class_counts == {"train": [2000] * 2, "validation": [250] * 2, "test": [500] * 2}
    texts = load_texts(tmp_path, "train")
    for word in ("superb", "dull", "not", "but", "although"):
        labels = [target for text, target in zip(texts["text"], texts["target"], strict=True) if word in text.split()]
        assert len(labels) > 100
        assert sum(labels) / len(labels) == pytest.approx(0.5, abs=0.1)


def test_generated_entities_have_names_that_train_never_shows_and_words_that_are_more_than_one_thing(named, tmp_path):
    named(tmp_path, set="generated-entities")
    kinds: dict[str, set[str]] = {}
    train = load_texts(tmp_path, "train")
    for words, tags in zip(train["words"], train["tags"], strict=True):
        for word, tag in zip(words, tags, strict=True):
            kinds.setdefault(word, set()).add(tag[2:])
    assert {"PER", "LOC", "ORG"} <= kinds["Jordan"]
    assert {"", "PER"} <= kinds["May"]
    test = load_texts(tmp_path, "test")
    named_words = [
        word
        for words, tags in zip(test["words"], test["tags"], strict=True)
        for word, tag in zip(words, tags, strict=True)
        if tag != "O" and word[0].isupper() and word not in ("New", "Dr", "Limited", "University", "Sons")
    ]
    assert 0.2 < sum(word not in kinds for word in named_words) / len(named_words) < 0.6


def test_sst2_is_the_published_file(named, tmp_path, mirror):
    spec = named(tmp_path, set="sst2")
    assert spec.class_counts == {"train": [3310, 3610], "validation": [428, 444], "test": [912, 909]}
    assert spec.source["took"] == "mirror QUINTET_DATA"
    with gzip.open(mirror / "sst2" / "test.tsv.gz", "rt", encoding="utf8") as handle:
        sentence, label = next(handle).rstrip("\n").split("\t")
    test = load_texts(tmp_path, "test")
    assert test.ids[0] == "test-00001"
    assert (test["text"][0], test["target"][0]) == (sentence, int(label))
    assert spec.text["truncated"] == {"train": 2, "validation": 0, "test": 0}
    assert "2 test examples are exact copies" in spec.source["note"]


def test_ncbi_disease_is_the_published_one(named, tmp_path, mirror):
    spec = named(tmp_path, set="ncbi-disease")
    assert spec.counts == {"train": 5424, "validation": 923, "test": 940}
    counts = {"train": (135_701, 5134), "validation": (23_969, 787), "test": (24_497, 960)}
    for split, (words, entities) in counts.items():
        texts = load_texts(tmp_path, split)
        assert sum(map(len, texts["words"])) == words
        assert sum(tag == "B-Disease" for tags in texts["tags"] for tag in tags) == entities


def test_squad_is_the_rebuilt_development_set_split_by_article(named, tmp_path, mirror):
    spec = named(tmp_path, set="squad")
    assert spec.counts == {"train": 8123, "validation": 858, "test": 1589}
    assert "not comparable" in spec.source["note"]
    splits = {split: load_texts(tmp_path, split) for split in SPLITS}
    for one, two in itertools.combinations(SPLITS, 2):
        assert not set(splits[one]["group"]) & set(splits[two]["group"])
    for texts in splits.values():
        for context, answers, starts in zip(texts["context"], texts["answers"], texts["starts"], strict=True):
            assert all(context[s : s + len(a)] == a for a, s in zip(answers, starts, strict=True))
    assert spec.text["unreachable"] == {"train": 0, "validation": 0, "test": 0}


def test_wikitext_is_articles_of_sentences(named, tmp_path, mirror):
    spec = named(tmp_path, set="wikitext-2", subset=0.1, also={"sst2": 2}, vocabulary=2000)
    assert spec.counts == {"train": 60 + 2 * 6920, "validation": 6, "test": 6}
    assert "with the training texts of sst2 (2 times)" in spec.source["note"]
    texts = load_texts(tmp_path, "train")
    assert sum(place.startswith("sst2/train-") for place in texts.ids) == 2 * 6920
    assert not any("@-@" in s or "<unk>" in s or s.startswith("=") for d in texts["sentences"] for s in d)
    assert all(document for document in texts["sentences"])
    assert "##unk" not in load_tokenizer(tmp_path).get_vocab()
    assert "sst2" not in " ".join(load_texts(tmp_path, "validation").ids)


def test_generated_stories_answer_with_the_last_fact(named, tmp_path):
    named(tmp_path, set="generated-stories", subset=0.1)
    texts = load_texts(tmp_path, "train")
    several = 0
    rows = zip(texts["question"], texts["context"], texts["answers"], texts["starts"], strict=True)
    for question, context, (answer,), (start,) in rows:
        assert context[start : start + len(answer)] == answer
        sentences = [sentence.split() for sentence in context.split(" .")]
        places = ["kitchen", "garden", "office", "bathroom", "hallway", "bedroom", "cellar", "attic"]
        subject, moves = question.split()[2], question.startswith("Where")
        told = [s[-1] for s in sentences if s and s[0] == subject and (s[-1] in places) == moves]
        assert told[-1] == answer
        several += len(told) > 1
    assert several > 50


def test_pydocs_topics_are_those_of_the_table():
    assert tuple(pydoc.FAMILIES) == DATASETS["pydoc-topics"].classes
    named_once = [topic for topics in pydoc.FAMILIES.values() for topic in topics.split()]
    assert len(named_once) == len(set(named_once))


def test_pydocs_prose_has_no_code_and_no_paragraph_twice(named, tmp_path):
    named(tmp_path, set="pydoc-prose", also={"generated-sentiment": 1})
    documents = [document for split in SPLITS for document in load_texts(tmp_path, split)["sentences"]]
    sentences = [sentence for document in documents for sentence in document]
    assert len(sentences) > 5000
    assert not any(">>>" in sentence or "::=" in sentence for sentence in sentences)
    prose = load_texts(tmp_path, "test")
    assert not any("generated" in place for place in prose.ids)


@pytest.mark.parametrize("name", ["sst2", "ncbi-disease", "squad", "wikitext-2"])
def test_without_a_mirror_one_line_says_what_to_do(name, named, tmp_path, monkeypatch):
    monkeypatch.delenv("QUINTET_DATA", raising=False)
    with pytest.raises(UserError, match=r"name a mirror with .* in QUINTET_DATA, or give the folder as `path`"):
        named(tmp_path / "out", set=name)
    with pytest.raises(UserError, match=re.escape("does not hold the set's files")):
        named(tmp_path / "out", set=name, path=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fine\t1\n\t0\n", r"train\.tsv\.gz:2: no sentence and label"),
        (b"fine\t1\nbad\t2\n", r"train\.tsv\.gz:2: no sentence and label"),
        (b"fine\t1\n\xff\xfe\t0\n", r"train\.tsv\.gz:2: not UTF-8"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(content, message, named, tmp_path):
    (tmp_path / "train.tsv.gz").write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match=message):
        named(tmp_path / "out", set="sst2", path=str(tmp_path))
    (tmp_path / "train.tsv.gz").write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(UserError, match=r"cannot read .*train\.tsv\.gz"):
        named(tmp_path / "out", set="sst2", path=str(tmp_path))
    assert not (tmp_path / "out" / "spec.json").exists()
