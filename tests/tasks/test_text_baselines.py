"""Each baseline on texts does what it says, and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quintet.baselines import fit
from quintet.tasks import TASKS
from tests.tasks.texts import TEXTS, asked, columns, tagged, task_on


@pytest.mark.parametrize("task", TEXTS)
def test_each_baseline_of_the_table_fits_and_answers_every_example(task: str, tmp_path: Path) -> None:
    objective = task_on(task, tmp_path)
    split = objective.inputs.encoded(TEXTS[task])
    for name in TASKS[task].baselines["text"]:
        fitted = fit(task, name, objective, split, split)
        found = fitted.predict(split)
        assert fitted.title
        assert fitted.parameters > 0
        assert np.isfinite(list(objective.metrics(found).values())).all()
        assert len(found) == (len(split) if task == "pretraining" else len(TEXTS[task]))


def test_tf_idf_sees_pairs_of_words_and_word_vectors_do_not(tmp_path: Path) -> None:
    # The same words in both classes; only what stands next to "not" tells them apart.
    good, bad = "not bad but good", "not good but bad"
    texts = columns(text=[good, bad] * 20, target=[1, 0] * 20)
    objective = task_on("classification", tmp_path, texts)
    split = objective.inputs.encoded(texts)
    pairs = fit("classification", "tf-idf", objective, split, split)
    assert pairs.predict(split).right.all()
    bag = fit("classification", "word-vectors", objective, split, split)
    assert bag.predict(split).right.mean() == pytest.approx(0.5)


def test_word_vectors_learn_single_words_and_do_not_see_padding(tmp_path: Path) -> None:
    texts = columns(text=["fine film"] * 15 + ["dull film with a long story"] * 15, target=[1] * 15 + [0] * 15)
    objective = task_on("classification", tmp_path, texts)
    split = objective.inputs.encoded(texts)
    bag = fit("classification", "word-vectors", objective, split, split)
    assert bag.predict(split).right.all()
    assert bag.settings["validation_accuracy"] == 1
    assert bag.predict(split).more["confidence"].min() > 0.5


def test_the_most_frequent_class_is_that_of_training(tmp_path: Path) -> None:
    train, test = (columns(text=["a", "b", "c"], target=targets) for targets in ([1, 1, 0], [0, 0, 1]))
    objective = task_on("classification", tmp_path, train)
    splits = [objective.inputs.encoded(texts) for texts in (train, test)]
    found = fit("classification", "most-frequent", objective, splits[0], splits[0]).predict(splits[1])
    assert found.prediction.tolist() == ["good"] * 3
    assert found.more["confidence"] == pytest.approx([2 / 3] * 3)


def test_each_word_has_its_most_frequent_tag_and_new_words_none(tmp_path: Path) -> None:
    train = tagged("May/PER met Rose/PER", "in May the rose", "May/PER left May/LOC")
    objective = task_on("tagging", tmp_path, train)
    fitted = fit("tagging", "most-frequent-tag", objective, objective.inputs.encoded(train), None)  # type: ignore[arg-type]
    found = fitted.predict(objective.inputs.encoded(tagged("in May Rose met Zoe/PER")))
    assert found.prediction.tolist() == ["May (PER); Rose (PER)"] or found.prediction.tolist() == ["May (PER)"]
    assert fitted.parameters == 7


def test_the_overlap_picker_takes_what_is_new_beside_what_was_asked(tmp_path: Path) -> None:
    texts = asked(
        ("Where did Bob go ?", "Ann slept . Bob go garden . Tom sang .", ["garden"]),
        ("Where did Ann go ?", "Ann go hall . Bob slept . Tom sang .", ["hall"]),
        ("Where did Tom go ?", "Ann slept . Bob sang . Tom go attic .", ["attic"]),
    )
    objective = task_on("answering", tmp_path, texts)
    split = objective.inputs.encoded(texts)
    fitted = fit("answering", "word-overlap", objective, split, split)
    assert fitted.predict(split).prediction.tolist() == ["garden", "hall", "attic"]
    assert fitted.settings == {"words": 1, "validation_answer_f1": 1.0}


def test_pretraining_without_a_network_always_guesses_the_commonest_token(tmp_path: Path) -> None:
    objective = task_on("pretraining", tmp_path)
    split = objective.inputs.encoded(TEXTS["pretraining"])
    fitted = fit("pretraining", "most-frequent", objective, split, split)
    found = fitted.predict(split)
    words = split.inputs[split.inputs > 4]
    usual = int(np.bincount(words).argmax())
    assert found.weight.sum() > 0
    # The places to be guessed are those that networks guess.
    import torch

    _, chosen = objective.hide(torch.from_numpy(split.inputs.astype(np.int64)), torch.Generator().manual_seed(0))
    assert found.score.sum() == ((split.inputs == usual) & chosen.numpy()).sum()
    assert found.weight.tolist() == chosen.sum(1).tolist()
    assert len(set(found.prediction)) == 1
    assert found.right.mean() == max(split.targets.mean(), 1 - split.targets.mean())
