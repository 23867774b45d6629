"""The user's own texts: good rows are prepared, every other is named by file and line and refused or set aside."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quintet.data import check_source, outline, own_options
from quintet.data.prepare import prepare
from quintet.data.spec import SPLITS, DataSpec, load_spec
from quintet.data.text.store import load_texts
from quintet.errors import UserError


def options(path: Path, form: str, **more: Any):
    entry = {"format": form, "path": str(path), "vocabulary": 300, **more}
    return own_options("own_data.x", entry).model_validate(entry)


def made(path: Path, form: str, out: Path, **more: Any) -> DataSpec:
    return prepare(options(path, form, **more), "x", out)


def set_aside(out: Path, file: str = "set_aside.csv") -> dict[str, str]:
    with (out / file).open(encoding="utf8", newline="") as handle:
        return {row["file"]: row["reason"] for row in csv.DictReader(handle)}


def column(out: Path, name: str) -> list[Any]:
    return [value for split in SPLITS for value in load_texts(out, split)[name]]


GOOD = [f"{word} number {i},{label}" for word, label in (("fine", "pos"), ("poor", "neg")) for i in range(8)]


def write(path: Path, *rows: str, header: str = "text,label") -> Path:
    path.write_bytes("\n".join([header, *rows, ""]).encode("utf8", "surrogateescape"))
    return path


# -- text-csv


def test_a_csv_becomes_a_prepared_set(tmp_path):
    file = write(tmp_path / "reviews.csv", *GOOD, '"two\nlines, quoted",pos')
    spec = made(file, "text-csv", tmp_path / "out")
    seen = outline(options(file, "text-csv"))
    assert (spec.kind, spec.target) == (seen.kind, seen.target) == ("text", "class")
    assert spec.classes == ("neg", "pos")
    assert {split: sum(counts) for split, counts in spec.class_counts.items()} == spec.counts
    assert min(min(counts) for counts in spec.class_counts.values()) >= 1
    assert spec == load_spec(tmp_path / "out")
    assert set_aside(tmp_path / "out") == {}
    assert "two\nlines, quoted" in column(tmp_path / "out", "text")
    for split in SPLITS:
        texts = load_texts(tmp_path / "out", split)
        for place, text, target in zip(texts.ids, texts["text"], texts["target"], strict=True):
            assert place.startswith("reviews.csv:")
            assert text.startswith("poor") == (spec.classes[target] == "neg")


def test_tabs_parquet_and_other_column_names_are_read(tmp_path):
    rows = [row.replace(",", "\t") for row in GOOD]
    tabs = write(tmp_path / "a.tsv", *rows, header="review\tstars")
    one = made(tabs, "text-csv", tmp_path / "1", text="review", label="stars")
    table = pa.table({"review": [r.split("\t")[0] for r in rows], "stars": [r.split("\t")[1] == "pos" for r in rows]})
    pq.write_table(table, tmp_path / "a.parquet")
    two = made(tmp_path / "a.parquet", "text-csv", tmp_path / "2", text="review", label="stars")
    assert one.counts == two.counts
    assert two.classes == ("False", "True")
    gaps = pa.table({"text": ["a", None, " ", "b"], "label": [1.5, 2.0, 2.0, float("nan")]})
    pq.write_table(gaps, tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet: row 1 \(class '1\.5' needs 3"):
        made(tmp_path / "b.parquet", "text-csv", tmp_path / "3")
    reasons = set_aside(tmp_path / "3", "bad_files.csv")
    assert [reasons[f"b.parquet: row {row}"] for row in (2, 3, 4)] == ["the text is empty"] * 2 + ["no label"]


BAD = {
    " ,pos": "the text is empty",
    "no label,": "no label",
    "ragged": "1 fields where the header has 2",
    "a,b,c": "3 fields where the header has 2",
    "caf\udce9,pos": "not UTF-8",
    '"quote" outside,pos': "not a row of a CSV",
    "fine number 0,neg": "but the same text as reviews.csv:2, labelled 'pos'",
    "lonely,odd": "class 'odd' needs 3 different usable texts to train on, and has 1",
}


def test_every_bad_row_of_a_csv_is_named_by_line_and_refused(tmp_path):
    file = write(tmp_path / "reviews.csv", *GOOD, *BAD)
    with pytest.raises(UserError) as caught:
        made(file, "text-csv", tmp_path / "out")
    text = str(caught.value)
    assert "own_data.x: 9 files, rows or classes cannot be used: reviews.csv:18 (the text is empty)" in text
    assert "\n" not in text
    found = set_aside(tmp_path / "out", "bad_files.csv")
    for line, reason in enumerate(BAD.values(), len(GOOD) + 2):
        assert reason in found[f"reviews.csv:{line}"]
    assert "labelled 'neg'" in found["reviews.csv:2"]
    assert not (tmp_path / "out" / "spec.json").exists()


def test_bad_rows_are_set_aside_on_request(tmp_path):
    file = write(tmp_path / "reviews.csv", *GOOD, *BAD)
    spec = made(file, "text-csv", tmp_path / "out", on_bad="set-aside")
    assert spec.classes == ("neg", "pos")
    assert spec.set_aside == len(BAD) + 1
    assert sum(spec.counts.values()) == len(GOOD) - 1


def test_an_open_quote_does_not_swallow_the_file_in_silence(tmp_path):
    file = write(tmp_path / "reviews.csv", *GOOD, '"never closed,pos', "lost,neg")
    with pytest.raises(UserError, match=r"reviews\.csv:18 \(not a row of a CSV \(unexpected end of data\)\)"):
        made(file, "text-csv", tmp_path / "out")


@pytest.mark.parametrize(
    ("header", "message"),
    [("text,class", "no column 'label' in 'text,class'"), ("text,label,text", "more than one column 'text'")],
)
def test_a_missing_column_is_found_before_any_work(tmp_path, header, message):
    file = write(tmp_path / "reviews.csv", *GOOD, header=header)
    with pytest.raises(UserError, match=rf"own_data\.x\.path: reviews\.csv:1: {message}"):
        check_source("own_data.x", options(file, "text-csv"))
    with pytest.raises(UserError, match=message):
        made(file, "text-csv", tmp_path / "out")


def test_files_called_train_and_test_are_the_splits_and_a_label_of_test_alone_is_refused(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "train.csv", *GOOD)
    write(folder / "test.csv", "a fine one,pos", "a poor one,neg")
    spec = made(folder, "text-csv", tmp_path / "out")
    assert load_texts(tmp_path / "out", "test").ids == ["test.csv:2", "test.csv:3"]
    assert spec.counts == {"train": 14, "validation": 2, "test": 2}
    write(folder / "test.csv", "a fine one,pos", "what is this,odd")
    with pytest.raises(UserError, match=r"test\.csv:3 \(class 'odd' needs 2 different usable texts to train on"):
        made(folder, "text-csv", tmp_path / "out")
    write(folder / "notes.csv", *GOOD)
    with pytest.raises(UserError, match=r"notes\.csv \(not called train, validation or test"):
        made(folder, "text-csv", tmp_path / "out")


def test_a_folder_without_train_or_a_file_of_another_kind_is_refused_before_any_work(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        check_source("own_data.x", options(tmp_path / "gone", "text-csv"))
    with pytest.raises(UserError, match=r"nothing to train on in .* a file train with \.csv or \.tsv or \.parquet"):
        check_source("own_data.x", options(tmp_path, "text-csv"))
    (tmp_path / "a.docx").touch()
    with pytest.raises(UserError, match=r"has another ending; text-csv reads"):
        check_source("own_data.x", options(tmp_path / "a.docx", "text-csv"))


def test_exact_copies_stay_in_one_split(tmp_path):
    rows = [f"text {i % 10},{'ab'[i % 2]}" for i in range(60)]
    made(write(tmp_path / "a.csv", *rows), "text-csv", tmp_path / "out")
    held = [set(load_texts(tmp_path / "out", split)["text"]) for split in SPLITS]
    assert sum(map(len, held)) == len(set.union(*held)) == 10


# -- conll

SENTENCES = [[("Anna", "B-PER"), ("Lee", "I-PER"), ("came", "O"), (f"{i}", "O")] for i in range(9)]
SENTENCES += [[("Rome", "B-LOC"), ("is", "O"), ("old", "O"), (f"{i}", "O")] for i in range(9)]


def conll(path: Path, *more: str) -> Path:
    blocks = ["\n".join(f"{word}\tX\t{tag}" for word, tag in sentence) for sentence in SENTENCES]
    path.write_bytes("\n\n".join(["-DOCSTART-\tX\tO", *blocks, *more, ""]).encode("utf8", "surrogateescape"))
    return path


def test_columns_become_sentences_and_every_type_stands_in_every_split(tmp_path):
    spec = made(conll(tmp_path / "a.conll"), "conll", tmp_path / "out")
    assert spec.classes == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert sum(spec.counts.values()) == len(SENTENCES)
    for split in SPLITS:
        tags = {tag for sentence in load_texts(tmp_path / "out", split)["tags"] for tag in sentence}
        assert {"B-LOC", "B-PER"} <= tags
    first = column(tmp_path / "out", "words")
    assert all(len(words) == 4 for words in first)


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("a\tX\tO\nb\tX\tI-PER", "I-PER after O: an entity begins with B-PER"),
        ("a\tX\tB-LOC\nb\tX\tI-PER", "I-PER after B-LOC: an entity begins with B-PER"),
        ("a\tX\tO\nb\tX\tPER", "'PER' is no IOB2 tag"),
        ("a\tX\tO\nb\tO", "2 columns where the first line has 3"),
        ("a\tX\tO\nb\udcff\tX\tO", "not UTF-8"),
    ],
)
def test_a_sentence_with_a_bad_line_is_named_by_that_line(tmp_path, block, reason):
    file = conll(tmp_path / "a.conll", block)
    line = 1 + 1 + 5 * len(SENTENCES) + 2
    with pytest.raises(UserError) as caught:
        made(file, "conll", tmp_path / "out")
    assert f"a.conll:{line} ({reason}" in str(caught.value)
    spec = made(file, "conll", tmp_path / "out", on_bad="set-aside")
    assert sum(spec.counts.values()) == len(SENTENCES)
    assert spec.set_aside == 1


def test_a_column_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UserError, match=r"no usable example in .*: a\.conll:3 \(3 columns, so there is no column 5\)"):
        made(conll(tmp_path / "a.conll"), "conll", tmp_path / "out", tag_column=5)


def test_a_type_of_one_sentence_is_trained_on_or_refused(tmp_path):
    file = conll(tmp_path / "a.conll", "Acme\tX\tB-ORG")
    outcomes = set()
    for seed in range(8):
        try:
            made(file, "conll", tmp_path / "out", split_seed=seed)
            tags = [tag for sentence in load_texts(tmp_path / "out", "train")["tags"] for tag in sentence]
            outcomes.add("B-ORG" in tags)
        except UserError as e:
            assert "label 'ORG' (a.conll:" in str(e)  # noqa: PT017
    assert True in outcomes


# -- squad-json


def squad(path: Path, change: dict[str, Any] | None = None, articles: int = 5) -> Path:
    data = []
    for i in range(articles):
        context = f"Anna went to town {i}. There she met Ben."
        qas = [
            {"id": f"{i}-a", "question": "Who went?", "answers": [{"text": "Anna", "answer_start": 0}]},
            {"id": f"{i}-b", "question": "Whom?", "answers": [{"text": "Ben", "answer_start": context.index("Ben")}]},
        ]
        data.append({"title": f"T{i}", "paragraphs": [{"context": context, "qas": qas}]})
    data[1]["paragraphs"][0]["qas"][0].update(change or {})
    path.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf8")
    return path


def test_squad_json_is_read_and_an_article_stays_in_one_split(tmp_path):
    spec = made(squad(tmp_path / "q.json"), "squad-json", tmp_path / "out", length=32)
    assert spec.target == "span"
    assert sum(spec.counts.values()) == 10
    groups = [set(load_texts(tmp_path / "out", split)["group"]) for split in SPLITS]
    assert sum(map(len, groups)) == 5
    (tmp_path / "q.json.gz").write_bytes(gzip.compress((tmp_path / "q.json").read_bytes()))
    zipped = made(tmp_path / "q.json.gz", "squad-json", tmp_path / "zipped", length=32)
    assert zipped.digest == spec.digest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"answers": [{"text": "Anna", "answer_start": 3}]},
            "the answer 'Anna' is not at its offset 3: it stands at 0",
        ),
        ({"answers": [{"text": "Eve", "answer_start": 3}]}, "not at its offset 3: the context does not have it"),
        ({"answers": []}, "no answer"),
        ({"answers": [{"text": " ", "answer_start": 4}]}, "an empty answer"),
        ({"question": ""}, "no question"),
        ({"question": "who \ud800?"}, "half of a surrogate pair"),
        ({"id": None}, "no text 'id'"),
        ({"id": "0-a"}, "the id 0-a is that of q.json: data[0].paragraphs[0].qas[0] as well"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_question_is_named_by_its_place(tmp_path, change, reason):
    file = squad(tmp_path / "q.json", change)
    with pytest.raises(UserError) as caught:
        made(file, "squad-json", tmp_path / "out", length=32)
    assert "q.json: data[1].paragraphs[0].qas[0] (" in str(caught.value)
    assert reason in str(caught.value)
    assert made(file, "squad-json", tmp_path / "out", length=32, on_bad="set-aside").set_aside == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"q\.json:1: not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "has no list 'data'"),
        (b'{"data": [{"title": "a"}]}', r"data\[0\] \(no list 'paragraphs'\)"),
    ],
)
def test_a_file_that_is_no_squad_is_named(tmp_path, content, message):
    (tmp_path / "q.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        made(tmp_path / "q.json", "squad-json", tmp_path / "out", length=32)


def test_fewer_articles_than_splits_cannot_be_split(tmp_path):
    with pytest.raises(UserError, match="it takes 3 different texts, documents or articles at least"):
        made(squad(tmp_path / "q.json", articles=2), "squad-json", tmp_path / "out", length=32)


# -- text-files


def test_plain_text_becomes_documents_by_paragraph_or_file(tmp_path):
    folder = tmp_path / "books"
    (folder / "more").mkdir(parents=True)
    for i in range(6):
        text = f"One sentence {i}. And another\none here.\n\nA second paragraph {i}! It ends.\n"
        (folder / ("more" if i % 2 else ".") / f"{i}.txt").write_text(text, encoding="utf8")
    paragraphs = made(folder, "text-files", tmp_path / "1")
    assert sum(paragraphs.counts.values()) == 12
    assert ["One sentence 0.", "And another one here."] in column(tmp_path / "1", "sentences")
    files = made(folder, "text-files", tmp_path / "2", documents="files")
    assert sum(files.counts.values()) == 6
    assert all(len(document) == 4 for document in column(tmp_path / "2", "sentences"))
    (folder / "bad.txt").write_bytes(b"fine line\n\xff\xfe\n")
    (folder / "empty.txt").touch()
    (folder / "picture.png").touch()
    with pytest.raises(UserError) as caught:
        made(folder, "text-files", tmp_path / "3")
    for part in ("bad.txt:2 (not UTF-8)", "empty.txt (no text in it)", "picture.png (not called"):
        assert part in str(caught.value)
