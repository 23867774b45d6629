"""Which examples only one family got right, on answers few enough to check by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quintet.evaluation.statistics import Estimate
from quintet.report.collect import Collected, Confusion, Evaluated, Examples, Gallery, Training
from quintet.report.compare import leaderboards
from quintet.report.disagreement import Group, Verdict, groups

SETTINGS = {"model": {}, "training": {}, "labels": 1.0, "pretrained": None, "fresh": False}


def evaluated(name: str, family: str, said: list[str]) -> Evaluated:
    """Answers of each seed to examples a, b, c, d, which are all of class 'one'; a digit is a class."""
    predictions = np.array([[int(c) for c in seed] for seed in said])
    scores = (predictions == 1).astype(float)
    value = float(scores.mean())
    words = np.array(["zero", "one", "two"])
    return Evaluated(
        file=Path(name),
        baseline=False,
        experiment=name,
        task="classification",
        data="made",
        family=family,
        model=name,
        title=name,
        primary="accuracy",
        direction="max",
        metrics={"accuracy": Estimate(value, value, value, tuple(scores.mean(axis=1)))},
        expect={},
        cost={},
        runs=(),
        evaluated_at="2026-11-20T09:00:00+00:00",
        environment={},
        examples=Examples(
            ids=np.array(list("abcd")),
            targets=np.full(4, "one"),
            seeds=tuple(range(len(said))),
            predictions=words[predictions],
            scores=scores,
            weights=np.ones_like(scores),
            right=scores == 1,
        ),
        confusion=Confusion(("zero", "one", "two"), ((0, 0, 0), (0, 4, 0), (0, 0, 0))),
        training=Training(SETTINGS, {}, value),
        labelled=10,
        labels=1.0,
        labels_counted=False,
    )


def found(*experiments: Evaluated, gallery: Gallery | None = None) -> dict[str | None, Group]:
    boards = leaderboards(Collected("s", experiments, {}, ()), resamples=10, level=0.95)
    return {group.family: group for group in groups(boards[0], gallery)}


def test_a_family_is_right_when_more_than_half_of_its_models_are() -> None:
    # cnn has four models: right on a (4 of 4), b (3 of 4), c (2 of 4: not more than half), d (never).
    # rnn has two: right on b (both) and d (both).
    by_family = found(
        evaluated("lenet", "cnn", ["1110", "1110"]),
        evaluated("vgg", "cnn", ["1100", "1022"]),
        evaluated("gru", "rnn", ["0121", "2121"]),
    )
    assert [case.id for case in by_family["cnn"].cases] == ["a"]
    assert [case.id for case in by_family["rnn"].cases] == ["d"]
    assert [case.id for case in by_family[None].cases] == ["c"]


def test_each_family_is_shown_with_its_most_frequent_answer_and_its_hits() -> None:
    by_family = found(evaluated("lenet", "cnn", ["1111", "1111"]), evaluated("gru", "rnn", ["2111", "2111", "0111"]))
    (case,) = by_family["cnn"].cases
    assert (case.id, case.actual) == ("a", "one")
    assert set(case.verdicts) == {Verdict("cnn", "one", 2, 2), Verdict("rnn", "two", 0, 3)}


def test_the_clearest_come_first() -> None:
    by_family = found(
        evaluated("lenet", "cnn", ["1111", "1111", "0111"]), evaluated("gru", "rnn", ["0001", "0101", "0001"])
    )
    # c: all of three against none; a: two of three against none and b: three against one, equally clear.
    assert [case.id for case in by_family["cnn"].cases] == ["c", "a", "b"]


def test_only_what_the_gallery_holds_has_a_picture() -> None:
    gallery = Gallery(np.array(["d", "b"]), np.zeros((2, 1, 8, 8), np.uint8))
    by_family = found(evaluated("lenet", "cnn", ["1111"]), evaluated("gru", "rnn", ["0000"]), gallery=gallery)
    assert {case.id: case.row for case in by_family["cnn"].cases} == {"a": None, "b": 1, "c": None, "d": 0}


def test_one_family_alone_has_nothing_to_differ_from() -> None:
    assert found(evaluated("lenet", "cnn", ["1111"]), evaluated("vgg", "cnn", ["0000"])) == {}
