"""Entities and answers are scored by the definitions that published figures rest on."""

from __future__ import annotations

import numpy as np
import pytest

from quintet.tasks.answering.answers import best_span, exact_match, f1, normalised
from quintet.tasks.tagging.entities import Entity, count_entities, entities


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-A I-A O", [(1, 3, "A")]),
        ("B-A B-A", [(0, 1, "A"), (1, 2, "A")]),
        ("B-A I-B", [(0, 1, "A"), (1, 2, "B")]),
        ("I-A I-A O I-A", [(0, 2, "A"), (3, 4, "A")]),
        ("B-A-B I-A-B", [(0, 2, "A-B")]),
        ("O", []),
        ("", []),
    ],
)
def test_entities_are_those_of_conlleval(tags, found):
    assert entities(tags.split()) == [Entity(*entity) for entity in found]


def test_an_entity_counts_where_both_ends_and_the_type_are_right():
    truth = ["B-A", "I-A", "O", "B-B", "O", "B-A"]
    said = ["B-A", "O", "O", "B-A", "B-B", "B-A"]
    assert count_entities(truth, said) == (1, 4, 3)
    assert count_entities(truth, truth) == (3, 3, 3)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The Cat's  hat.", "cats hat"),
        ("a an THE", ""),
        ("theatre, another", "theatre another"),
        ("U.S.-led", "usled"),
        ("“Éa” – 1,000", "“éa” – 1000"),
    ],
)
def test_answers_are_normalised_as_in_evaluate_v1_1(text, plain):
    assert normalised(text) == plain


@pytest.mark.parametrize(
    ("said", "accepted", "exact", "words"),
    [
        ("the Denver Broncos", ["Denver Broncos"], 1, 1),
        ("Broncos", ["Denver Broncos", "Carolina Panthers"], 0, 2 / 3),
        ("in in Paris", ["in Paris"], 0, 0.8),
        ("", ["Paris"], 0, 0),
        ("London", ["Paris"], 0, 0),
        ("gold", ["silver", "gold."], 1, 1),
        # As in the official program: two empty answers match exactly but share no word.
        ("the", ["a"], 1, 0),
    ],
)
def test_exact_match_and_f1_are_squads(said, accepted, exact, words):
    assert exact_match(said, accepted) == exact
    assert f1(said, accepted) == pytest.approx(words)


def test_the_best_span_lies_in_the_context_in_order_and_is_not_too_long():
    #        [CLS] who  [SEP] ann  met  bob  [SEP]
    offsets = np.array([[0, 0], [0, 0], [0, 0], [0, 3], [4, 7], [8, 11], [0, 0]], np.int32)
    start = np.array([9, 9, 9, 1, 0, 2, 9], np.float32)
    end = np.array([9, 9, 9, 3, 0, 2.5, 9], np.float32)
    assert best_span(start, end, offsets, 30) == (4.5, 8, 11)
    assert best_span(start * [1, 1, 1, 3, 1, 1, 1], end, offsets, 30) == (6, 0, 3)
    # Ann ... bob would have 3 + 2.5, more than any other, and has three tokens.
    start, end = np.array([0, 0, 0, 3, 0, 0, 0.0]), np.array([0, 0, 0, -9, 0, 2.5, 0])
    assert best_span(start, end, offsets, 3) == (5.5, 0, 11)
    assert best_span(start, end, offsets, 2) == (3, 0, 7)
    assert best_span(start, end, np.zeros((7, 2), np.int32), 3) is None
