"""Every word of an example reaches a row, in its place, and nothing is lost in silence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from quintet.data.text.encode import IGNORED, encode, window_starts
from quintet.data.text.store import TOKENIZER, Texts
from quintet.data.text.tokenizer import SPECIAL, load_tokenizer, special, train_tokenizer
from quintet.errors import UserError

PROSE = [
    "the cat sat on the mat, and the dogs' bowls stood by the door of 12 Elm Street",
    "nobody saw the café (or its naïve owners) before 1999",
]
TOKENIZERS = {
    (kind, lower): train_tokenizer(PROSE, kind, 300, lower) for kind in ("wordpiece", "bpe") for lower in (True, False)
}
PAD, UNK, CLS, SEP = range(4)


@pytest.fixture(params=TOKENIZERS, ids=lambda key: f"{key[0]}-{'lower' if key[1] else 'cased'}")
def tokenizer(request):
    return TOKENIZERS[request.param]


def made(**columns) -> Texts:
    return Texts([f"x-{i}" for i in range(len(next(iter(columns.values()))))], columns)


def test_special_tokens_have_their_ids_and_a_tokenizer_without_them_is_refused(tokenizer):
    marks = special(tokenizer)
    assert (marks.pad, marks.unknown, marks.first, marks.separator, marks.mask) == (0, 1, 2, 3, 4)
    with pytest.raises(UserError, match=r"has no \[PAD\]"):
        special(Tokenizer(models.WordPiece({"a": 0}, unk_token="a")))


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_the_same_texts_make_the_same_vocabulary(kind):
    one, two = (train_tokenizer(PROSE * 3, kind, 320, True) for _ in range(2))
    assert one.to_str() == two.to_str()
    assert one.get_vocab_size() <= 320


def test_a_stored_tokenizer_cuts_and_pads_nothing_by_itself(tokenizer, tmp_path):
    stored = Tokenizer.from_str(tokenizer.to_str())
    stored.enable_truncation(3)
    stored.enable_padding(length=9)
    stored.save(str(tmp_path / TOKENIZER))
    texts = made(text=PROSE, target=[0, 0])
    here, there = encode(texts, tokenizer, 64), encode(texts, load_tokenizer(tmp_path), 64)
    assert np.array_equal(here.inputs, there.inputs)
    (tmp_path / TOKENIZER).write_text("{")
    with pytest.raises(UserError, match=r"tokenizer\.json: cannot be read"):
        load_tokenizer(tmp_path)


def test_the_alphabet_never_exceeds_the_vocabulary():
    many = "".join(chr(0x4E00 + i) for i in range(1000))
    assert train_tokenizer([many], "wordpiece", 300, True).get_vocab_size() <= 300


def test_a_text_is_one_row_and_its_offsets_give_it_back(tokenizer):
    rows = encode(made(text=PROSE, target=[1, 0]), tokenizer, 128)
    assert rows.targets.tolist() == [1, 0]
    assert rows.ids.tolist() == ["x-0", "x-1"]
    assert rows.inputs.dtype == np.int32
    assert rows.truncated == 0
    for text, inputs, offsets in zip(PROSE, rows.inputs, rows.offsets, strict=True):
        length = int((inputs != PAD).sum())
        assert inputs[0] == CLS
        assert inputs[length - 1] == SEP
        assert not inputs[length:].any()
        covered = {place for begin, end in offsets for place in range(begin, end)}
        assert covered == {place for place, letter in enumerate(text) if not letter.isspace()}


def test_a_text_that_is_too_long_loses_its_end_and_is_counted(tokenizer):
    whole = encode(made(text=PROSE, target=[0, 0]), tokenizer, 128)
    cut = encode(made(text=[PROSE[0], "a"], target=[0, 0]), tokenizer, 16)
    assert cut.truncated == 1
    assert cut.inputs.shape == (2, 16)
    assert np.array_equal(cut.inputs[0, :15], whole.inputs[0, :15])
    assert cut.inputs[0, 15] == SEP


def test_special_tokens_in_a_text_are_plain_text(tokenizer):
    rows = encode(made(text=[f"a {token} b" for token in SPECIAL], target=[0] * 5), tokenizer, 32)
    assert ((rows.inputs == SEP).sum(1) == 1).all()
    assert ((rows.inputs == CLS).sum(1) == 1).all()


TAGS = ("O", "B-X", "I-X")


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(st.text("abco1é-'\u0301", min_size=1, max_size=24), min_size=1, max_size=40),
    length=st.integers(16, 40),
    key=st.sampled_from(sorted(TOKENIZERS)),
)
def test_each_word_of_a_long_sentence_has_its_tag_once_and_in_order(words, length, key):
    tags = [TAGS[i % 3] for i in range(len(words))]
    rows = encode(made(words=[words], tags=[tags]), TOKENIZERS[key], length, TAGS)
    here = rows.words >= 0
    assert rows.words[here].tolist() == list(range(len(words)))
    assert [TAGS[tag] for tag in rows.targets[here]] == tags
    assert (rows.targets[~here] == IGNORED).all()
    assert rows.examples.tolist() == [0] * len(rows)
    joined = " ".join(words)
    for word, (begin, end) in zip(rows.words[here], rows.offsets[here], strict=True):
        start = len(" ".join(words[:word])) + (word > 0)
        assert start <= begin <= end <= start + len(words[word])
        assert " " not in joined[begin:end]


def test_a_word_longer_than_a_row_keeps_its_tag_and_is_counted():
    rows = encode(made(words=[["e" * 50, "on"]], tags=[["B-X", "O"]]), TOKENIZERS["bpe", True], 16, TAGS)
    assert rows.truncated == 1
    assert rows.words[rows.words >= 0].tolist() == [0, 1]


@given(count=st.integers(0, 60), room=st.integers(1, 20))
def test_windows_read_every_token_and_overlap_by_half(count, room):
    starts = window_starts(count, room)
    assert {place for start in starts for place in range(start, min(start + room, count))} == set(range(count))
    assert all(start < count for start in starts[1:])
    assert all(b - a == max(1, room // 2) for a, b in pairwise(starts))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), length=st.integers(16, 48), key=st.sampled_from(sorted(TOKENIZERS)))
def test_an_answers_tokens_give_back_the_answer(data, length, key):
    context = data.draw(st.sampled_from(PROSE)) * 2
    start = data.draw(st.integers(0, len(context) - 1).filter(lambda i: not context[i].isspace()))
    answer = context[start : data.draw(st.integers(start + 1, min(len(context), start + 30)))].rstrip()
    texts = made(question=["who sat there?"], context=[context], answers=[[answer]], starts=[[start]], group=["g"])
    rows = encode(texts, TOKENIZERS[key], length)
    assert (rows.targets[:, 0] <= rows.targets[:, 1]).all()
    held = [row for row in range(len(rows)) if rows.targets[row, 1]]
    for row in held:
        first, last = rows.targets[row]
        begin, end = rows.offsets[row, first, 0], rows.offsets[row, last, 1]
        # A token may be wider than the answer, such as a word of which it names a part.
        assert answer in context[begin:end]
        assert begin <= start < rows.offsets[row, first, 1]
        assert rows.offsets[row, last, 0] < start + len(answer) <= end
    room = int((rows.offsets[:, :, 1] > 0).sum(1).max())
    pieces = TOKENIZERS[key].encode(answer).ids
    assert held or len(pieces) + 1 > room // 2


def test_a_pair_is_question_then_context_and_only_the_context_has_offsets(tokenizer):
    texts = made(question=["who?"], context=[PROSE[0]], answers=[["The cat"]], starts=[[0]], group=["g"])
    rows = encode(texts, tokenizer, 128)
    assert len(rows) == 1
    inputs = rows.inputs[0]
    separators = np.flatnonzero(inputs == SEP)
    assert inputs[0] == CLS
    assert len(separators) == 2
    assert not rows.offsets[0, : separators[0] + 1].any()
    assert (rows.offsets[0, separators[0] + 1 : separators[1], 1] > 0).all()
    assert not rows.offsets[0, separators[1] :].any()


def test_a_window_without_the_whole_answer_points_to_the_first_token():
    context = " ".join(f"w{i}" for i in range(60))
    start = context.index("w40 w41")
    texts = made(question=["x"], context=[context], answers=[["w40 w41"]], starts=[[start]], group=["g"])
    rows = encode(texts, TOKENIZERS["wordpiece", True], 32)
    empty = (rows.targets == 0).all(1)
    assert empty.any()
    assert not empty.all()


def test_a_long_question_leaves_half_of_the_row_to_the_context():
    texts = made(question=[PROSE[0] * 3], context=[PROSE[1] * 2], answers=[["nobody"]], starts=[[0]], group=["g"])
    rows = encode(texts, TOKENIZERS["wordpiece", True], 32)
    assert rows.truncated == 1
    assert (rows.offsets[0, :, 1] > 0).sum() >= 15


def documents(count: int, sentences: int) -> list[list[str]]:
    return [[f"the cat {i} sat by door {i} of {j}" for j in range(sentences)] for i in range(count)]


def test_pairs_follow_or_come_from_elsewhere_half_of_the_time(tokenizer):
    texts = made(sentences=documents(40, 12))
    rows = encode(texts, tokenizer, 64, seed=1)
    assert set(rows.targets.tolist()) == {0, 1}
    assert 0.4 < rows.targets.mean() < 0.6
    assert ((rows.inputs == SEP).sum(1) == 2).all()
    assert (rows.inputs[:, 0] == CLS).all()


def test_another_seed_draws_other_pairs_and_the_same_seed_the_same(tokenizer):
    texts = made(sentences=documents(10, 8))
    one, same, other = (encode(texts, tokenizer, 48, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.inputs, same.inputs)
    assert not np.array_equal(one.inputs[: len(other)], other.inputs[: len(one)])


def test_only_the_mark_of_an_unknown_word_is_read_as_one_in_prose():
    tokenizer = TOKENIZERS["wordpiece", True]
    texts = made(sentences=[["the [UNK] cat", "sat [SEP] [MASK]"], ["nobody saw", "the mat"]])
    rows = encode(texts, tokenizer, 32)
    assert ((rows.inputs == SEP).sum(1) == 2).all()
    assert not (rows.inputs == special(tokenizer).mask).any()
    assert (rows.inputs == UNK).any()


def test_few_documents_are_cut_anew_until_there_are_enough_pairs(tokenizer):
    words = ("cat", "dog", "owner")
    documents = made(sentences=[[f"{word} sat {'by the door ' * (i % 4)}." for i in range(40)] for word in words])
    once, often = encode(documents, tokenizer, 48), encode(documents, tokenizer, 48, pairs=300)
    assert len(once) < 100 < 300 <= len(often) < 300 + 2 * len(once)
    assert np.array_equal(often.inputs[: len(once)], once.inputs)
    assert len(np.unique(often.inputs, axis=0)) > 2 * len(np.unique(once.inputs, axis=0))
    assert len(encode(made(sentences=[[]]), tokenizer, 48, pairs=5)) == 0
