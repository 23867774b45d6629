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


SIZES = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=12), min_size=2, max_size=6)


@settings(max_examples=150, deadline=None)
@given(sizes=SIZES, length=st.integers(16, 40), seed=st.integers(0, 99))
def test_a_pair_fits_and_follows_only_if_it_says_so(sizes, length, seed):
    for pair in next_pairs(corpus(*sizes), length, seed):
        assert len(pair.first) >= 1
        assert len(pair.second) >= 1
        assert len(pair.first) + len(pair.second) <= length - 3
        sources = [{token // 1000 - 1 for token in text} for text in (pair.first, pair.second)]
        assert sources[0] == {pair.document}
        assert (sources[1] == sources[0]) == pair.is_next
        for text in (pair.first, pair.second):
            assert text == list(range(text[0], text[0] + len(text)))
        if pair.is_next:
            assert pair.second[0] > pair.first[-1]


def test_half_of_the_pairs_follow_and_their_length_does_not_tell():
    pairs = next_pairs(corpus(*[[9, 5, 12, 7, 6, 11, 8, 4, 10, 7] * 6] * 12), 64, 0)
    share = sum(pair.is_next for pair in pairs) / len(pairs)
    assert share == pytest.approx(0.5, abs=0.15)
    means = [[len(p.first) + len(p.second) for p in pairs if p.is_next is is_next] for is_next in (True, False)]
    assert sum(means[0]) / len(means[0]) == pytest.approx(sum(means[1]) / len(means[1]), rel=0.1)


def test_every_sentence_is_read_in_the_place_of_the_first_text_or_after_it():
    documents = corpus([6] * 9, [40], [7, 3, 50, 2])
    seen = Counter(t for seed in range(30) for p in next_pairs(documents, 32, seed) for t in p.first + p.second)
    assert set(seen) == {token for document in documents for sentence in document for token in sentence}


def test_a_document_of_one_sentence_gives_its_halves_and_one_of_a_word_nothing():
    pairs = [pair for seed in range(20) for pair in next_pairs(corpus([8], [9], [1]), 32, seed)]
    assert {pair.document for pair in pairs} == {0, 1}
    assert {pair.is_next for pair in pairs} == {True, False}
    assert all(len(pair.first) <= 5 for pair in pairs)


def test_a_single_document_has_no_elsewhere():
    assert all(pair.is_next for pair in next_pairs(corpus([5] * 20), 24, 0))
