"""Pairs for next-sentence prediction: true ones follow, others are from elsewhere, and no text is passed over."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.data.text.pairs import next_pairs


def corpus(*sizes: list[int]) -> list[list[list[int]]]:
    """Documents of sentences of these lengths; every token is another number, thousands give the document."""
    made = []
    for index, lengths in enumerate(sizes, 1):
        numbers = iter(range(1000 * index, 1000 * index + 999))
        made.append([[next(numbers) for _ in range(length)] for length in lengths])
    return made


SIZES = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=12), min_size=2, max_size=6)


@settings(max_examples=150, deadline=None)
@given(sizes=SIZES, length=st.integers(16, 40), seed=st.integers(0, 99))
def test_a_pair_fits_and_follows_only_if_it_says_so(sizes, length, seed):
    for pair in next_pairs(corpus(*sizes), length, seed):
        assert len(pair.first) + len(pair.second) <= length - 3
        sources = [{token // 1000 - 1 for token in text} for text in (pair.first, pair.second)]
        assert sources[0] == {pair.document}
        assert (sources[1] == sources[0]) == pair.is_next
        for text in (pair.first, pair.second):
            assert text == list(range(text[0], text[0] + len(text)))
        if pair.is_next:
            assert pair.second[0] == pair.first[-1] + 1


@settings(max_examples=150, deadline=None)
@given(sizes=SIZES, length=st.integers(16, 40), seed=st.integers(0, 99))
def test_every_token_is_read_once_but_a_last_one(sizes, length, seed):
    documents = corpus(*sizes)
    read = Counter(token for pair in next_pairs(documents, length, seed) for token in pair.first + pair.second)
    assert set(read.values()) <= {1}
    for document in documents:
        # A single token that is left over has nothing to follow it.
        assert sum(token not in read for sentence in document for token in sentence) <= 1


def test_half_of_the_pairs_follow_and_both_kinds_are_made_of_texts_alike():
    pairs = next_pairs(corpus(*[[9, 5, 12, 7, 6, 11, 8, 4, 10, 7] * 8] * 20), 64, 0)
    kinds = {kind: [pair for pair in pairs if pair.is_next is kind] for kind in (True, False)}
    assert len(kinds[True]) == pytest.approx(len(pairs) / 2, abs=1)
    for text in ("first", "second"):
        means = [sum(len(getattr(pair, text)) for pair in its) / len(its) for its in kinds.values()]
        assert means[0] == pytest.approx(means[1], rel=0.05)
    lengths = [len(pair.first) + len(pair.second) for pair in pairs]
    assert sum(lengths) / len(lengths) > 0.75 * 61


def test_another_seed_cuts_and_pairs_otherwise():
    documents = corpus([6] * 40, [5] * 40, [7] * 40)
    one, same, other = (next_pairs(documents, 32, seed) for seed in (0, 0, 1))
    assert one == same
    assert {tuple(pair.first) for pair in one} != {tuple(pair.first) for pair in other}


def test_a_document_of_one_sentence_gives_its_halves():
    pairs = [pair for seed in range(20) for pair in next_pairs(corpus([8], [9]), 32, seed)]
    assert {pair.document for pair in pairs} == {0, 1}
    assert all(len(pair.first) <= 5 for pair in pairs)


def test_a_single_document_has_no_elsewhere():
    assert all(pair.is_next for pair in next_pairs(corpus([5] * 20), 24, 0))
