"""Splits are disjoint, whole, stratified, and depend on nothing but the ids, the classes and the seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.data.split import drawn, fingerprints, quotas, stratified, thin

fractions = st.floats(0.01, 0.49)
asked = st.fixed_dictionaries({"validation": fractions, "test": fractions})
sizes = st.lists(st.integers(3, 40), min_size=1, max_size=4)
# How often each of a class's different pictures occurs.
groups = st.lists(st.integers(1, 4), min_size=3, max_size=12)
seeds = st.integers(0, 2**31)
# How long an example takes says nothing on a machine that is shared.
unhurried = settings(deadline=None)


def made_up(sizes: list[int]) -> tuple[list[str], list[int], list[bytes]]:
    """Ids, targets and fingerprints of classes of these sizes, without copies."""
    targets = [c for c, size in enumerate(sizes) for _ in range(size)]
    ids = [f"{c}/{i}.png" for c, size in enumerate(sizes) for i in range(size)]
    return ids, targets, [name.encode() for name in ids]


def with_copies(groups: list[int]) -> tuple[list[str], list[bytes]]:
    """Ids and fingerprints of one class; the copies of a picture do not stand side by side."""
    copies = [bytes([g]) for turn in range(max(groups)) for g, size in enumerate(groups) if turn < size]
    return [f"{i:03d}" for i in range(len(copies))], copies


@unhurried
@given(sizes, asked, seeds)
def test_every_example_is_in_exactly_one_split(sizes, asked, seed):
    ids, targets, copies = made_up(sizes)
    rows = np.concatenate(list(stratified(ids, targets, copies, asked, seed).values()))
    assert sorted(rows.tolist()) == list(range(len(ids)))


@unhurried
@given(sizes, asked, seeds)
def test_each_class_is_within_one_example_of_the_fraction_and_in_every_split(sizes, asked, seed):
    ids, targets, copies = made_up(sizes)
    chosen = stratified(ids, targets, copies, asked, seed)
    for label, size in enumerate(sizes):
        count = {name: sum(targets[row] == label for row in rows) for name, rows in chosen.items()}
        assert min(count.values()) >= 1
        for name, fraction in asked.items():
            assert abs(count[name] - fraction * size) <= 1


@unhurried
@given(groups, asked, seeds, st.randoms(use_true_random=False))
def test_the_order_in_which_files_are_listed_changes_nothing(groups, asked, seed, random):
    ids, copies = with_copies(groups)
    order = list(range(len(ids)))
    random.shuffle(order)
    before = stratified(ids, [0] * len(ids), copies, asked, seed)
    after = stratified([ids[i] for i in order], [0] * len(ids), [copies[i] for i in order], asked, seed)
    for name in before:
        assert [ids[row] for row in before[name]] == [ids[order[row]] for row in after[name]]


@unhurried
@given(groups, asked, seeds)
def test_copies_stay_in_one_split_and_no_split_is_empty(groups, asked, seed):
    ids, copies = with_copies(groups)
    chosen = stratified(ids, [0] * len(ids), copies, asked, seed)
    homes = {copy: {name for name, rows in chosen.items() if copy in [copies[row] for row in rows]} for copy in copies}
    assert all(len(home) == 1 for home in homes.values())
    assert all(len(rows) for rows in chosen.values())


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    ids, targets, copies = made_up([40, 40])
    fractions = {"validation": 0.2, "test": 0.2}
    first, again, other = (stratified(ids, targets, copies, fractions, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["test"], other["test"])


def test_the_split_is_this_one_on_every_machine_and_version():
    ids, targets, copies = made_up([10])
    chosen = stratified(ids, targets, copies, {"validation": 0.2, "test": 0.2}, 0)
    assert {name: rows.tolist() for name, rows in chosen.items()} == {
        "train": [0, 4, 5, 6, 8, 9],
        "validation": [2, 3],
        "test": [1, 7],
    }


def test_another_class_does_not_move_examples_of_the_first():
    ids, targets, copies = made_up([20])
    more_ids, more_targets, more_copies = made_up([20, 9])
    fractions = {"validation": 0.2, "test": 0.2}
    alone = stratified(ids, targets, copies, fractions, 0)
    beside = stratified(more_ids, more_targets, more_copies, fractions, 0)
    assert alone["test"].tolist() == [row for row in beside["test"] if row < 20]


@pytest.mark.parametrize("count", [3, 4, 5, 6, 10])
def test_train_keeps_an_example_whatever_the_fractions(count):
    assert quotas(count, {"validation": 0.49, "test": 0.49})["train"] >= 1


def test_fingerprints_are_equal_only_for_exact_copies():
    pictures = np.zeros((3, 1, 2, 2), np.uint8)
    pictures[2, 0, 1, 1] = 1
    one, same, other = fingerprints(pictures)
    assert one == same != other


def test_a_subset_keeps_the_share_of_each_stratum_but_never_less_than_the_least():
    strata = [(0, False)] * 100 + [(1, False)] * 50 + [(1, True)] * 4
    ids = [str(i) for i in range(len(strata))]
    kept = thin(ids, strata, 0.1, 3, 0)
    assert Counter(strata[row] for row in kept) == {(0, False): 10, (1, False): 5, (1, True): 3}
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert kept.tolist() != thin(ids, strata, 0.1, 3, 1).tolist()


def test_so_many_labels_have_each_class_as_often_as_can_be_and_hold_what_fewer_did():
    classes = [0] * 50 + [1] * 20 + [2] * 3
    ids = [str(i) for i in range(len(classes))]
    few, more = drawn(ids, classes, 10, 0), drawn(ids, classes, 30, 0)
    assert sorted(Counter(classes[row] for row in few).values()) == [3, 3, 4]
    assert sorted(Counter(classes[row] for row in more).items()) in (
        [(0, 14), (1, 13), (2, 3)],
        [(0, 13), (1, 14), (2, 3)],
    )
    assert set(few) < set(more)
    assert few.tolist() != drawn(ids, classes, 10, 1).tolist()
