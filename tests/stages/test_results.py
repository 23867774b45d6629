"""What an evaluation says of the labels that there were to learn from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from quintet.stages import results


def test_labels_asked_for_as_a_count_are_known_as_one() -> None:
    labelled = {1.0: 1169, 0.1: 117, 10: 10}
    objective: Any = SimpleNamespace(inputs=SimpleNamespace(labelled=lambda asked, where: labelled[asked]))
    assert results.labels(objective, 0.1, "here") == {"labelled": 117, "labels": 0.1, "labels_counted": False}
    assert results.labels(objective, 10, "here") == {"labelled": 10, "labels": 10 / 1169, "labels_counted": True}
